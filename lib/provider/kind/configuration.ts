/** What kind is told of a cluster. Pure. */
import type { ClusterRanges } from '../../model/addressing.ts';
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { KubernetesRequirements } from '../../model/cluster.ts';

export interface ClusterWish {
  readonly name: string;
  readonly ranges: ClusterRanges;
  readonly families: readonly IpFamily[];
  readonly nodes: number;
  readonly defaultCni: boolean;
  readonly kubeProxy: KubernetesRequirements['kubeProxy'];
}

const familyName = (families: readonly IpFamily[]): 'ipv4' | 'ipv6' | 'dual' =>
  families.length > 1 ? 'dual' : (families[0] ?? 'ipv4');

/** As kind and kubeadm take them: IPv4 first, separated by a comma. */
const listed = (range: PerFamily<string>, families: readonly IpFamily[]): string =>
  families.flatMap((family) => range[family] ?? []).join(',');

/** Every node takes workloads: kubeadm's own taint would leave those of a control plane empty beside workers. */
const UNTAINTED = JSON.stringify({ kind: 'InitConfiguration', nodeRegistration: { taints: [] } });
/** A node's block of IPv6 addresses must be at most 16 bits longer than the cluster's. */
const IPV6_NODE_MASK = JSON.stringify({
  kind: 'ClusterConfiguration',
  controllerManager: { extraArgs: { 'node-cidr-mask-size-ipv6': '80' } },
});

/** Configuration of kind (v1alpha4) as JSON, which is YAML. */
export function renderKindConfiguration(wish: ClusterWish): string {
  const patches = [
    ...(wish.nodes > 1 ? [UNTAINTED] : []),
    ...(wish.families.includes('ipv6') ? [IPV6_NODE_MASK] : []),
  ];
  return JSON.stringify({
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    name: wish.name,
    networking: {
      ipFamily: familyName(wish.families),
      podSubnet: listed(wish.ranges.pods, wish.families),
      serviceSubnet: listed(wish.ranges.services, wish.families),
      disableDefaultCNI: !wish.defaultCni,
      ...(wish.kubeProxy === 'none' && { kubeProxyMode: 'none' }),
    },
    ...(patches.length > 0 && { kubeadmConfigPatches: patches }),
    nodes: Array.from({ length: wish.nodes }, (_, index) => ({
      role: index === 0 ? 'control-plane' : 'worker',
    })),
  });
}
