/** What can be broken in a mesh on purpose. How each is mended stands in the ledger before anything is changed. */
import path from 'node:path';
import { applicable } from '../../model/applicable.ts';
import type {
  FaultInjector,
  Fleet,
  KubernetesCluster,
  KubernetesObject,
  Ledger,
  ObjectReference,
} from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { type Disturbance, type FaultKind, type FaultSpec, mendOnce } from '../../model/fault.ts';
import { systemClock } from '../../system/clock.ts';
import { quoteCommand } from '../../system/commands.ts';
import { runtimeFolder, writeAtomically } from '../../system/files.ts';
import { createRoot, validFor } from './certificates.ts';
import { type ControlPlanes, asKubernetes } from './clusters.ts';
import { giveIntermediate } from './authorities.ts';
import { connectedProxies, controlPlanePods, isReady, watchedClusters } from './controlPlane.ts';
import { PROXY_CONTAINER, SYSTEM_NAMESPACE, remoteSecretName, secretText, systemReference } from './names.ts';
import { remoteSecret } from './objects.ts';
import { accessIn } from './links.ts';

/** A control plane that starts waits half a minute for clusters that it cannot reach. */
const HOLD_LIMIT_MS = 120_000;
const QUIT_LIMIT_MS = 10_000;
const POLL_MS = 500;
/** Label that the injector of proxies gives to pods. */
const PROXIED = 'security.istio.io/tlsMode=istio';

async function within(held: () => Promise<boolean>): Promise<boolean> {
  const end = systemClock.monotonic() + HOLD_LIMIT_MS;
  for (;;) {
    if (await held()) return true;
    if (systemClock.monotonic() > end) return false;
    await systemClock.sleep(POLL_MS);
  }
}

