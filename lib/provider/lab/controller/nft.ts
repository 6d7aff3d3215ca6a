/** Service addresses as nftables rules: what kube-proxy does, in one table that is replaced as a whole. */
import type { IpFamily } from '../../../model/cidr.ts';
import type { ServicePort, Zone } from '../../../model/workload.ts';
import { type Endpoint, type ServiceState, endpointsBehind } from './state.ts';

export const SERVICES_TABLE = 'inet mcnet_services';

const FAMILIES: readonly IpFamily[] = ['ipv4', 'ipv6'];
const EXPRESSION: Record<IpFamily, 'ip' | 'ip6'> = { ipv4: 'ip', ipv6: 'ip6' };

/** A service address and what answers there. */
interface Frontend {
  readonly family: IpFamily;
  readonly address: string;
  readonly ports: readonly ServicePort[];
  readonly endpoints: readonly Endpoint[];
}

/**
 * Input of `nft -f`: one transaction that replaces the table.
 * - A new flow to a service address goes to the next endpoint in turn: with n endpoints, n flows see all of them.
 * - What is left for a service address afterwards (no endpoint, or no such port) is refused at once. Rejecting before
 *   the routing decision needs Linux 5.9; it makes the refusal independent of where the service range is routed.
 * - A workload that reaches itself gets the gateway as its peer, or it would answer itself directly.
 */
export function renderNft(state: readonly ServiceState[]): string {
  const frontends = state.flatMap(frontendsOf);
  return [
    `table ${SERVICES_TABLE} {}`,
    `delete table ${SERVICES_TABLE}`,
    `table ${SERVICES_TABLE} {`,
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    ...frontends.flatMap(renderForwarding),
    '  }',
    '  chain unserved {',
    '    type filter hook prerouting priority dstnat + 10; policy accept;',
    ...FAMILIES.flatMap((family) => renderRefusal(frontends, family)),
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...FAMILIES.flatMap((family) => renderHairpin(frontends, family)),
    '  }',
    '}',
    '',
  ].join('\n');
}

function frontendsOf(state: ServiceState): Frontend[] {
  const { spec, clusterIps, clustersetIps, shared } = state.service;
  const addresses: [Zone, typeof clusterIps][] = [['cluster.local', clusterIps]];
  if (shared) addresses.push(['clusterset.local', clustersetIps]);
  return addresses.flatMap(([zone, perFamily]) =>
    FAMILIES.flatMap((family) => {
      const address = perFamily[family];
      if (address === undefined) return [];
      return [{ family, address, ports: spec.ports, endpoints: endpointsBehind(state, zone, family) }];
    }),
  );
}

function renderForwarding({ family, address, ports, endpoints }: Frontend): string[] {
  if (endpoints.length === 0) return [];
  const expression = EXPRESSION[family];
  const map = unique(endpoints.map((endpoint) => endpoint.address))
    .map((target, index) => `${index} : ${target}`)
    .join(', ');
  const targets = `numgen inc mod ${new Set(endpoints.map((endpoint) => endpoint.address)).size} map { ${map} }`;
  return ports.map(
    ({ port, protocol }) =>
      `    ${expression} daddr ${address} ${protocol} dport ${port} dnat ${expression} to ${targets}`,
  );
}

function renderRefusal(frontends: readonly Frontend[], family: IpFamily): string[] {
  const addresses = unique(frontends.filter((one) => one.family === family).map(({ address }) => address));
  if (addresses.length === 0) return [];
  const toService = `${EXPRESSION[family]} daddr { ${addresses.join(', ')} }`;
  return [
    `    ${toService} meta l4proto tcp reject with tcp reset`,
    `    ${toService} reject with icmpx type port-unreachable`,
  ];
}

function renderHairpin(frontends: readonly Frontend[], family: IpFamily): string[] {
  const expression = EXPRESSION[family];
  const addresses = unique(
    frontends
      .filter((frontend) => frontend.family === family)
      .flatMap(({ endpoints }) => endpoints.map(({ address }) => address)),
  );
  if (addresses.length === 0) return [];
  const pairs = addresses.map((address) => `${address} . ${address}`).join(', ');
  return [`    ct status dnat ${expression} saddr . ${expression} daddr { ${pairs} } masquerade`];
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
