/** Whether a pod takes part, as its own status says. Pure. */
import type { KubernetesObject } from './cluster.ts';

/** Ready, and not about to go. */
export function isReady(pod: KubernetesObject): boolean {
  const { conditions = [] } = (pod.status ?? {}) as {
    conditions?: readonly { type: string; status: string }[];
  };
  return (
    pod.metadata.deletionTimestamp === undefined &&
    conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
  );
}
