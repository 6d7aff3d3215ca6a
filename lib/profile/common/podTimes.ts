/** What pods of a technology tell of how they came up. Pure. */
import type { KubernetesObject } from '../../model/cluster.ts';

interface Condition {
  readonly type: string;
  readonly status: string;
  /** RFC 3339, in whole seconds. */
  readonly lastTransitionTime?: string;
}

const MOMENTS = [
  ['PodScheduled', 'on a node'],
  ['Ready', 'ready'],
] as const;

/** `istiod on a node after 9 s, ready after 14 s`: since each was made; nothing where none says so. */
export function podTimes(pods: readonly KubernetesObject[]): string | undefined {
  const told = pods.flatMap((pod) => {
    const { name, labels, creationTimestamp } = pod.metadata;
    const { conditions = [] } = (pod['status'] ?? {}) as { readonly conditions?: readonly Condition[] };
    const moments = MOMENTS.flatMap(([type, words]) => {
      const at = conditions.find((one) => one.type === type && one.status === 'True')?.lastTransitionTime;
      const seconds = (Date.parse(at ?? '') - Date.parse(String(creationTimestamp))) / 1_000;
      return Number.isFinite(seconds) ? `${words} after ${seconds} s` : [];
    });
    return moments.length === 0 ? [] : `${labels?.['app'] ?? name} ${moments.join(', ')}`;
  });
  return told.length === 0 ? undefined : told.join('; ');
}
