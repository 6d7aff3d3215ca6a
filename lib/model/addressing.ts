import {
  type Cidr,
  type IpFamily,
  type PerFamily,
  addressAt,
  bitsOf,
  formatCidr,
  parseCidr,
  subnet,
} from './cidr.ts';

/** The three ranges of a cluster, as CIDR text. */
export interface ClusterRanges {
  readonly pods: PerFamily<string>;
  readonly services: PerFamily<string>;
  readonly nodes: PerFamily<string>;
}

export const RANGE_KINDS = ['pods', 'services', 'nodes'] as const;
export type RangeKind = (typeof RANGE_KINDS)[number];

/** The address plan of a fleet: a pool, the block each site gets, and what lies outside the sites. */
export interface AddressPlan {
  readonly pool: string;
  /** Prefix length of a site's IPv4 block. */
  readonly prefix: number;
  readonly ipv6Pool: string;
  /** Ranges by cluster name, in the order of the clusters. */
  readonly clusters: Readonly<Record<string, ClusterRanges>>;
  /** The network between the gateways; carries underlay traffic only. */
  readonly wan: PerFamily<string>;
  /** Addresses of the tunnel interfaces. */
  readonly tunnel: PerFamily<string>;
}

export const DEFAULT_POOL = '10.0.0.0/8';
export const DEFAULT_SITE_PREFIX = 12;
export const DEFAULT_IPV6_POOL = 'fd6d:636e:6574::/48';
/** RFC 2544 benchmarking range: never a site's own, so it can collide with no plan drawn from RFC 1918. */
const WAN = '198.18.0.0/16';
const TUNNEL = '198.19.0.0/16';
/** A site beyond the plain blocks gets one of these, cut from the pool's last plain block. */
export const OVERFLOW_PREFIX = 19;

/**
 * The IPv4 block of site `index`. Every site gets a plain block (10.0.0.0/12, 10.16.0.0/12, …) until only the pool's
 * last one is left; that one is cut into /19 blocks for all further sites. So a growing fleet never renumbers a site.
 * Undefined when the pool is used up.
 */
export function siteBlock(pool: Cidr, prefix: number, index: number): Cidr | undefined {
  if (prefix < pool.prefix) return undefined;
  const plain = 2 ** (prefix - pool.prefix);
  if (index < plain - 1) return subnet(pool, prefix, index);
  const last = subnet(pool, prefix, plain - 1);
  if (prefix >= OVERFLOW_PREFIX) return index === plain - 1 ? last : undefined;
  const overflow = index - (plain - 1);
  return overflow < 2 ** (OVERFLOW_PREFIX - prefix) ? subnet(last, OVERFLOW_PREFIX, overflow) : undefined;
}

/** How a site's block is split: half for pods, a quarter for services, a sixteenth for nodes, the rest is kept free. */
export function splitSite(block: Cidr): Record<RangeKind, string> {
  return {
    pods: formatCidr(subnet(block, block.prefix + 1, 0)),
    services: formatCidr(subnet(block, block.prefix + 2, 2)),
    nodes: formatCidr(subnet(block, block.prefix + 4, 12)),
  };
}

/** A /56 a site: /64 for pods, /112 for services (Kubernetes allows at most 20 host bits), /64 for nodes. */
export function splitIpv6Site(block: Cidr): Record<RangeKind, string> {
  return {
    pods: formatCidr(subnet(block, 64, 0)),
    services: formatCidr(subnet(subnet(block, 64, 1), 112, 0)),
    nodes: formatCidr(subnet(block, 64, 2)),
  };
}

export const IPV6_SITE_PREFIX = 56;

/** The pool's last /56 holds what belongs to no site. */
export function ipv6Shared(pool: Cidr): { wan: string; tunnel: string } {
  const last = subnet(pool, IPV6_SITE_PREFIX, 2 ** (IPV6_SITE_PREFIX - pool.prefix) - 1);
  return { wan: formatCidr(subnet(last, 64, 0)), tunnel: formatCidr(subnet(last, 64, 1)) };
}

export const ipv4Shared = { wan: WAN, tunnel: TUNNEL };

/** A host's address in each family of a range: `index` counts from the range's first address. */
export function addressesAt(range: PerFamily<string>, index: number): PerFamily<string> {
  return mapFamilies(range, (cidr) => addressAt(parseCidr(cidr), index));
}

/** Addresses of the tunnel end of the cluster at this place in the plan's order: the hops that a trace shows. */
export function tunnelAddressesAt(plan: Pick<AddressPlan, 'tunnel'>, index: number): PerFamily<string> {
  return addressesAt(plan.tunnel, index + 1);
}

export function mapFamilies<T, U>(
  values: PerFamily<T>,
  map: (value: T, family: IpFamily) => U,
): PerFamily<U> {
  const result: { ipv4?: U; ipv6?: U } = {};
  if (values.ipv4 !== undefined) result.ipv4 = map(values.ipv4, 'ipv4');
  if (values.ipv6 !== undefined) result.ipv6 = map(values.ipv6, 'ipv6');
  return result;
}

export function hostCidr(address: string): string {
  return `${address}/${bitsOf(address.includes(':') ? 'ipv6' : 'ipv4')}`;
}
