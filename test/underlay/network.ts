/** A planned fleet without anything real: what the pure parts are computed from. */
import {
  type AddressPlan,
  DEFAULT_IPV6_POOL,
  DEFAULT_POOL,
  DEFAULT_SITE_PREFIX,
  IPV6_SITE_PREFIX,
  RANGE_KINDS,
  addressesAt,
  ipv4Shared,
  ipv6Shared,
  siteBlock,
  splitIpv6Site,
  splitSite,
} from '../../lib/model/addressing.ts';
import { type Cidr, type IpFamily, type PerFamily, parseCidr, subnet } from '../../lib/model/cidr.ts';
import type { Topology } from '../../lib/model/topology.ts';

export function planOf(names: readonly string[], families: readonly IpFamily[]): AddressPlan {
  const pool6 = parseCidr(DEFAULT_IPV6_POOL);
  const perFamily = (ipv4: string, ipv6: string): PerFamily<string> => ({
    ...(families.includes('ipv4') && { ipv4 }),
    ...(families.includes('ipv6') && { ipv6 }),
  });
  const clusters = names.map((name, index) => {
    const block = siteBlock(parseCidr(DEFAULT_POOL), DEFAULT_SITE_PREFIX, index) as Cidr;
    const four = splitSite(block);
    const six = splitIpv6Site(subnet(pool6, IPV6_SITE_PREFIX, index));
    return [name, Object.fromEntries(RANGE_KINDS.map((kind) => [kind, perFamily(four[kind], six[kind])]))];
  });
  const shared6 = ipv6Shared(pool6);
  return {
    pool: DEFAULT_POOL,
    prefix: DEFAULT_SITE_PREFIX,
    ipv6Pool: DEFAULT_IPV6_POOL,
    clusters: Object.fromEntries(clusters) as AddressPlan['clusters'],
    wan: perFamily(ipv4Shared.wan, shared6.wan),
    tunnel: perFamily(ipv4Shared.tunnel, shared6.tunnel),
  };
}

export function networkOf(topology: Topology, families: readonly IpFamily[], run = 'abc123') {
  const plan = planOf(
    topology.members.map(({ name }) => name),
    families,
  );
  return {
    run,
    topology,
    plan,
    families,
    clusters: topology.members.map(({ name }, index) => ({
      name,
      ranges: plan.clusters[name] as AddressPlan['clusters'][string],
      gateway: { wanAddresses: addressesAt(plan.wan, index + 1), wanInterface: 'wan' },
    })),
  };
}
