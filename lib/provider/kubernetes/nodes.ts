/** What nodes say of themselves. Pure. */
import { mapFamilies } from '../../model/addressing.ts';
import type { PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';

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

function firstOfEach(values: readonly string[]): PerFamily<string> {
  const found: { ipv4?: string; ipv6?: string } = {};
  for (const value of values) found[value.includes(':') ? 'ipv6' : 'ipv4'] ??= value;
  return mapFamilies(found, (value) => value);
}
