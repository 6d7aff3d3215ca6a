/** What must be true of an address plan, and what to use instead where it is not. Pure. */
import {
  type AddressPlan,
  IPV6_SITE_PREFIX,
  RANGE_KINDS,
  type RangeKind,
  siteBlock,
  splitIpv6Site,
  splitSite,
} from './addressing.ts';
import {
  type Cidr,
  type IpFamily,
  bitsOf,
  contains,
  formatCidr,
  overlaps,
  parseCidr,
  sizeOf,
  subnet,
} from './cidr.ts';

/** A range of the plan with its owner. `cluster` is absent for what belongs to the fleet. */
export interface OwnedRange {
  readonly cluster?: string;
  readonly kind: RangeKind | 'wan' | 'tunnel';
  readonly cidr: string;
}

/** `east pods 10.0.0.0/13`, `the wan 198.18.0.0/16`. */
export function describeRange({ cluster, kind, cidr }: OwnedRange): string {
  return `${cluster ?? 'the'} ${kind} ${cidr}`;
}

/** Addresses that the ranges of each cluster must have at least. */
export type AddressNeeds = Readonly<Record<RangeKind, number>>;

export type Conflict =
  | {
      readonly kind: 'overlap';
      readonly first: OwnedRange;
      readonly second: OwnedRange;
      /** The block that both hold. */
      readonly shared: string;
    }
  | { readonly kind: 'outside'; readonly range: OwnedRange; readonly pool: string }
  | { readonly kind: 'too-small'; readonly range: OwnedRange; readonly needed: number };

/** A free block that a cluster can use in place of its range. */
export interface Proposal {
  readonly instead: OwnedRange;
  /** Absent when the pool has no such block left. */
  readonly free?: string;
}

export interface Judgement {
  /** In the order overlap, outside, too-small; within each, in the order of the addresses or of the plan. */
  readonly conflicts: readonly Conflict[];
  /** One for each range that must change; taken together they resolve every conflict and none touches another. */
  readonly proposals: readonly Proposal[];
}

interface Parsed extends OwnedRange {
  readonly block: Cidr;
}
type ClusterRange = Parsed & { readonly cluster: string; readonly kind: RangeKind };

const isOfCluster = (range: Parsed): range is ClusterRange => range.cluster !== undefined;

/** All conflicts of a plan, and a free allocation for every range that has to move. */
export function judgeAddressing(plan: AddressPlan, needs: AddressNeeds): Judgement {
  const ranges = rangesOf(plan);
  const pairs = overlappingPairs(ranges);
  const outside = ranges
    .filter(isOfCluster)
    .filter(({ block }) => !contains(poolOf(plan, block.family), block));
  const small = ranges.filter(isOfCluster).filter(({ block, kind }) => sizeOf(block) < needs[kind]);
  return {
    conflicts: [
      ...pairs.map(([first, second]): Conflict => ({
        kind: 'overlap',
        first: owned(first),
        second: owned(second),
        shared: first.block.prefix > second.block.prefix ? first.cidr : second.cidr,
      })),
      ...outside.map((range): Conflict => ({
        kind: 'outside',
        range: owned(range),
        pool: range.block.family === 'ipv4' ? plan.pool : plan.ipv6Pool,
      })),
      ...small.map((range): Conflict => ({
        kind: 'too-small',
        range: owned(range),
        needed: needs[range.kind],
      })),
    ],
    proposals: proposeFree(
      plan,
      ranges,
      new Set([...rangesToMove(ranges, pairs), ...outside, ...small]),
      needs,
    ),
  };
}

const owned = ({ cluster, kind, cidr }: Parsed): OwnedRange => ({
  ...(cluster !== undefined && { cluster }),
  kind,
  cidr,
});

/** What belongs to the fleet comes first: it is never the one to move. */
function rangesOf(plan: AddressPlan): Parsed[] {
  const parse = (range: OwnedRange): Parsed => ({ ...range, block: parseCidr(range.cidr) });
  return [
    ...(['wan', 'tunnel'] as const).flatMap((kind) =>
      Object.values(plan[kind]).map((cidr) => parse({ kind, cidr })),
    ),
    ...Object.entries(plan.clusters).flatMap(([cluster, ranges]) =>
      RANGE_KINDS.flatMap((kind) =>
        Object.values(ranges[kind]).map((cidr) => parse({ cluster, kind, cidr })),
      ),
    ),
  ];
}

const poolOf = (plan: AddressPlan, family: IpFamily): Cidr =>
  parseCidr(family === 'ipv4' ? plan.pool : plan.ipv6Pool);

/**
 * Every two that overlap, the one that the plan names first in front. Blocks are nested or apart; so in order of their
 * first address, what still encloses a block is what overlaps it.
 */
function overlappingPairs(ranges: readonly Parsed[]): (readonly [Parsed, Parsed])[] {
  const place = new Map(ranges.map((range, index) => [range, index]));
  const inOrder = (one: Parsed, other: Parsed) => (place.get(one) as number) - (place.get(other) as number);
  const found: (readonly [Parsed, Parsed])[] = [];
  let enclosing: Parsed[] = [];
  for (const range of ranges.toSorted(byAddress)) {
    enclosing = enclosing.filter(({ block }) => contains(block, range.block));
    for (const outer of enclosing) found.push(inOrder(outer, range) < 0 ? [outer, range] : [range, outer]);
    enclosing.push(range);
  }
  return found;
}

