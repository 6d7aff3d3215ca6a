/** What can be broken in a mesh on purpose. How each is mended stands in the ledger before anything is changed. */
import type {
  FaultInjector,
  Fleet,
  KubernetesCluster,
  KubernetesObject,
  ObjectReference,
} from '../../model/cluster.ts';
import { applicable } from '../../model/applicable.ts';
import type { Disturbance } from '../../model/fault.ts';
import { type FaultOf, type Injection, clusterOf, injectorOf, workloadOf } from '../../model/injection.ts';
import { prepareRestoring } from '../../model/mending.ts';
import type { WorkloadSpec } from '../../model/workload.ts';
import { systemClock } from '../../system/clock.ts';
import { existing, holds, isReady, secretText } from '../common/clusters.ts';
import { createRoot, validFor } from '../common/certificates.ts';
import { type ClusterLocal, MESH_CONFIG_REFERENCE, hostOf } from './clusterLocal.ts';
import { type ControlPlanes, asKubernetes } from './clusters.ts';
import { giveIntermediates } from './authorities.ts';
import { connectedProxies, controlPlanePods, watchedClusters } from './controlPlane.ts';
import {
  AUTHORITY,
  type AuthorityName,
  ENDING_AUTHORITY,
  LABELS,
  NEXT_AUTHORITY,
  PROXY_CONTAINER,
  remoteSecretName,
  systemReference,
} from './names.ts';
import { remoteSecret } from './objects.ts';
import { accessIn, hasProxy } from './links.ts';

const QUIT_LIMIT_MS = 10_000;
/** From a change of the mesh's configuration until the proxies have it. */
const PUSH_MS = 3_000;
/** Label that the injector of proxies gives to pods. */
const PROXIED = 'security.istio.io/tlsMode=istio';

/** As an update does: what it knew of other clusters it has to learn anew. */
async function restartControlPlane(primary: KubernetesCluster): Promise<void> {
  const pods = await controlPlanePods(primary);
  const old = new Set(pods.map(({ metadata: { name } }) => name));
  await primary.objects.delete([...old].map((name) => systemReference('v1', 'Pod', name)));
  await holds(async () =>
    (await controlPlanePods(primary)).some((pod) => isReady(pod) && !old.has(pod.metadata.name)),
  );
}

const proxiedPods = (cluster: KubernetesCluster): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: PROXIED });

/** How often the containers of a pod were started again, all together. */
function restartsOf({ status }: KubernetesObject): number {
  const { containerStatuses = [], initContainerStatuses = [] } = (status ?? {}) as Readonly<
    Record<string, readonly { restartCount: number }[]>
  >;
  return [...containerStatuses, ...initContainerStatuses].reduce((sum, one) => sum + one.restartCount, 0);
}

/** Proxies that start anew ask for a certificate: one that lasts a day would hide what issues them. */
async function restartProxies(cluster: KubernetesCluster): Promise<void> {
  const pods = await proxiedPods(cluster);
  const before = new Map(pods.map((pod) => [pod.metadata.name, restartsOf(pod)] as const));
  await Promise.all(
    pods.map(({ metadata: { name, namespace = '' } }) =>
      cluster.objects
        .exec(
          { namespace, name, container: PROXY_CONTAINER },
          ['pilot-agent', 'request', 'POST', 'quitquitquit'],
          { timeoutMs: QUIT_LIMIT_MS },
        )
        // The session may end with the proxy; whether it started anew is looked at.
        .catch(() => undefined),
    ),
  );
  await holds(async () =>
    (await proxiedPods(cluster)).every(
      (pod) => isReady(pod) && restartsOf(pod) > (before.get(pod.metadata.name) ?? -1),
    ),
  );
}

const modeOf = (object: KubernetesObject | undefined): string | undefined =>
  (object?.['spec'] as { readonly mtls?: { readonly mode?: string } } | undefined)?.mtls?.mode;

