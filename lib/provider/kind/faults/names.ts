/**
 * Faults of a cluster's DNS server by its own configuration, as an operator's mistake makes them. CoreDNS is started anew,
 * since it may take minutes to notice a change of its ConfigMap by itself; so it does when a later process mends.
 */
import { mapFamilies } from '../../../model/addressing.ts';
import { type IpFamily, addressAt, firstOf, parseCidr } from '../../../model/cidr.ts';
import type { Cluster, Fleet, KubernetesObject, ObjectReference } from '../../../model/cluster.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { type FaultOf, type Injection, clusterOf } from '../../../model/injection.ts';
import { prepareRestoring } from '../../../model/mending.ts';
import { ADDRESS_RECORD, type RecordType, type Resolution } from '../../../model/probe.ts';
import { randomHex, within } from '../../../system/clock.ts';
import { runCommand } from '../../../system/commands.ts';
import {
  DEFAULT_DOMAIN,
  type KubernetesClusterHandle,
  addressesOf,
  asKubernetesCluster,
  clusterIpsOf,
  podState,
  runSelector,
} from '../../kubernetes/index.ts';
import { insideContainer } from '../docker.ts';
import { nodeContainers } from '../nodes.ts';
import { type OldRecord, denying, forwarding, remembering, withTtl } from './corefile.ts';
import { anyWorkload } from './injector.ts';

const NAMESPACE = 'kube-system';
const PODS = 'k8s-app=kube-dns';
const CONFIGURATION: ObjectReference = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'coredns', namespace: NAMESPACE },
};
/** A name of every cluster. */
const API_SERVER = `kubernetes.default.svc.${DEFAULT_DOMAIN}`;

const LOOKUP_MS = 3_000;
/** Two pods that start, and a readiness probe every ten seconds. */
const RESTART_LIMIT_MS = 60_000;
/** Until every node sends questions to the new pods. */
const HOLD_LIMIT_MS = 15_000;

const kubernetesClusterOf = (fleet: Fleet, name: string): KubernetesClusterHandle =>
  asKubernetesCluster(clusterOf(fleet, name));

const isReady = (pod: KubernetesObject): boolean => podState(pod).state === 'ready';

const podsOf = (cluster: KubernetesClusterHandle): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({ apiVersion: 'v1', kind: 'Pod', namespace: NAMESPACE, labelSelector: PODS });

/** @throws Error when no new one gets ready */
async function restart(cluster: KubernetesClusterHandle): Promise<void> {
  const before = await podsOf(cluster);
  const old = new Set(before.map(({ metadata: { name } }) => name));
  // Those that end keep answering for a while from what they know, and none of it is wanted.
  await Promise.all(before.map((pod) => cluster.objects.deleteOne(pod, 1)));
  const started = await within(RESTART_LIMIT_MS, async () => {
    const pods = await podsOf(cluster);
    return pods.length > 0 && pods.every((pod) => !old.has(pod.metadata.name) && isReady(pod));
  });
  if (!started) throw new Error(`CoreDNS of ${cluster.name} did not get ready within ${RESTART_LIMIT_MS} ms`);
}

async function ask(cluster: Cluster, name: string, type?: RecordType): Promise<Resolution | undefined> {
  const server = firstOf(cluster.dns);
  const family = server.includes(':') ? 'ipv6' : 'ipv4';
  const [answer] = await anyWorkload(cluster).probe.resolve([
    { server, name, type: type ?? ADDRESS_RECORD[family], timeoutMs: LOOKUP_MS },
  ]);
  return answer;
}

/** Whether workloads of a cluster get an answer from one of these servers. */
async function answersAt(cluster: Cluster, servers: readonly string[]): Promise<boolean> {
  const answers = await anyWorkload(cluster).probe.resolve(
    servers.map((server) => ({
      server,
      name: API_SERVER,
      type: ADDRESS_RECORD[server.includes(':') ? 'ipv6' : 'ipv4'],
      timeoutMs: LOOKUP_MS,
    })),
  );
  return answers.some(({ addresses }) => addresses.length > 0);
}