function byAddress({ block: a }: Parsed, { block: b }: Parsed): number {
  if (a.family !== b.family) return a.family === 'ipv4' ? -1 : 1;
  if (a.network !== b.network) return a.network < b.network ? -1 : 1;
  return a.prefix - b.prefix;
}

/** Those that overlap one that stays and is named before them: without them no two ranges share an address. */
function rangesToMove(
  ranges: readonly Parsed[],
  pairs: readonly (readonly [Parsed, Parsed])[],
): Set<ClusterRange> {
  const before = Map.groupBy(pairs, ([, second]) => second);
  const moving = new Set<Parsed>();
  for (const range of ranges.filter(isOfCluster)) {
    if (before.get(range)?.some(([first]) => !moving.has(first))) moving.add(range);
  }
  return moving as Set<ClusterRange>;
}

/**
 * A new block for each of these ranges, with the room that it needs and, where possible, as large as it was. The ranges of
 * one cluster come from one free site block, cut as the plan cuts sites; where none is left or it is too small, from
 * wherever the pool has room.
 */
function proposeFree(
  plan: AddressPlan,
  ranges: readonly Parsed[],
  moving: ReadonlySet<ClusterRange>,
  needs: AddressNeeds,
): Proposal[] {
  const taken = ranges.filter((range) => !isOfCluster(range) || !moving.has(range)).map(({ block }) => block);
  const freeSites = { ipv4: sitesOf(plan, 'ipv4'), ipv6: sitesOf(plan, 'ipv6') };
  const sites = new Map<string, Cidr | undefined>();
  return ranges
    .filter(isOfCluster)
    .filter((range) => moving.has(range))
    .map((range) => {
      const { family } = range.block;
      const needed = prefixFor(needs[range.kind], family);
      const wanted = Math.min(range.block.prefix, needed);
      const key = `${range.cluster} ${family}`;
      if (!sites.has(key)) sites.set(key, nextFree(freeSites[family], taken));
      const free =
        withinSite(sites.get(key), range.kind, { needed, wanted }, taken) ??
        firstFree(plan, family, wanted, taken) ??
        firstFree(plan, family, needed, taken);
      if (!free) return { instead: owned(range) };
      taken.push(free);
      return { instead: owned(range), free: formatCidr(free) };
    });
}

/** Longest prefix that leaves this many addresses. */
export function prefixFor(addresses: number, family: IpFamily): number {
  return bitsOf(family) - Math.ceil(Math.log2(Math.max(1, addresses)));
}

/** The blocks that the plan gives to sites, in order. */
function* sitesOf(plan: AddressPlan, family: IpFamily): Generator<Cidr, undefined> {
  const pool = poolOf(plan, family);
  // The last IPv6 block is the fleet's own.
  const ipv6Sites = 2 ** (IPV6_SITE_PREFIX - pool.prefix) - 1;
  const siteAt = (index: number): Cidr | undefined => {
    if (family === 'ipv4') return siteBlock(pool, plan.prefix, index);
    return index < ipv6Sites ? subnet(pool, IPV6_SITE_PREFIX, index) : undefined;
  };
  let index = 0;
  for (let site = siteAt(index); site; site = siteAt(++index)) yield site;
}

/** Goes on where the last one was found: what is taken stays taken. */
function nextFree(sites: Generator<Cidr, undefined>, taken: readonly Cidr[]): Cidr | undefined {
  for (let next = sites.next(); !next.done; next = sites.next()) {
    const site = next.value;
    if (!taken.some((block) => overlaps(block, site))) return site;
  }
  return undefined;
}

/** The site's own block for this kind, or its first part when less is wanted; undefined when less than needed is left. */
function withinSite(
  site: Cidr | undefined,
  kind: RangeKind,
  { needed, wanted }: { readonly needed: number; readonly wanted: number },
  taken: readonly Cidr[],
): Cidr | undefined {
  if (!site) return undefined;
  const split = site.family === 'ipv4' ? splitSite(site) : splitIpv6Site(site);
  const whole = parseCidr(split[kind]);
  if (needed < whole.prefix) return undefined;
  const block = subnet(whole, Math.max(wanted, whole.prefix), 0);
  return taken.some((other) => overlaps(other, block)) ? undefined : block;
}

function firstFree(
  plan: AddressPlan,
  family: IpFamily,
  prefix: number,
  taken: readonly Cidr[],
): Cidr | undefined {
  const pool = poolOf(plan, family);
  const size = 1n << BigInt(bitsOf(family) - prefix);
  const end = pool.network + sizeOf(pool);
  for (let network = pool.network; network + size <= end;) {
    const candidate: Cidr = { family, network, prefix };
    const obstacle = taken.find((block) => overlaps(block, candidate));
    if (!obstacle) return candidate;
    const behind = obstacle.network + sizeOf(obstacle);
    // Aligned to its own size, as a block must be.
    network = behind > network + size ? ((behind + size - 1n) / size) * size : network + size;
  }
  return undefined;
}
