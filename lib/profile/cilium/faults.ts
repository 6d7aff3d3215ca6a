/** What can be broken in a mesh on purpose. How each is mended stands in the ledger before anything is changed. */
import { applicable } from '../../model/applicable.ts';
import type { FaultInjector, Fleet, KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { Disturbance } from '../../model/fault.ts';
import { clusterOf, injectorOf } from '../../model/injection.ts';
import { prepareRestoring } from '../../model/mending.ts';
import type { CiliumSharing } from '../../model/spec.ts';
import { reachableFrom } from '../../model/topology.ts';
import { systemClock, within } from '../../system/clock.ts';
import { asKubernetes, encoded, existing, holds, isReady, secretText } from '../common/clusters.ts';
import { DAY_MS, reissued, validFor } from '../common/certificates.ts';
import { certificatesOf } from './certificates.ts';
import { anyReady, fetchedClusters, inAgent, podsOf, remoteClusters, storeOf } from './agents.ts';
import { exportOf } from './export.ts';
import { nodeHealthOf } from './health.ts';
import {
  ANNOTATIONS,
  API_SERVER,
  AUTHORITY,
  CERTIFICATES,
  CLUSTERWIDE_POLICY,
  HEALTH_LABEL,
  HEALTH_PORT,
  POLICY_KIND,
  REMOTE_CLUSTERS,
  systemReference,
} from './names.ts';
import { annotated, isOffered, serviceReference, sharingAnnotations } from './share.ts';

/** From a change of a service until agents of other clusters have it in their maps. */
const PUSH_MS = 3_000;

const named = (fleet: Fleet, name: string): KubernetesCluster =>
  asKubernetes(clusterOf(fleet, name), 'Cilium');

/** The clusters that this one is joined with. */
const joinedWith = (fleet: Fleet, { name }: KubernetesCluster): KubernetesCluster[] =>
  reachableFrom(fleet.topology, name).map((other) => named(fleet, other));

/**
 * Where news of a cluster is read by others, and news of others by its agents, as of now: that somebody is called ready may
 * be a word on what was known before a server went.
 * @returns whether none of them reads where it read then, and all others that did read news of this cluster do again; asked
 * of some of them, whether that holds of these
 */
async function storesReplaced(
  cluster: KubernetesCluster,
  others: readonly KubernetesCluster[],
): Promise<(asked?: readonly KubernetesCluster[]) => Promise<boolean>> {
  const stores = async (of: readonly KubernetesCluster[]) => {
    const known = await remoteClusters(cluster).catch(() => []);
    const read = of.map(async (other) => {
      const fetched = (await fetchedClusters(other)) ?? [];
      const own = known.flatMap((clusters) => storeOf(clusters, other.name) ?? []);
      return { name: other.name, own, there: storeOf(fetched, cluster.name) };
    });
    return Promise.all(read);
  };
  const before = await stores(others);
  return async (asked = others) =>
    (await stores(asked)).every(({ name, own, there }) => {
      const then = before.find((one) => one.name === name);
      return (
        !own.some((store) => then?.own.includes(store)) &&
        (then?.there === undefined || (there !== undefined && there !== then.there))
      );
    });
}

/** As an update does: a pod sees its Secrets change only after a minute. */
async function restartApiServer(
  cluster: KubernetesCluster,
  others: readonly KubernetesCluster[],
): Promise<void> {
  const replaced = await storesReplaced(cluster, others);
  const pods = await podsOf(cluster, 'apiServer');
  const old = new Set(pods.map(({ metadata: { name } }) => name));
  await cluster.objects.delete([...old].map((name) => systemReference('v1', 'Pod', name)));
  await holds(async () =>
    (await podsOf(cluster, 'apiServer')).some((pod) => isReady(pod) && !old.has(pod.metadata.name)),
  );
  await holds(replaced);
}

/** Of each agent, whether it knows another cluster and what that shares. */
const eachKnows = async (cluster: KubernetesCluster, other: string): Promise<readonly boolean[]> =>
  (await remoteClusters(cluster)).map((clusters) =>
    clusters.some(({ name, ready, services }) => name === other && ready && services > 0),
  );

/** Whether news of a cluster comes to another: to its agents, and to what fetches it for them. */
async function hears(cluster: KubernetesCluster, other: string): Promise<boolean> {
  const fetched = await fetchedClusters(cluster);
  const isFetched = fetched === undefined || fetched.some(({ name, ready }) => name === other && ready);
  return isFetched && (await eachKnows(cluster, other)).every(Boolean);
}

async function whoseServerRuns(clusters: readonly KubernetesCluster[]): Promise<KubernetesCluster[]> {
  const ready = await Promise.all(clusters.map((cluster) => anyReady(cluster, 'apiServer')));
  return clusters.filter((_, index) => ready[index]);
}

/** Changes the entry by which a cluster finds another. @param change to what; undefined: it goes */
const entryChanged = (
  kind: 'remote-secret-deleted' | 'remote-secret-loopback',
  change: (entry: string) => string | undefined,
): FaultInjector =>
  injectorOf(
    kind,
    async ({ fault, fleet, ledger }): Promise<Disturbance> => {
      const cluster = named(fleet, fault.at);
      const other = fault.cluster;
      const others = joinedWith(fleet, cluster);
      const secret = await existing(cluster, systemReference('v1', 'Secret', REMOTE_CLUSTERS.mesh));
      const { [other]: _gone, ...rest } = secret.data as Readonly<Record<string, string>>;
      const changed = change(secretText(secret, other) ?? '');
      const data = { ...rest, ...(changed !== undefined && { [other]: encoded(changed) }) };
      const restore = await prepareRestoring(cluster, fault, { before: [secret] }, ledger);
      // The chart's own keys stay when somebody else applies the Secret without them.
      await cluster.objects.delete([secret]);
      await cluster.objects.apply([{ ...applicable(secret), data }]);
      await restartApiServer(cluster, others);
      return {
        tookHold: () => holds(async () => !(await eachKnows(cluster, other)).some(Boolean)),
        mend: async () => {
          await restore();
          await restartApiServer(cluster, others);
          await holds(() => hears(cluster, other));
        },
      };
    },
    'cluster',
  );

const deleted = entryChanged('remote-secret-deleted', () => undefined);

const loopback = entryChanged('remote-secret-loopback', (entry) =>
  entry.replaceAll(/^(\s*-\s*)['"]?[0-9a-f.:]+['"]?\s*$/gim, '$1127.0.0.1'),
);

const stopped = injectorOf(
  'control-plane-stopped',
  async ({ fault, fleet, ledger }) => {
    const cluster = named(fleet, fault.cluster);
    const deployment = systemReference('apps/v1', 'Deployment', API_SERVER);
    const scaled = (replicas: number): KubernetesObject => ({ ...deployment, spec: { replicas } });
    const restore = await prepareRestoring(cluster, fault, { before: [scaled(1)] }, ledger);
    const others = joinedWith(fleet, cluster);
    const replaced = await storesReplaced(cluster, others);
    await cluster.objects.apply([scaled(0)]);
    return {
      tookHold: () => holds(async () => !(await anyReady(cluster, 'apiServer'))),
      mend: async () => {
        await restore();
        await holds(async () => {
          if (!(await anyReady(cluster, 'apiServer'))) return false;
          // Another fault may have taken the server of some, by whose own mending both hear of each other.
          const standing = await whoseServerRuns(others);
          const heard = await Promise.all(
            standing.flatMap((other) => [hears(cluster, other.name), hears(other, cluster.name)]),
          );
          return heard.every(Boolean) && (await replaced(standing));
        });
      },
    };
  },
  'cluster',
);

const notOffered = injectorOf('service-not-shared', async ({ fault, fleet, ledger }) => {
  const cluster = named(fleet, fault.cluster);
  const reference = serviceReference(cluster.namespaceOf(fault.namespace), fault.service);
  const service = await existing(cluster, reference);
  const { annotations = {} } = service.metadata;
  const restore = await prepareRestoring(cluster, fault, { before: [service] }, ledger);
  const sharing = Object.fromEntries(
    Object.values(ANNOTATIONS).flatMap((key) =>
      key in annotations ? [[key, annotations[key] as string]] : [],
    ),
  );
  await cluster.objects.apply([annotated(service, { ...sharing, [ANNOTATIONS.shared]: 'false' })]);
  return {
    tookHold: async () => {
      await systemClock.sleep(PUSH_MS);
      const now = await cluster.objects.read(reference);
      return now?.metadata.annotations?.[ANNOTATIONS.shared] === 'false';
    },
    mend: restore,
  };
});

const notExported = injectorOf('service-not-shared', async ({ fault, fleet, ledger }) => {
  const cluster = named(fleet, fault.cluster);
  const reference = exportOf(
    { service: fault.service, preference: 'spread' },
    cluster.namespaceOf(fault.namespace),
  );
  const restore = await prepareRestoring(
    cluster,
    fault,
    { before: [await existing(cluster, reference)] },
    ledger,
  );
  await cluster.objects.delete([reference]);
  return {
    tookHold: async () => {
      await systemClock.sleep(PUSH_MS);
      return (await cluster.objects.read(reference)) === undefined;
    },
    mend: restore,
  };
});

/** As somebody does who shares a cluster by habit: all that stands there and is not offered yet. */
const everythingShared = injectorOf('everything-exported', async ({ fault, fleet, ledger }) => {
  const cluster = named(fleet, fault.cluster);
  const namespaces = new Set(cluster.workloads.map(({ spec }) => cluster.namespaceOf(spec.namespace)));
  const listed = await Promise.all(
    [...namespaces].map((namespace) =>
      cluster.objects.list({ apiVersion: 'v1', kind: 'Service', namespace }),
    ),
  );
  const kept = listed.flat().filter((service) => !isOffered(service));
  const restore = await prepareRestoring(cluster, fault, { before: kept }, ledger);
  const annotations = sharingAnnotations({ preference: 'spread' });
  await cluster.objects.apply(kept.map((service) => annotated(service, annotations)));
  return {
    tookHold: async () => {
      await systemClock.sleep(PUSH_MS);
      const now = await Promise.all(kept.map((service) => cluster.objects.read(service)));
      return now.length > 0 && now.every((service) => service !== undefined && isOffered(service));
    },
    mend: restore,
  };
});

/** Addresses of the endpoints by which the nodes of a cluster are probed. */
async function healthAddresses(cluster: KubernetesCluster): Promise<string[]> {
  const nodes = await cluster.objects.list({ apiVersion: POLICY_KIND.apiVersion, kind: 'CiliumNode' });
  return nodes.flatMap((node) => {
    const { health = {} } = (node['spec'] ?? {}) as {
      readonly health?: { readonly ipv4?: string; readonly ipv6?: string };
    };
    return health.ipv4 ?? health.ipv6 ?? [];
  });
}

/** Whether somebody takes connections there, asked as an agent of this cluster would. */
const takesProbes = (from: KubernetesCluster, address: string): Promise<boolean> =>
  inAgent(from, ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${HEALTH_PORT}`]).then(
    () => true,
    () => false,
  );

/** A round of probes takes as long as the slowest of them. */
const PROBE_SLACK_MS = 10_000;
const LOOK_MS = 2_000;

/** Whether nodes of a cluster are probed once more in time; nodes that are made here have the clock of this machine. */
async function probedAnew(from: KubernetesCluster, to: string): Promise<boolean> {
  const since = systemClock.now();
  const { everyMs = 0 } = await nodeHealthOf(from, to);
  return within(
    2 * everyMs + PROBE_SLACK_MS,
    async () => (await nodeHealthOf(from, to)).paths.every(({ probedAt = 0 }) => probedAt >= since),
    LOOK_MS,
  );
}

/** As a policy for a whole cluster does that forgot them. */
const probesRefused = injectorOf(
  'health-probes-refused',
  async ({ fault, fleet, ledger }) => {
    const cluster = named(fleet, fault.cluster);
    const other = fleet.clusters.find(({ name }) => name !== fault.cluster);
    const [address] = await healthAddresses(cluster);
    if (!other || address === undefined) throw new InternalError(`nobody probes nodes of ${fault.cluster}`);
    const from = asKubernetes(other, 'Cilium');
    const policy: KubernetesObject = {
      apiVersion: POLICY_KIND.apiVersion,
      kind: CLUSTERWIDE_POLICY,
      metadata: { name: 'mcnet-health-probes-refused' },
      spec: { endpointSelector: { matchLabels: { [HEALTH_LABEL]: '' } }, ingress: [{}] },
    };
    const answered = await takesProbes(from, address);
    const restore = await prepareRestoring(cluster, fault, { before: [], added: [policy] }, ledger);
    await cluster.objects.apply([policy]);
    return {
      // What is said of nodes until they are probed once more is no word on this fault.
      tookHold: async () =>
        answered &&
        (await holds(async () => !(await takesProbes(from, address)))) &&
        (await probedAnew(from, fault.cluster)),
      mend: async () => {
        await restore();
        await holds(() => takesProbes(from, address));
        await probedAnew(from, fault.cluster);
      },
    };
  },
  'cluster',
);

/** What is left of a certificate that ends soon: of a year, three days. */
const ENDING_DAYS = 3;
const LIFETIME_DAYS = 365;

const ending = injectorOf(
  'certificate-ending',
  async ({ fault, fleet, ledger }) => {
    const cluster = named(fleet, fault.cluster);
    const name = CERTIFICATES.server;
    const [secret, authority] = await Promise.all(
      [name, AUTHORITY].map((one) => existing(cluster, systemReference('v1', 'Secret', one))),
    );
    const issuer = {
      certificate: secretText(authority, 'ca.crt') ?? '',
      key: secretText(authority, 'ca.key') ?? '',
    };
    const began = new Date(systemClock.now() - (LIFETIME_DAYS - ENDING_DAYS) * DAY_MS);
    const certificate = await reissued(
      secretText(secret, 'tls.crt') ?? '',
      issuer,
      validFor(LIFETIME_DAYS, began),
    );
    const restore = await prepareRestoring(cluster, fault, { before: [secret!] }, ledger);
    const data = { ...(secret!.data as object), 'tls.crt': encoded(certificate) };
    await cluster.objects.apply([{ ...applicable(secret!), data }]);
    return {
      tookHold: async () =>
        (await certificatesOf(cluster)).some((one) => one.name === name && one.pem === certificate),
      mend: restore,
    };
  },
  'cluster',
);

/** That of the server: of all it is the one whose Secret a running pod needs not any more. */
const certificateDeleted = injectorOf(
  'certificate-deleted',
  async ({ fault, fleet, ledger }) => {
    const cluster = named(fleet, fault.cluster);
    const secret = await existing(cluster, systemReference('v1', 'Secret', CERTIFICATES.server));
    const restore = await prepareRestoring(cluster, fault, { before: [secret] }, ledger);
    await cluster.objects.delete([secret]);
    return {
      tookHold: async () => (await cluster.objects.read(secret)) === undefined,
      mend: restore,
    };
  },
  'cluster',
);

export const meshInjectors = (sharing: CiliumSharing): readonly FaultInjector[] => [
  deleted,
  loopback,
  stopped,
  ending,
  certificateDeleted,
  probesRefused,
  ...(sharing === 'mcs-api' ? [notExported] : [notOffered, everythingShared]),
];