type NameFault = FaultOf<'dns-nxdomain' | 'dns-wrong-address' | 'dns-ttl-long' | 'dns-stale'>;

async function reconfigure(
  { fault, fleet, ledger }: Injection<NameFault>,
  /** @returns undefined where this configuration has no place for it */
  change: (corefile: string) => string | undefined,
  tookHold: () => Promise<boolean>,
): Promise<Disturbance> {
  const cluster = kubernetesClusterOf(fleet, fault.cluster);
  const before = await cluster.objects.read(CONFIGURATION);
  const corefile = (before?.['data'] as Readonly<Record<string, string>> | undefined)?.['Corefile'];
  const changed = corefile === undefined ? undefined : change(corefile);
  if (!before || changed === undefined) {
    throw new InternalError(`cluster ${cluster.name} has no CoreDNS that could be configured so`);
  }
  const restore = await prepareRestoring(cluster, fault, { before: [before] }, ledger);
  await cluster.objects.apply([{ ...CONFIGURATION, data: { Corefile: changed } }]);
  await restart(cluster);
  let mended = false;
  return {
    tookHold: () => within(HOLD_LIMIT_MS, tookHold),
    async mend() {
      if (mended) return;
      await restore();
      await restart(cluster);
      mended = true;
    },
  };
}

export function denyNames(injection: Injection<FaultOf<'dns-nxdomain'>>): Promise<Disturbance> {
  const cluster = clusterOf(injection.fleet, injection.fault.cluster);
  return reconfigure(
    injection,
    (corefile) => denying(corefile, DEFAULT_DOMAIN),
    async () => (await ask(cluster, API_SERVER))?.rcode === 'NXDOMAIN',
  );
}

/** Names of services of a cluster, the API server's among them, with the addresses that they have there. */
async function serviceRecords(cluster: KubernetesClusterHandle, run: string): Promise<OldRecord[]> {
  const objects = [
    await cluster.objects.read({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kubernetes', namespace: 'default' },
    }),
    ...(await cluster.objects.list({
      apiVersion: 'v1',
      kind: 'Service',
      labelSelector: runSelector(run),
    })),
  ];
  return objects.flatMap((service) => {
    if (!service) return [];
    const addresses = mapFamilies(clusterIpsOf(service), (address) => [address]);
    if (Object.keys(addresses).length === 0) return [];
    const { name, namespace = '' } = service.metadata;
    return [{ name: `${name}.${namespace}.svc.${DEFAULT_DOMAIN}`, addresses }];
  });
}

/** Asks the DNS server of another cluster, or, where its pods cannot be reached, has the answers that it would give. */
export async function answerFromOtherCluster(
  injection: Injection<FaultOf<'dns-wrong-address'>>,
): Promise<Disturbance> {
  const { fault, fleet } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const other = kubernetesClusterOf(fleet, fault.instead);
  const servers = (await podsOf(other)).filter(isReady).map((pod) => firstOf(addressesOf(pod)));
  const expected = (await ask(other, API_SERVER))?.addresses ?? [];
  const reached = await answersAt(cluster, servers);
  const records = reached ? [] : await serviceRecords(other, fleet.run);
  return reconfigure(
    injection,
    (corefile) => (reached ? forwarding(corefile, DEFAULT_DOMAIN, servers) : remembering(corefile, records)),
    async () => {
      const seen = (await ask(cluster, API_SERVER))?.addresses ?? [];
      return seen.length > 0 && seen.every((address) => expected.includes(address));
    },
  );
}

export function keepNamesLong(injection: Injection<FaultOf<'dns-ttl-long'>>): Promise<Disturbance> {
  const { fault, fleet } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  return reconfigure(
    injection,
    (corefile) => withTtl(corefile, fault.seconds),
    async () => (await ask(cluster, API_SERVER))?.ttls.includes(fault.seconds) === true,
  );
}

