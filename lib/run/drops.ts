/** What the data plane says of a failure: which packets of its caller it dropped meanwhile, and why. */
import type { Drop, Fleet, Profile } from '../model/cluster.ts';
import { messageOf } from '../model/errors.ts';
import type { PlannedCase } from '../model/record.ts';
import type { Verdict } from '../model/verdict.ts';
import { keyOf } from '../model/workload.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** Longest that it may take: a data plane that says nothing must not hold up the run. */
export const DROPS_LIMIT_MS = 8_000;
/** In a failure's text; the rest stands in the diagnostics. */
const MOST_SHOWN = 3;

interface Told extends Drop {
  /** Where it was dropped. */
  readonly cluster: string;
}

/** Addresses of workloads, by `east/mcnet/client`. */
export type Addresses = ReadonlyMap<string, readonly string[]>;

export const addressesOf = (fleet: Fleet): Addresses =>
  new Map(
    fleet.clusters.flatMap(({ name, workloads }) =>
      workloads.map(
        ({ spec, addresses }) =>
          [`${name}/${keyOf(spec)}`, Object.values(addresses).filter((one) => one !== undefined)] as const,
      ),
    ),
  );

/**
 * One sentence on what was dropped of what the workload `at` sent or was sent; undefined when nothing was. What policies
 * refuse to others meanwhile is none of this case's business. Pure.
 */
export function describeDrops(drops: readonly Told[], at: string, addresses: Addresses): string | undefined {
  const own = addresses.get(at) ?? [];
  const named = new Map([...addresses].flatMap(([key, all]) => all.map((one) => [one, key] as const)));
  const shown = drops
    .filter(({ source, destination }) => own.includes(source) || own.includes(destination))
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
  readonly signal: AbortSignal;
  /** Says why nobody can tell. */
  readonly note: (why: string) => void;
}

/** The verdict with what the data plane says, where it failed and names its caller. Never rejects. */
export async function withDrops(
  verdict: Verdict,
  { expectation }: Pick<PlannedCase, 'expectation'>,
  since: Date,
  { fleet, profile, note, signal }: Asked,
): Promise<Verdict> {
  const at = verdict.reproduce?.at;
  if (verdict.status !== 'failed' || at === undefined || !profile.drops) return verdict;
  try {
    const clusters = fleet.clusters.filter(({ name }) => expectation.clusters.includes(name));
    const asking = clusters.map(async (cluster) =>
      ((await profile.drops?.(cluster, since)) ?? []).map((drop) => ({ ...drop, cluster: cluster.name })),
    );
    const told = await withinSignal(Promise.all(asking), signal);
    const dropped = describeDrops(told.flat(), at, addressesOf(fleet));
    return dropped === undefined ? verdict : { ...verdict, dropped };
  } catch (error) {
    note(messageOf(error));
    return verdict;
  }
}
