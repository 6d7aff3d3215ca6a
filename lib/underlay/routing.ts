/** Which cluster is reached through which neighbour, and what that makes of routes and filters. Pure. */
import { type AddressPlan, type ClusterRanges, RANGE_KINDS } from '../model/addressing.ts';
import type { IpFamily, PerFamily } from '../model/cidr.ts';
import { type Topology, directedPairs, hopsBetween, pathBetween } from '../model/topology.ts';

/** What a join is computed from; every Fleet is one. */
export interface Network {
  readonly run: string;
  readonly clusters: readonly {
    readonly name: string;
    readonly ranges: ClusterRanges;
    readonly gateway: { readonly wanAddresses: PerFamily<string>; readonly wanInterface: string };
  }[];
  readonly topology: Topology;
  readonly plan: Pick<AddressPlan, 'tunnel'>;
  readonly families: readonly IpFamily[];
}

/** What one gateway knows of the others. */
export interface Place {
  /** By destination cluster: the neighbour that it is reached through, for traffic of any pair that is allowed. */
  readonly nextHops: ReadonlyMap<string, string>;
  /** By source cluster: the destinations that it must not reach across this gateway. */
  readonly refused: ReadonlyMap<string, readonly string[]>;
  /** Carries traffic between others. */
  readonly transit: boolean;
}

/** The place of every gateway, by cluster. Computed for all at once: each pair's route is walked only once. */
export function placesOf(network: Network): ReadonlyMap<string, Place> {
  const names = network.clusters.map(({ name }) => name);
  const places = new Map(
    names.map((name) => [
      name,
      { nextHops: new Map<string, string>(), refused: new Map<string, string[]>(), transit: false },
    ]),
  );
  for (const { from, to } of directedPairs(names)) {
    const hops = hopsBetween(network.topology, from, to);
    const forbidden = pathBetween(network.topology, from, to).kind === 'forbidden';
    [from, ...hops].forEach((at, index) => {
      const place = places.get(at);
      if (!place) return;
      if (index > 0) place.transit = true;
      if (!forbidden) place.nextHops.set(to, hops[index] ?? to);
    });
    if (!forbidden) continue;
    for (const at of [from, ...hops, to]) {
      const refused = places.get(at)?.refused;
      refused?.set(from, [...(refused.get(from) ?? []), to]);
    }
  }
  return places;
}

/** The ranges of a cluster in the families in use. */
export function rangesOf(network: Network, name: string): string[] {
  const ranges = network.clusters.find((cluster) => cluster.name === name)?.ranges;
  return RANGE_KINDS.flatMap((kind) => network.families.map((family) => ranges?.[kind][family])).filter(
    (range) => range !== undefined,
  );
}

export const familyOf = (range: string): IpFamily => (range.includes(':') ? 'ipv6' : 'ipv4');

/** Above 0, so that a route somebody adds without a metric wins; the kernel prefers the smallest. */
export const ROUTE_METRIC = 100;
/** The worst there is: any other route to the same range wins. */
const LAST_METRIC = 2 ** 32 - 1;

/**
 * Lines for `ip -batch` that refuse every range outright. They only count when the routes to it are gone, as they are
 * once the kernel takes a tunnel's interface down: then nothing follows a default route in clear text.
 */
export function renderClosed(ranges: readonly string[]): string {
  return lines(ranges.map((range) => `route replace unreachable ${range} metric ${LAST_METRIC}`));
}

export const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

const SEGMENTS_TABLE = 'mcnet_segments';

/**
 * nftables rules with which a transit gateway drops what its topology forbids, also to and from itself.
 * @param addressesOf every block from which a cluster's packets may come
 */
export function renderSegments(place: Place, addressesOf: (name: string) => readonly string[]): string {
  if (!place.transit || place.refused.size === 0) return '';
  // Clusters of one segment are refused the same destinations: a rule for each such group, not for each pair.
  const groups = Map.groupBy(place.refused.keys(), (from) => place.refused.get(from)?.join(' '));
  const rules = [...groups.values()].flatMap((sources) => {
    const destinations = place.refused.get(sources[0] as string) ?? [];
    return (['ipv4', 'ipv6'] as const).flatMap((family) => {
      const from = blocks(sources, family);
      const to = blocks(destinations, family);
      const header = family === 'ipv4' ? 'ip' : 'ip6';
      return from && to ? [`    ${header} saddr { ${from} } ${header} daddr { ${to} } drop`] : [];
    });
  });
  function blocks(names: readonly string[], family: IpFamily): string {
    return names
      .flatMap(addressesOf)
      .filter((block) => familyOf(block) === family)
      .join(', ');
  }
  const hooks = ['forward', 'input', 'output'].map(
    (hook) => `  chain ${hook} { type filter hook ${hook} priority filter; policy accept; jump refused; }`,
  );
  return renderTable(SEGMENTS_TABLE, ['  chain refused {', ...rules, '  }', ...hooks]);
}

/** A whole nftables table, replacing the one of that name if there is one. */
export function renderTable(name: string, body: readonly string[]): string {
  return lines([`table inet ${name}`, `delete table inet ${name}`, `table inet ${name} {`, ...body, '}']);
}

/**
 * A script for `sh -e -s` that sets up a gateway in one process: many gateways are set up at once, and starting processes
 * is what that costs.
 * @param rules for `nft -f`, may be empty @param batch for `ip -batch`
 */
export function renderScript(rules: string, batch: string): string {
  const document = (command: string, text: string): string => `${command} <<'END'\n${text}END\n`;
  return (rules && document('nft -f -', rules)) + document('ip -batch -', batch);
}

/**
 * Lines for a shell that let a transit gateway forward what comes in and leaves by the same interface, and never tell
 * the senders of a shorter way: there is none.
 */
export function renderForwarding(families: readonly IpFamily[], carrier: string): string {
  const switches = { ipv4: 'ipv4/ip_forward', ipv6: 'ipv6/conf/all/forwarding' };
  return lines([
    ...families.map((family) => `echo 1 > /proc/sys/net/${switches[family]}`),
    ...['all', carrier].map((name) => `echo 0 > /proc/sys/net/ipv4/conf/${name}/send_redirects`),
  ]);
}