/** Names of the headless services of this run, each with its addresses. */
async function headlessRecords(cluster: KubernetesClusterHandle, run: string) {
  const services = await cluster.objects.list({
    apiVersion: 'v1',
    kind: 'Service',
    labelSelector: runSelector(run),
  });
  const headless = services.filter(
    (service) => (service['spec'] as { readonly clusterIP?: string } | undefined)?.clusterIP === 'None',
  );
  return Promise.all(
    headless.map(async ({ metadata: { name, namespace = '' } }) => {
      const full = `${name}.${namespace}.svc.${DEFAULT_DOMAIN}`;
      const addresses: { ipv4?: readonly string[]; ipv6?: readonly string[] } = {};
      for (const family of ['ipv4', 'ipv6'] as const) {
        const answer = await ask(cluster, full, ADDRESS_RECORD[family]);
        if (answer?.addresses.length) addresses[family] = answer.addresses;
      }
      return { name: full, addresses };
    }),
  );
}

/** From the end of the pods: nobody has it. */
const VACANT_INDEX = -3;

/** The first endpoint of every headless name is one that is no more. */
export async function keepOldRecords(injection: Injection<FaultOf<'dns-stale'>>): Promise<Disturbance> {
  const { fault, fleet } = injection;
  const cluster = kubernetesClusterOf(fleet, fault.cluster);
  const vacant = (family: IpFamily): string =>
    addressAt(parseCidr(cluster.ranges.pods[family] as string), VACANT_INDEX);
  const old = (await headlessRecords(cluster, fleet.run)).map(({ name, addresses }) => ({
    name,
    addresses: {
      ...(addresses.ipv4 && { ipv4: [vacant('ipv4'), ...addresses.ipv4.slice(1)] }),
      ...(addresses.ipv6 && { ipv6: [vacant('ipv6'), ...addresses.ipv6.slice(1)] }),
    },
  }));
  const one = old.find(({ addresses }) => Object.keys(addresses).length > 0);
  if (!one) throw new InternalError(`cluster ${cluster.name} has no headless service with endpoints`);
  const family = one.addresses.ipv4 ? 'ipv4' : 'ipv6';
  return reconfigure(
    injection,
    (corefile) => remembering(corefile, old),
    async () =>
      (await ask(cluster, one.name, ADDRESS_RECORD[family]))?.addresses.includes(vacant(family)) === true,
  );
}

const PAUSE_SECONDS = 0.02;
const SAMPLES = 5;

/** The processes stop for as long, work for a moment, and stop again: on average a question waits for half of it. */
export async function slowDns({
  fault,
  fleet,
  ledger,
}: Injection<FaultOf<'dns-slow'>>): Promise<Disturbance> {
  const cluster = clusterOf(fleet, fault.cluster);
  const nodes = await nodeContainers(fleet.run, cluster.name);
  const flag = `/run/mcnet-slow-dns-${randomHex(4)}`;
  const loop = [
    `touch ${flag}`,
    `while [ -e ${flag} ]; do pkill -STOP -x coredns; sleep ${fault.milliseconds / 1_000}; pkill -CONT -x coredns; sleep ${PAUSE_SECONDS}; done < /dev/null > /dev/null 2>&1 &`,
  ].join('\n');
  const mending = (node: string) =>
    insideContainer(node, ['sh', '-c', `rm -f ${flag}; pkill -CONT -x coredns || true`]);
  for (const node of nodes) {
    await ledger.add({
      description: `fault ${JSON.stringify(fault)} on ${node}, by processes that stop again and again`,
      undo: { kind: 'run', command: mending(node) },
    });
  }
  await Promise.all(nodes.map((node) => runCommand(insideContainer(node, ['sh', '-c', loop]))));
  return {
    async tookHold() {
      const seen: number[] = [];
      for (let sample = 0; sample < SAMPLES; sample++) {
        seen.push((await ask(cluster, API_SERVER))?.durationMs ?? 0);
      }
      return Math.max(...seen) >= fault.milliseconds / 2;
    },
    async mend() {
      await Promise.all(nodes.map((node) => runCommand(mending(node))));
    },
  };
}
