/** What nodes say of themselves. Pure. */
import { mapFamilies } from '../../model/addressing.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import type { Toleration } from '../../model/spec.ts';

export function addressesOf(node: KubernetesObject): PerFamily<string> {
  const { addresses = [] } = (node['status'] ?? {}) as {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
  };
  return firstOfEach(addresses.filter(({ type }) => type === 'InternalIP').map(({ address }) => address));
}

/** Empty where addresses of pods are managed by somebody else than the node controller. */
export function podRangesOf(node: KubernetesObject): PerFamily<string> {
  const { podCIDRs = [] } = (node['spec'] ?? {}) as { readonly podCIDRs?: readonly string[] };
  return firstOfEach(podCIDRs);
}

/** As the scheduler sees it: cordoned, tainted and unselected nodes take none. */
export function takesPods(
  node: KubernetesObject,
  {
    nodeSelector,
    tolerations,
  }: { nodeSelector: Readonly<Record<string, string>>; tolerations: readonly Toleration[] },
): boolean {
  const { unschedulable = false, taints = [] } = (node['spec'] ?? {}) as {
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  };
  const labels = node.metadata.labels ?? {};
  return (
    !unschedulable &&
    Object.entries(nodeSelector).every(([key, value]) => labels[key] === value) &&
    taints.every(
      (taint) =>
        taint.effect === 'PreferNoSchedule' ||
        tolerations.some(
          ({ key, value, effect }) =>
            key === taint.key &&
            (value === undefined || value === (taint.value ?? '')) &&
            (effect === undefined || effect === taint.effect),
        ),
    )
  );
}

function firstOfEach(values: readonly string[]): PerFamily<string> {
  const found: { ipv4?: string; ipv6?: string } = {};
  for (const value of values) found[value.includes(':') ? 'ipv6' : 'ipv4'] ??= value;
  return mapFamilies(found, (value) => value);
}
