/** The address plan of a fleet, from the pools and whatever ranges the user fixed. Pure. */
import {
  type AddressPlan,
  type ClusterRanges,
  IPV6_SITE_PREFIX,
  RANGE_KINDS,
  type RangeKind,
  ipv4Shared,
  ipv6Shared,
  siteBlock,
  splitIpv6Site,
  splitSite,
} from '../model/addressing.ts';
import { type Cidr, type IpFamily, type PerFamily, parseCidr, subnet } from '../model/cidr.ts';
import { UserError } from '../model/errors.ts';

/** Shorter pools have more sites than can be counted, longer ones have none. */
const IPV6_POOL_PREFIXES = { shortest: 8, longest: IPV6_SITE_PREFIX - 1 };

interface AddressingRequest {
  /** In order; ranges that are given are taken as they are, even when they overlap: that is a suite's verdict. */
  readonly clusters: readonly ({ readonly name: string } & {
    readonly [kind in RangeKind]?: PerFamily<string> | undefined;
  })[];
  readonly families: readonly IpFamily[];
  readonly pool: string;
  /** Length of a site's IPv4 block. */
  readonly prefix: number;
  readonly ipv6Pool: string;
}

/** @throws UserError when a pool has too few blocks */
export function planAddresses(request: AddressingRequest): AddressPlan {
  const { clusters, families, pool, prefix, ipv6Pool } = request;
  const inUse = <T>(values: { ipv4: () => T; ipv6: () => T }): PerFamily<T> =>
    Object.fromEntries(families.map((family) => [family, values[family]()]));
  const shared = (kind: 'wan' | 'tunnel'): PerFamily<string> =>
    inUse({ ipv4: () => ipv4Shared[kind], ipv6: () => ipv6Shared(ipv6PoolOf(ipv6Pool))[kind] });
  return {
    pool,
    prefix,
    ipv6Pool,
    clusters: Object.fromEntries(
      clusters.map((cluster, index) => {
        const planned = inUse({
          ipv4: () => splitSite(ipv4Site(request, index)),
          ipv6: () => splitIpv6Site(ipv6Site(request, index)),
        });
        const ranges = RANGE_KINDS.map((kind) => {
          const own = cluster[kind];
          return [
            kind,
            inUse({
              ipv4: () => own?.ipv4 ?? planned.ipv4?.[kind],
              ipv6: () => own?.ipv6 ?? planned.ipv6?.[kind],
            }),
          ];
        });
        return [cluster.name, Object.fromEntries(ranges) as ClusterRanges];
      }),
    ),
    wan: shared('wan'),
    tunnel: shared('tunnel'),
  };
}

function ipv4Site({ clusters, pool, prefix }: AddressingRequest, index: number): Cidr {
  const block = siteBlock(parseCidr(pool), prefix, index);
  if (block) return block;
  throw new UserError(`The pool ${pool} has too few /${prefix} blocks for ${clusters.length} clusters`, {
    where: 'addressing.pool, addressing.prefix',
    remedy: 'Choose a larger pool or a longer prefix',
  });
}

function ipv6Site({ clusters, ipv6Pool }: AddressingRequest, index: number): Cidr {
  const pool = ipv6PoolOf(ipv6Pool);
  // The last block is the fleet's own.
  if (index < 2 ** (IPV6_SITE_PREFIX - pool.prefix) - 1) return subnet(pool, IPV6_SITE_PREFIX, index);
  throw new UserError(
    `The pool ${ipv6Pool} has too few /${IPV6_SITE_PREFIX} blocks for ${clusters.length} clusters`,
    { where: 'addressing.ipv6Pool', remedy: 'Choose a larger pool, such as a /48' },
  );
}

function ipv6PoolOf(text: string): Cidr {
  const pool = parseCidr(text);
  const { shortest, longest } = IPV6_POOL_PREFIXES;
  if (pool.prefix >= shortest && pool.prefix <= longest) return pool;
  throw new UserError(`The pool ${text} must be between /${shortest} and /${longest}`, {
    where: 'addressing.ipv6Pool',
    remedy: 'Choose a /48: it has room for 255 sites',
  });
}