/** As an update does: what it knew of other clusters it has to learn anew. */
async function restartControlPlane(primary: KubernetesCluster): Promise<void> {
  const pods = await controlPlanePods(primary);
  const old = new Set(pods.map(({ metadata: { name } }) => name));
  await primary.objects.delete([...old].map((name) => systemReference('v1', 'Pod', name)));
  await within(async () =>
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
  await within(async () =>
    (await proxiedPods(cluster)).every(
      (pod) => isReady(pod) && restartsOf(pod) > (before.get(pod.metadata.name) ?? -1),
    ),
  );
}

/** Names of files of faults within a run. */
let faults = 0;

/** Notes how objects get back to what they are now, so that `clean` and a killed run can do it too. */
async function noteMending(
  fleet: Fleet,
  ledger: Ledger,
  cluster: KubernetesCluster,
  what: string,
  objects: readonly KubernetesObject[],
): Promise<void> {
  const file = path.join(runtimeFolder(fleet.run), `mesh-fault-${++faults}`);
  const items = { apiVersion: 'v1', kind: 'List', items: objects };
  await writeAtomically(`${file}.json`, JSON.stringify(items), 0o600);
  await noteCommand(file, ledger, cluster, what, [
    'apply',
    '--server-side',
    '--force-conflicts',
    '-f',
    `${file}.json`,
  ]);
}

/** @param words of kubectl */
async function noteCommand(
  file: string,
  ledger: Ledger,
  cluster: KubernetesCluster,
  what: string,
  words: readonly string[],
): Promise<void> {
  const kubectl = ['kubectl', '--kubeconfig', cluster.kubeconfig, '--context', cluster.context];
  await writeAtomically(`${file}.sh`, `${quoteCommand([...kubectl, ...words])}\n`, 0o600);
  await ledger.add({ description: what, undo: { kind: 'run', command: mendOnce(`${file}.sh`) } });
}

type Inject<K extends FaultKind> = (
  fault: Extract<FaultSpec, { kind: K }>,
  fleet: Fleet,
  ledger: Ledger,
) => Promise<Disturbance>;

const injector = <K extends FaultKind>(kind: K, inject: Inject<K>): FaultInjector => ({
  kinds: [kind],
  inject: (fault, fleet, ledger) => {
    if (fault.kind !== kind) throw new InternalError(`the injector of ${kind} was given ${fault.kind}`);
    return inject(fault as Extract<FaultSpec, { kind: K }>, fleet, ledger);
  },
});

export function meshInjectors(planes: ControlPlanes): readonly FaultInjector[] {
  const named = (fleet: Fleet, name: string): KubernetesCluster => {
    const found = fleet.clusters.find((cluster) => cluster.name === name);
    if (!found) throw new InternalError(`there is no cluster ${name}`);
    return asKubernetes(found);
  };
  const existing = async (cluster: KubernetesCluster, reference: ObjectReference) => {
    const object = await cluster.objects.read(reference);
    if (!object) throw new InternalError(`there is no ${reference.kind} ${reference.metadata.name}`);
    return applicable(object);
  };

  const secretDeleted = injector('remote-secret-deleted', async ({ at, cluster }, fleet, ledger) => {
    const primary = planes.primaryOf(named(fleet, at));
    const reference = systemReference('v1', 'Secret', remoteSecretName(cluster));
    const secret = await existing(primary, reference);
    await noteMending(fleet, ledger, primary, `remote secret for ${cluster} in ${primary.name}`, [secret]);
    await primary.objects.delete([reference]);
    return {
      tookHold: () => within(async () => (await watchedClusters(primary)).every(({ id }) => id !== cluster)),
      mend: async () => primary.objects.apply([secret]),
    };
  });

  const secretLoopback = injector('remote-secret-loopback', async ({ at, cluster }, fleet, ledger) => {
    const primary = planes.primaryOf(named(fleet, at));
    const reference = systemReference('v1', 'Secret', remoteSecretName(cluster));
    const secret = await existing(primary, reference);
    const { token = '' } = accessIn(secret, cluster);
    const config = JSON.parse(secretText(secret, cluster) ?? '{}') as {
      clusters?: readonly { cluster?: { 'certificate-authority-data'?: string } }[];
    };
    await noteMending(fleet, ledger, primary, `remote secret for ${cluster} in ${primary.name}`, [secret]);
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
        within(async () => {
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
        await primary.objects.apply([secret]);
        await within(async () =>
          (await watchedClusters(primary)).some(({ id, status }) => id === cluster && status === 'synced'),
        );
      },
    };
  });

  const stopped = injector('control-plane-stopped', async ({ cluster }, fleet, ledger) => {
    const primary = planes.primaryOf(named(fleet, cluster));
    const deployment = systemReference('apps/v1', 'Deployment', 'istiod');
    const scaled = (replicas: number): KubernetesObject => ({ ...deployment, spec: { replicas } });
    const file = path.join(runtimeFolder(fleet.run), `mesh-fault-${++faults}`);
    // A deployment of replicas alone is none that a client could apply.
    await noteCommand(file, ledger, primary, `control plane of ${primary.name}`, [
      ...['--namespace', SYSTEM_NAMESPACE, 'scale', 'deployment', 'istiod', '--replicas', '1'],
    ]);
    await primary.objects.apply([scaled(0)]);
    return {
      tookHold: () => within(async () => !(await controlPlanePods(primary)).some(isReady)),
      mend: async () => {
        await primary.objects.apply([scaled(1)]);
        await within(async () => (await controlPlanePods(primary)).some(isReady));
      },
    };
  });

  const clearText = injector('clear-text-accepted', async ({ cluster, namespace }, fleet, ledger) => {
    const place = named(fleet, cluster);
    const primary = planes.primaryOf(place);
    const reference: ObjectReference = {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: place.namespaceOf(namespace) },
    };
    const before = await existing(primary, reference);
    await noteMending(fleet, ledger, primary, `PeerAuthentication of ${namespace} in ${primary.name}`, [
      before,
    ]);
    await primary.objects.apply([{ ...before, spec: { mtls: { mode: 'PERMISSIVE' } } }]);
    return {
      tookHold: async () => (await primary.objects.read(reference)) !== undefined,
      mend: async () => primary.objects.apply([before]),
    };
  });

  const policyMissing = injector('identity-policy-missing', async ({ cluster, namespace }, fleet, ledger) => {
    const place = named(fleet, cluster);
    const primary = planes.primaryOf(place);
    const policies = (
      await primary.objects.list({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        namespace: place.namespaceOf(namespace),
      })
    ).map(applicable);
    await noteMending(
      fleet,
      ledger,
      primary,
      `AuthorizationPolicies of ${namespace} in ${primary.name}`,
      policies,
    );
    await primary.objects.delete(policies);
    return {
      tookHold: async () => policies.length > 0,
      mend: async () => primary.objects.apply(policies),
    };
  });

  const foreignRoot = injector('foreign-root', async ({ cluster }, fleet, ledger) => {
    const place = named(fleet, cluster);
    const before = await existing(place, systemReference('v1', 'Secret', 'cacerts'));
    await noteMending(fleet, ledger, place, `certificate authority of ${cluster}`, [before]);
    const now = new Date(systemClock.now());
    await giveIntermediate(place, await createRoot('a root of its own', validFor(365, now)), now);
    await restartControlPlane(place);
    const root = async (): Promise<string | undefined> => {
      const map = await place.objects.read(systemReference('v1', 'ConfigMap', 'istio-ca-root-cert'));
      return (map?.data as Record<string, string> | undefined)?.['root-cert.pem'];
    };
    const original = secretText(before, 'root-cert.pem')?.trim();
    await within(async () => (await root())?.trim() !== original);
    await restartProxies(place);
    return {
      tookHold: async () => (await root())?.trim() !== original,
      mend: async () => {
        await place.objects.apply([before]);
        await restartControlPlane(place);
        await within(async () => (await root())?.trim() === original);
        await restartProxies(place);
      },
    };
  });

  return [secretDeleted, secretLoopback, stopped, clearText, policyMissing, foreignRoot];
}
