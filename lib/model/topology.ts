/** Which clusters have a tunnel to which, and what every directed pair may expect of it. */
export type TopologyKind = 'full-mesh' | 'hub-and-spoke' | 'tree';

/** A cluster's place: `segments` partition a fleet (prod cannot reach staging through a hub both use). */
export interface Member {
  readonly name: string;
  /** Segments it belongs to; none means every segment. */
  readonly segments?: readonly string[];
}

export type PairPath =
  | { readonly kind: 'direct' }
  /** `hops`: the transit clusters in order. */
  | { readonly kind: 'via'; readonly hops: readonly string[] }
  | { readonly kind: 'forbidden' };

/** What a technology makes of pairs of clusters by the kind of their path: in words, or why it cannot serve them. */
export type Ways = Readonly<
  Record<PairPath['kind'], string | { readonly refusal: string; readonly remedy: string }>
>;

export interface Topology {
  readonly kind: TopologyKind;
  readonly members: readonly Member[];
  /** The hub of hub-and-spoke, the root of a tree. */
  readonly hub: string;
}

/** The parent in a tree: the members in order fill a binary tree below the hub. */
function parentOf(topology: Topology, name: string): string | undefined {
  const order = [
    topology.hub,
    ...topology.members.map((member) => member.name).filter((other) => other !== topology.hub),
  ];
  const index = order.indexOf(name);
  if (index <= 0) return undefined;
  return topology.kind === 'tree' ? order[Math.floor((index - 1) / 2)] : topology.hub;
}

function ancestors(topology: Topology, name: string): string[] {
  const chain = [name];
  for (let parent = parentOf(topology, name); parent !== undefined; parent = parentOf(topology, parent)) {
    chain.push(parent);
  }
  return chain;
}

export function shareSegment(topology: Topology, a: string, b: string): boolean {
  const segmentsOf = (name: string) =>
    topology.members.find((member) => member.name === name)?.segments ?? [];
  const mine = segmentsOf(a);
  const theirs = segmentsOf(b);
  return mine.length === 0 || theirs.length === 0 || mine.some((segment) => theirs.includes(segment));
}

/** The transit clusters between two clusters, in order; empty when they have a tunnel of their own. */
export function hopsBetween(topology: Topology, from: string, to: string): string[] {
  if (topology.kind === 'full-mesh') return [];
  const up = ancestors(topology, from);
  const down = ancestors(topology, to);
  const meeting = up.find((name) => down.includes(name)) as string;
  const route = [
    ...up.slice(0, up.indexOf(meeting) + 1),
    ...down.slice(0, down.indexOf(meeting)).toReversed(),
  ];
  return route.slice(1, -1);
}

export function pathBetween(topology: Topology, from: string, to: string): PairPath {
  if (!shareSegment(topology, from, to)) return { kind: 'forbidden' };
  const hops = hopsBetween(topology, from, to);
  return hops.length === 0 ? { kind: 'direct' } : { kind: 'via', hops };
}

/** Clusters that a cluster may reach, besides itself. */
export const reachableFrom = (topology: Topology, from: string): string[] =>
  topology.members
    .map(({ name }) => name)
    .filter((name) => name !== from && pathBetween(topology, from, name).kind !== 'forbidden');

/** Whether two clusters have a tunnel of their own: neighbours on the graph that carry allowed traffic of anyone. */
export function areNeighbours(topology: Topology, a: string, b: string): boolean {
  if (a === b || hopsBetween(topology, a, b).length > 0) return false;
  return topology.kind !== 'full-mesh' || shareSegment(topology, a, b);
}

export type Way = 'there' | 'back' | 'across';

/** From so many clusters on three pairs can have two clusters each. */
export const ACROSS_FROM_CLUSTERS = 6;

/**
 * Which way a pair goes, of those that disturb each other nowhere when each has backends of its own: `there` from the
 * cluster that is named first, or `back`; in a large fleet every third pair is `across`.
 */
export function wayOf(names: readonly string[], { from, to }: { from: string; to: string }): Way {
  const [start, end] = [names.indexOf(from), names.indexOf(to)];
  if (names.length >= ACROSS_FROM_CLUSTERS && (start + end) % 3 === 0) return 'across';
  return start < end ? 'there' : 'back';
}

/** The same of both directions of a pair together, where they have backends in common. */
export const wayOfBoth = (names: readonly string[], pair: { from: string; to: string }): Way =>
  wayOf(names, pair) === 'across' ? 'across' : 'there';

/** Every ordered pair of different clusters. */
export function directedPairs(names: readonly string[]): { from: string; to: string }[] {
  return names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to })));
}

/** How many directed pairs there are of each kind of path. */
export function countPaths(topology: Topology): ReadonlyMap<PairPath['kind'], number> {
  const pairs = directedPairs(topology.members.map(({ name }) => name));
  const kinds = Map.groupBy(pairs, ({ from, to }) => pathBetween(topology, from, to).kind);
  return new Map([...kinds].map(([kind, some]) => [kind, some.length]));
}

/** The neighbour through which `from` reaches `to`. */
export function nextHop(topology: Topology, from: string, to: string): string {
  return hopsBetween(topology, from, to)[0] ?? to;
}

/** The links a pair's traffic crosses, each as `a|b` with the names in order. */
export function linksOf(topology: Topology, from: string, to: string): string[] {
  const route = [from, ...hopsBetween(topology, from, to), to];
  return route.slice(1).map((name, index) => [route[index] as string, name].toSorted().join('|'));
}
