/** What every technology on Kubernetes asks of clusters and their objects. */
import type { Cluster, KubernetesCluster, KubernetesObject, ObjectReference } from '../../model/cluster.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import { within } from '../../system/clock.ts';

/** @throws UserError for clusters without an API server */
export function asKubernetes(cluster: Cluster, technology: string): KubernetesCluster {
  if (cluster.kind === 'kubernetes') return cluster as KubernetesCluster;
  throw new UserError(`${technology} needs Kubernetes, and ${cluster.name} has none`, {
    where: '--provider',
    remedy: 'Choose --provider kind, or attach to clusters with --context',
  });
}

/** The command line for a person that asks this cluster. */
export const kubectl = ({ context }: KubernetesCluster, ...words: readonly string[]): string =>
  ['kubectl', '--context', context, ...words].join(' ');

export const isReady = (pod: KubernetesObject): boolean => {
  const { conditions = [] } = (pod.status ?? {}) as {
    conditions?: readonly { type: string; status: string }[];
  };
  return (
    pod.metadata.deletionTimestamp === undefined &&
    conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
  );
};

export const namespaceReference = (name: string): ObjectReference => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name },
});

/** Data of a Secret, decoded. */
export function secretText(secret: KubernetesObject | undefined, key: string): string | undefined {
  const data = secret?.data as Readonly<Record<string, string>> | undefined;
  const value = data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

/** Data of a Secret, from text. */
export const encoded = (text: string): string => Buffer.from(text).toString('base64');

/** @throws InternalError when it is not there: an injector asks only for what the installation has made */
export async function existing(
  cluster: KubernetesCluster,
  reference: ObjectReference,
): Promise<KubernetesObject> {
  const object = await cluster.objects.read(reference);
  if (!object) throw new InternalError(`there is no ${reference.kind} ${reference.metadata.name}`);
  return object;
}

/** A control plane that starts may wait half a minute for clusters that it cannot reach. */
const HOLD_LIMIT_MS = 120_000;
const LOOK_MS = 500;

/** Whether it becomes so, as long as control planes may take. */
export const holds = (held: () => Promise<boolean>): Promise<boolean> => within(HOLD_LIMIT_MS, held, LOOK_MS);

/** Namespaces that callers and callees must share by name: where one has none of it, its services are others. */
export async function missingNamespaces(from: KubernetesCluster, to: KubernetesCluster): Promise<string[]> {
  const named = new Set(
    from.workloads
      .filter(({ spec }) => spec.overServices)
      .map(({ spec: { namespace } }) => from.namespaceOf(namespace)),
  );
  const found = await Promise.all(
    [...named].map(async (name) =>
      (await to.objects.read(namespaceReference(name))) === undefined ? [name] : [],
    ),
  );
  return found.flat();
}
