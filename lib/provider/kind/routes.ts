/** How packets get from a cluster's nodes to its gateway and back, as shell scripts. Every line may be repeated. Pure. */
import type { AddressPlan } from '../../model/addressing.ts';
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { KubernetesNode } from '../../model/cluster.ts';

type Plan = Pick<AddressPlan, 'clusters'>;

const PROGRAM: Readonly<Record<IpFamily, string>> = { ipv4: 'iptables', ipv6: 'ip6tables' };

/** What the lab sets in its namespaces too, and for the same reasons. */
export const QUIET_SETTINGS: Readonly<Record<string, string>> = {
  'net.ipv4.conf.all.rp_filter': '0',
  'net.ipv4.conf.default.rp_filter': '0',
  'net.ipv4.conf.all.send_redirects': '0',
  'net.ipv4.conf.default.send_redirects': '0',
  'net.ipv4.conf.all.accept_redirects': '0',
  // The default allows one ICMP error a second to each peer: too few for a sweep of path MTUs.
  'net.ipv4.icmp_ratelimit': '0',
};

const renderSettings = (settings: Readonly<Record<string, string>>): string[] =>
  Object.entries(settings).map(([key, value]) => {
    const file = `/proc/sys/${key.replaceAll('.', '/')}`;
    return `[ ! -w ${file} ] || echo ${value} > ${file}`;
  });

export interface NodeRouting {
  readonly plan: Plan;
  readonly families: readonly IpFamily[];
  readonly cluster: string;
  readonly gateway: PerFamily<string>;
  /** Whether pods reach pods of other clusters by their own addresses; else only nodes reach nodes. */
  readonly podRoutes: boolean;
}

/**
 * For each node: the other clusters by way of the gateway. Pods keep their addresses on the way to other clusters'
 * pods, whatever the CNI rewrites otherwise; where pods are not routed they borrow their node's address.
 */
export function renderNodeRoutes({ plan, families, cluster, gateway, podRoutes }: NodeRouting): string {
  const own = plan.clusters[cluster];
  const others = Object.entries(plan.clusters).filter(([name]) => name !== cluster);
  const commands = families.flatMap((family) => {
    const [via, pods] = [gateway[family], own?.pods[family]];
    if (via === undefined || pods === undefined) return [];
    const kinds = podRoutes ? (['pods', 'nodes'] as const) : (['nodes'] as const);
    const ranges = others.flatMap(([, other]) => kinds.flatMap((kind) => other[kind][family] ?? []));
    const target = podRoutes ? 'ACCEPT' : 'MASQUERADE';
    return ranges.flatMap((range) => {
      const rule = `POSTROUTING -s ${pods} -d ${range} -j ${target}`;
      const nat = `${PROGRAM[family]} -w -t nat`;
      return [`ip route replace ${range} via ${via}`, `${nat} -C ${rule} 2> /dev/null || ${nat} -I ${rule}`];
    });
  });
  return [...renderSettings(QUIET_SETTINGS), ...commands, ''].join('\n');
}

/**
 * For the gateway: the own pods by way of the nodes that have them, and nothing by a default route, which would lead
 * out of this machine in clear text.
 */
export function renderGatewayRoutes(
  nodes: readonly Pick<KubernetesNode, 'addresses' | 'podRanges'>[],
  families: readonly IpFamily[],
): string {
  return [
    ...families.map(
      (family) => `ip ${family === 'ipv6' ? '-6' : '-4'} route del default 2> /dev/null || true`,
    ),
    ...nodes.flatMap(({ addresses, podRanges }) =>
      families.flatMap((family) => {
        const [range, via] = [podRanges[family], addresses[family]];
        return range === undefined || via === undefined ? [] : [`ip route replace ${range} via ${via}`];
      }),
    ),
    '',
  ].join('\n');
}