export function meshInjectors(planes: ControlPlanes, clusterLocal: ClusterLocal): readonly FaultInjector[] {
  const named = (fleet: Fleet, name: string): KubernetesCluster => asKubernetes(clusterOf(fleet, name));
  /** Control planes of callers elsewhere, noted with the configuration of their mesh as it is now. */
  const elsewhere = async ({
    fault,
    fleet,
    ledger,
  }: Injection<FaultOf<'service-not-shared' | 'everything-exported'>>): Promise<KubernetesCluster[]> => {
    const others = fleet.clusters.filter(({ name }) => name !== fault.cluster);
    const primaries = [...new Set(others.map(({ name }) => planes.primaryOf(named(fleet, name))))];
    for (const primary of primaries) {
      const before = [await existing(primary, MESH_CONFIG_REFERENCE)];
      await prepareRestoring(primary, fault, { before }, ledger);
    }
    return primaries;
  };

  const secretDeleted = injectorOf(
    'remote-secret-deleted',
    async ({ fault, fleet, ledger }) => {
      const { at, cluster } = fault;
      const primary = planes.primaryOf(named(fleet, at));
      const reference = systemReference('v1', 'Secret', remoteSecretName(cluster));
      const secret = await existing(primary, reference);
      const restore = await prepareRestoring(primary, fault, { before: [secret] }, ledger);
      await primary.objects.delete([reference]);
      return {
        tookHold: () => holds(async () => (await watchedClusters(primary)).every(({ id }) => id !== cluster)),
        mend: restore,
      };
    },
    'cluster',
  );

  const secretLoopback = injectorOf(
    'remote-secret-loopback',
    async ({ fault, fleet, ledger }) => {
      const { at, cluster } = fault;
      const primary = planes.primaryOf(named(fleet, at));
      const reference = systemReference('v1', 'Secret', remoteSecretName(cluster));
      const secret = await existing(primary, reference);
      const { token = '' } = accessIn(secret, cluster);
      const config = JSON.parse(secretText(secret, cluster) ?? '{}') as {
        clusters?: readonly { cluster?: { 'certificate-authority-data'?: string } }[];
      };
      const restore = await prepareRestoring(primary, fault, { before: [secret] }, ledger);
      await primary.objects.apply([
        remoteSecret({
          cluster,
          server: 'https://127.0.0.1:6443',
          authority: config.clusters?.[0]?.cluster?.['certificate-authority-data'] ?? '',
          token,
        }),
      ]);
      // One that runs keeps the connection that it has until a new one works.
      await restartControlPlane(primary);
      return {
        // Proxies keep what they were told last until they have found the new control plane.
        tookHold: () =>
          holds(async () => {
            const [watched, connected, pods] = await Promise.all([
              watchedClusters(primary),
              connectedProxies(primary),
              proxiedPods(primary),
            ]);
            return (
              watched.every(({ id, status }) => id !== cluster || status !== 'synced') &&
              pods.every(({ metadata: { name } }) =>
                connected.some((proxy) => proxy.name.startsWith(`${name}.`)),
              )
            );
          }),
        mend: async () => {
          await restore();
          await holds(async () =>
            (await watchedClusters(primary)).some(({ id, status }) => id === cluster && status === 'synced'),
          );
        },
      };
    },
    'cluster',
  );

  const stopped = injectorOf(
    'control-plane-stopped',
    async ({ fault, fleet, ledger }) => {
      const { cluster } = fault;
      const primary = planes.primaryOf(named(fleet, cluster));
      const deployment = systemReference('apps/v1', 'Deployment', 'istiod');
      const scaled = (replicas: number): KubernetesObject => ({ ...deployment, spec: { replicas } });
      const restore = await prepareRestoring(primary, fault, { before: [scaled(1)] }, ledger);
      await primary.objects.apply([scaled(0)]);
      return {
        tookHold: () => holds(async () => !(await controlPlanePods(primary)).some(isReady)),
        mend: async () => {
          await restore();
          await holds(async () => (await controlPlanePods(primary)).some(isReady));
        },
      };
    },
    'cluster',
  );

  const clearText = injectorOf('clear-text-accepted', async ({ fault, fleet, ledger }) => {
    const { cluster, namespace } = fault;
    const place = named(fleet, cluster);
    const primary = planes.primaryOf(place);
    const reference: ObjectReference = {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: place.namespaceOf(namespace) },
    };
    const before = await existing(primary, reference);
    const restore = await prepareRestoring(primary, fault, { before: [before] }, ledger);
    await primary.objects.apply([{ ...applicable(before), spec: { mtls: { mode: 'PERMISSIVE' } } }]);
    return {
      tookHold: async () => modeOf(await primary.objects.read(reference)) === 'PERMISSIVE',
      mend: restore,
    };
  });

  const policyMissing = injectorOf('identity-policy-missing', async ({ fault, fleet, ledger }) => {
    const { cluster, namespace } = fault;
    const place = named(fleet, cluster);
    const primary = planes.primaryOf(place);
    const standing = (): Promise<readonly KubernetesObject[]> =>
      primary.objects.list({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        namespace: place.namespaceOf(namespace),
      });
    const policies = await standing();
    const restore = await prepareRestoring(primary, fault, { before: policies }, ledger);
    await primary.objects.delete(policies);
    return {
      tookHold: async () => policies.length > 0 && (await standing()).length === 0,
      mend: restore,
    };
  });

  // A pod of the run: nothing outlasts it that would have to be noted.
  const proxyMissing = injectorOf('proxy-missing', async ({ fault, fleet }) => {
    const place = named(fleet, fault.cluster);
    const { spec } = workloadOf(place, fault.workload);
    const startAnew = async (wanted: WorkloadSpec): Promise<void> => {
      await place.stopWorkload(workloadOf(place, fault.workload));
      await place.startWorkload(wanted);
    };
    await startAnew({ ...spec, labels: { ...spec.labels, [LABELS.inject]: 'false' } });
    let mended = false;
    return {
      tookHold: async () => {
        const metadata = { name: spec.name, namespace: place.namespaceOf(spec.namespace) };
        const pod = await place.objects.read({ apiVersion: 'v1', kind: 'Pod', metadata });
        return pod !== undefined && !hasProxy(pod);
      },
      mend: async () => {
        if (mended) return;
        await startAnew(spec);
        mended = true;
      },
    };
  });

  const foreignRoot = injectorOf(
    'foreign-root',
    async ({ fault, fleet, ledger }) => {
      const { cluster } = fault;
      const place = named(fleet, cluster);
      const before = await existing(place, systemReference('v1', 'Secret', AUTHORITY));
      const restore = await prepareRestoring(place, fault, { before: [before] }, ledger);
      const now = new Date(systemClock.now());
      const root = await createRoot('a root of its own', validFor(365, now));
      await giveIntermediates(place, root, { now, names: [AUTHORITY] });
      await restartControlPlane(place);
      const trusted = async (): Promise<string | undefined> => {
        const map = await place.objects.read(systemReference('v1', 'ConfigMap', 'istio-ca-root-cert'));
        return (map?.data as Record<string, string> | undefined)?.['root-cert.pem'];
      };
      const original = secretText(before, 'root-cert.pem')?.trim();
      await holds(async () => (await trusted())?.trim() !== original);
      await restartProxies(place);
      return {
        tookHold: async () => (await trusted())?.trim() !== original,
        mend: async () => {
          await restore();
          await restartControlPlane(place);
          await holds(async () => (await trusted())?.trim() === original);
          await restartProxies(place);
        },
      };
    },
    'cluster',
  );

  /** The control plane of a cluster signs with one of the intermediates that wait beside its own. */
  async function signWith(
    name: AuthorityName,
    { fault, fleet, ledger }: Injection<FaultOf<'intermediate-rotated' | 'certificate-ending'>>,
    restartHolders: (primary: KubernetesCluster) => Promise<void>,
  ): Promise<Disturbance> {
    const primary = planes.primaryOf(named(fleet, fault.cluster));
    const reference = systemReference('v1', 'Secret', AUTHORITY);
    const [before, next] = await Promise.all([
      existing(primary, reference),
      existing(primary, systemReference('v1', 'Secret', name)),
    ]);
    const restore = await prepareRestoring(primary, fault, { before: [before] }, ledger);
    await primary.objects.apply([{ ...applicable(before), data: next.data }]);
    await restartControlPlane(primary);
    await restartHolders(primary);
    const certificateOf = (secret: KubernetesObject | undefined) => secretText(secret, 'ca-cert.pem');
    return {
      tookHold: async () => {
        const [now, pods] = await Promise.all([primary.objects.read(reference), controlPlanePods(primary)]);
        return certificateOf(now) === certificateOf(next) && pods.some(isReady);
      },
      mend: async () => {
        await restore();
        await restartControlPlane(primary);
        await restartHolders(primary);
      },
    };
  }

  const rotated = injectorOf(
    'intermediate-rotated',
    (injection) => signWith(NEXT_AUTHORITY, injection, async () => undefined),
    'cluster',
  );

  const ending = injectorOf(
    'certificate-ending',
    (injection) =>
      signWith(ENDING_AUTHORITY, injection, () =>
        restartProxies(named(injection.fleet, injection.fault.cluster)),
      ),
    'cluster',
  );

  /** As its documentation has it: what is cluster-local to the callers has no endpoints elsewhere. */
  const notShared = injectorOf(
    'service-not-shared',
    async (injection) => {
      const { fault, fleet } = injection;
      const host = hostOf(fault.service, named(fleet, fault.cluster).namespaceOf(fault.namespace));
      const primaries = await elsewhere(injection);
      for (const primary of primaries) await clusterLocal.add(primary, [host]);
      return {
        tookHold: async () => {
          const known = await Promise.all(
            primaries.map((primary) => holds(() => clusterLocal.isKnown(primary, host))),
          );
          await systemClock.sleep(PUSH_MS);
          return !known.includes(false);
        },
        // Others of its kind may stand.
        mend: async () => {
          for (const primary of primaries) await clusterLocal.remove(primary, [host]);
        },
      };
    },
    'cluster',
  );

  /** As a mesh is whose configuration was written anew by somebody who knew of no service that is to be kept. */
  const everythingShared = injectorOf(
    'everything-exported',
    async (injection) => {
      const primaries = await elsewhere(injection);
      const kept = await Promise.all(
        primaries.map(async (primary) => ({ primary, hosts: await clusterLocal.hosts(primary) })),
      );
      for (const { primary, hosts } of kept) await clusterLocal.remove(primary, hosts);
      return {
        tookHold: async () => {
          const forgotten = await Promise.all(
            kept.flatMap(({ primary, hosts }) =>
              hosts.map((host) => holds(async () => !(await clusterLocal.isKnown(primary, host)))),
            ),
          );
          await systemClock.sleep(PUSH_MS);
          return forgotten.length > 0 && !forgotten.includes(false);
        },
        mend: async () => {
          for (const { primary, hosts } of kept) await clusterLocal.add(primary, hosts);
        },
      };
    },
    'cluster',
  );

  return [
    notShared,
    everythingShared,
    secretDeleted,
    secretLoopback,
    stopped,
    clearText,
    policyMissing,
    proxyMissing,
    foreignRoot,
    rotated,
    ending,
  ];
}
