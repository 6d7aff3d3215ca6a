/** Installs Consul into clusters that this program made, and joins them. */
import type { KubernetesCluster, KubernetesNode } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Note, type Step, untold } from '../../model/steps.ts';
import { systemClock, within } from '../../system/clock.ts';
import type { Peers } from './clusters.ts';
import { meshEntries } from './entries.ts';
import { DNS, GATEWAY, SERVER, SYSTEM_NAMESPACE, ZONE, systemReference } from './names.ts';
import { gatewayObjects, serverObjects } from './objects.ts';
import { type ConsulOptions, imagesOf } from './options.ts';
import { existing, isReady } from '../common/clusters.ts';
import { podTimes } from '../common/podTimes.ts';
import { configureCoreDns, forwardingZone } from '../common/coreDns.ts';
import { ask, isActive, peeringsOf, podsOf, putEntry, tell } from './server.ts';
import { establishRequest, tokenIn, tokenRequest } from './tokens.ts';

const START_LIMIT_MS = 180_000;
const JOIN_LIMIT_MS = 120_000;
const LOOK_MS = 500;
/** A token that was made a moment ago may name a server that does not listen yet. */
const TRIES = 5;

/** @throws UserError when a part does not start, or clusters do not become peers */
export async function installConsul(
  peers: Peers,
  options: ConsulOptions,
  step: Step = untold,
): Promise<void> {
  if (options.families.join() !== 'ipv4') {
    throw new UserError('this profile carries IPv4 only', {
      where: '--ip-family',
      remedy: 'Leave --ip-family at ipv4, or choose another --profile',
    });
  }
  const images = imagesOf(options);
  const { clusters, fleet } = peers;
  await Promise.all(
    clusters.map(async (cluster) => {
      const { name } = cluster;
      const node = await step({ what: 'a node takes pods', cluster: name }, () => untilTaking(cluster));
      const place = { run: fleet.run, cluster: name, node: node.name };
      await step({ what: 'server ready', cluster: name }, async (note) => {
        await cluster.objects.apply(serverObjects(place, images));
        await Promise.all([untilReady(cluster, SERVER, note), serveNames(cluster)]);
      });
      await step({ what: 'gateway ready', cluster: name }, async (note) => {
        await tell(cluster, meshEntries(options.consulGateways).map(putEntry));
        await cluster.objects.apply(gatewayObjects(images));
        await untilReady(cluster, GATEWAY, note);
      });
      await step({ what: 'gateway listed', cluster: name }, () => untilListed(cluster));
    }),
  );
  for (const pair of pairsOf(peers)) {
    await step({ what: `token of ${pair.acceptor} used`, cluster: pair.dialer }, () => join(peers, pair));
  }
  for (const cluster of clusters) {
    await step({ what: 'peers active', cluster: cluster.name }, () =>
      untilJoined(cluster, peers.of(cluster.name)),
    );
  }
}

/** Pods ask CoreDNS, which leaves the names of the zone to the servers. */
async function serveNames(cluster: KubernetesCluster): Promise<void> {
  const { spec } = await existing(cluster, systemReference('v1', 'Service', DNS));
  const { clusterIP } = spec as { readonly clusterIP: string };
  await configureCoreDns(cluster, ZONE, (corefile) => forwardingZone(corefile, ZONE, clusterIP));
}

export interface Pair {
  /** Makes the token. */
  readonly acceptor: string;
  readonly dialer: string;
}

export const pairsOf = (peers: Peers): Pair[] =>
  peers.clusters.flatMap(({ name: acceptor }, index) =>
    peers.clusters
      .slice(index + 1)
      .map(({ name: dialer }) => ({ acceptor, dialer }))
      .filter(({ dialer }) => peers.of(acceptor).includes(dialer)),
  );

/** Gives a token of one to the other, which is all that a peering needs. */
export async function join(peers: Peers, { acceptor, dialer }: Pair): Promise<void> {
  for (let tries = 1; ; tries++) {
    const [made = '{}'] = await tell(peers.named(acceptor), [tokenRequest(dialer)]);
    try {
      await tell(peers.named(dialer), [establishRequest(acceptor, tokenIn(made))]);
      return;
    } catch (error) {
      if (tries === TRIES) throw error;
      await systemClock.sleep(LOOK_MS * 2);
    }
  }
}

/** A cluster that has just come up may have no node yet that takes pods. */
async function untilTaking(cluster: KubernetesCluster): Promise<KubernetesNode> {
  let found: KubernetesNode | undefined;
  const taking = async () => {
    found = (await cluster.nodes()).find(({ takesWorkloads }) => takesWorkloads);
    return found !== undefined;
  };
  await within(START_LIMIT_MS, taking, LOOK_MS);
  if (found) return found;
  throw new UserError(`no node of ${cluster.name} takes pods`, {
    where: `cluster ${cluster.name}`,
    remedy: 'Look at its nodes: `kubectl describe nodes`',
  });
}

async function untilReady(cluster: KubernetesCluster, app: string, note: Note): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const pods = await podsOf(cluster, app);
    note(podTimes(pods));
    return pods.some(isReady);
  };
  if (await within(START_LIMIT_MS, ready, LOOK_MS)) return;
  throw new UserError(`${app} does not become ready in ${cluster.name}`, {
    where: `namespace ${SYSTEM_NAMESPACE}`,
    remedy: `Look at its pods: \`kubectl -n ${SYSTEM_NAMESPACE} describe pods -l app=${app}\``,
  });
}

/** A token names the gateways that are there when it is made. */
async function untilListed(cluster: KubernetesCluster): Promise<void> {
  const path = `/v1/health/service/${GATEWAY}?passing`;
  const listed = async () => {
    const [answer] = await ask(cluster, [{ method: 'GET', path }]);
    return answer?.status === 200 && answer.body.trim() !== '[]';
  };
  if (await within(JOIN_LIMIT_MS, listed, LOOK_MS)) return;
  throw new UserError(`the gateway of ${cluster.name} is not healthy`, {
    where: `namespace ${SYSTEM_NAMESPACE}`,
    remedy: `Read its log: \`kubectl -n ${SYSTEM_NAMESPACE} logs deployment/${GATEWAY}\``,
  });
}

export async function untilJoined(cluster: KubernetesCluster, others: readonly string[]): Promise<void> {
  let seen = '';
  const joined = async () => {
    const peerings = await peeringsOf(cluster);
    seen = peerings.map(({ Name, State }) => `${Name} ${State}`).join(', ') || 'none';
    const active = peerings.filter(isActive).map(({ Name }) => Name);
    return others.every((name) => active.includes(name));
  };
  if (await within(JOIN_LIMIT_MS, joined, LOOK_MS)) return;
  throw new UserError(`${cluster.name} does not become a peer of ${others.join(', ')}`, {
    where: `peerings there: ${seen}`,
    remedy: 'Can its gateway reach the other gateway? The logs of both servers say more',
  });
}
