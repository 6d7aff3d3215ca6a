/** What the data plane says of a failure: which packets between its caller and its target it dropped meanwhile, and why. */
import { type PerFamily, isAddress } from '../model/cidr.ts';
import type { Drop, Fleet, Profile } from '../model/cluster.ts';
import { messageOf } from '../model/errors.ts';
import type { PlannedCase } from '../model/record.ts';
import type { Verdict } from '../model/verdict.ts';
import { type ServiceSpec, keyOf, selects } from '../model/workload.ts';
import { existsIn } from './fixtures.ts';
import { type Sources, sharedAddressIfAny } from './handlers.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** Longest that it may take: a data plane that says nothing must not hold up the run. */
export const DROPS_LIMIT_MS = 8_000;
/** In a failure's text; the rest stands in the diagnostics. */
const MOST_SHOWN = 3;

interface Told extends Drop {
  /** Where it was dropped. */
  readonly cluster: string;
}

const present = (addresses: PerFamily<string>): string[] =>
  Object.values(addresses).filter((one) => one !== undefined);

/** Addresses of workloads, by `east/mcnet/client`. */
export type Addresses = ReadonlyMap<string, readonly string[]>;

export const addressesOf = (fleet: Fleet): Addresses =>
  new Map(
    fleet.clusters.flatMap(({ name, workloads }) =>
      workloads.map(({ spec, addresses }) => [`${name}/${keyOf(spec)}`, present(addresses)] as const),
    ),
  );

/** Addresses of services, and of the workloads behind each: packets may be dropped before or after one is chosen. */
export type Endpoints = ReadonlyMap<string, readonly string[]>;

export function endpointsOf(
  { fleet: { clusters }, ...sources }: Sources & { readonly fleet: Fleet },
  services: readonly ServiceSpec[],
): Endpoints {
  const found = new Map<string, readonly string[]>();
  for (const service of services) {
    const behind = clusters
      .flatMap(({ workloads }) => workloads)
      .filter(({ spec }) => spec.namespace === service.namespace && selects(service.selector, spec.labels))
      .flatMap(({ addresses }) => present(addresses));
    const called = clusters
      .filter(({ name }) => existsIn(service, name))
      .flatMap((cluster) => [
        ...present(cluster.serviceAddress(service).addresses),
        ...present(sharedAddressIfAny(sources, cluster, service)?.addresses ?? {}),
      ]);
    for (const address of called) {
      found.set(address, [...new Set([...(found.get(address) ?? []), ...behind])]);
    }
  }
  return found;
}

/**
 * Whom the command that shows a failure calls: every address in it, and who is behind those of services. Pure.
 * @param servers of names: who is behind those is for their cluster to know, so that nobody can tell
 */
export function targetsIn(
  command: string,
  endpoints: Endpoints,
  servers: readonly string[] = [],
): ReadonlySet<string> {
  const words = command.matchAll(/\d+(?:\.\d+){3}|[0-9a-f]*(?::[0-9a-f.]*){2,}/gi);
  const named = [...words].map(([word]) => word).filter(isAddress);
  if (named.some((address) => servers.includes(address))) return new Set();
  return new Set(named.flatMap((address) => [address, ...(endpoints.get(address) ?? [])]));
}

/**
 * One sentence on what was dropped between the workload `at` and its target; undefined when nothing was. What policies
 * refuse to others meanwhile, or to the same caller elsewhere, is none of this case's business. Pure.
 * @param targets none where nobody can tell: then all that the workload sent or was sent counts
 */
export function describeDrops(
  drops: readonly Told[],
  at: string,
  targets: ReadonlySet<string>,
  addresses: Addresses,
): string | undefined {
  const own = addresses.get(at) ?? [];
  const concerns = (one: string, other: string): boolean =>
    own.includes(one) && (targets.size === 0 || targets.has(other));
  const named = new Map([...addresses].flatMap(([key, all]) => all.map((one) => [one, key] as const)));
  const shown = drops
    .filter(({ source, destination }) => concerns(source, destination) || concerns(destination, source))
    .toSorted((a, b) => b.packets - a.packets)
    .map(
      ({ reason, source, destination, port, packets, cluster }) =>
        `${reason}, ${named.get(source) ?? source} → ${named.get(destination) ?? destination} ${port}, ${packets} ${packets === 1 ? 'packet' : 'packets'} in ${cluster}`,
    );
  if (shown.length === 0) return undefined;
  const rest = shown.length - MOST_SHOWN;
  return [...shown.slice(0, MOST_SHOWN), ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ');
}

export interface Asked {
  readonly fleet: Fleet;
  readonly profile: Profile;
  readonly endpoints: () => Endpoints;
  readonly signal: AbortSignal;
  /** Says why nobody can tell. */
  readonly note: (why: string) => void;
}

/** The verdict with what the data plane says, where it failed and says how to see the same. Never rejects. */
export async function withDrops(
  verdict: Verdict,
  { expectation }: Pick<PlannedCase, 'expectation'>,
  since: Date,
  { fleet, profile, endpoints, note, signal }: Asked,
): Promise<Verdict> {
  const { status, reproduce } = verdict;
  if (status !== 'failed' || !reproduce || !profile.drops) return verdict;
  const addresses = addressesOf(fleet);
  // Of what it remembers others may have the most: it is asked for the caller's alone.
  const own = addresses.get(reproduce.at) ?? [];
  if (own.length === 0) return verdict;
  try {
    const servers = fleet.clusters.flatMap(({ dns }) => present(dns));
    const targets = targetsIn(reproduce.command, endpoints(), servers);
    // Of a service, whoever is behind it may run in clusters that the case does not name.
    const asked = fleet.clusters.filter(
      ({ name, workloads }) =>
        expectation.clusters.includes(name) ||
        workloads.some((workload) => present(workload.addresses).some((address) => targets.has(address))),
    );
    const asking = asked.map(async (cluster) =>
      ((await profile.drops?.(cluster, since, own)) ?? []).map((drop) => ({
        ...drop,
        cluster: cluster.name,
      })),
    );
    const told = await withinSignal(Promise.all(asking), signal);
    const dropped = describeDrops(told.flat(), reproduce.at, targets, addresses);
    return dropped === undefined ? verdict : { ...verdict, dropped };
  } catch (error) {
    note(messageOf(error));
    return verdict;
  }
}
