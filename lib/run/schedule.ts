/** Runs cases side by side, except what would disturb each other. */
import type { AnyCheck, Exclusive } from '../model/check.ts';
import type { Provider } from '../model/cluster.ts';
import { InternalError } from '../model/errors.ts';
import { type Subject } from '../model/ids.ts';
import type { PlannedCase } from '../model/record.ts';
import { type Topology, areNeighbours, linksOf, pathBetween, wayOf, wayOfBoth } from '../model/topology.ts';
import { type Verdict, inconclusive } from '../model/verdict.ts';
import { Company, type Member } from './company.ts';
import { CASE_TIMEOUT_MS } from './runCase.ts';

/**
 * Cases wait for the network more than they work, but agents, tunnels and probes share this machine with them: on two
 * cores, eight at once keep it busy, and many more let time-outs run out that have nothing to do with the network.
 */
const DEFAULT_CONCURRENCY = 8;

/** Cases at once: what the caller asks for, or what the provider can carry. */
export function concurrencyFor(
  asked: number | undefined,
  { casesAtOnce = DEFAULT_CONCURRENCY, clustersShareMachine }: Provider['limits'],
  clusters: number,
): number {
  const crowded = clustersShareMachine ? Math.max(1, clusters / 2) : 1;
  return asked ?? Math.max(1, Math.round(casesAtOnce / crowded));
}

/** So many cases that mostly wait take no more of the machine than one that works. */
const WAITING_PER_WORKING = 6;

type Kind = 'working' | 'waiting';
const KINDS: readonly Kind[] = ['working', 'waiting'];
/** Cases at once, or how many more would start. */
type Load = Readonly<Record<Kind, number>>;

/**
 * Room for cases at once: as many that work as `concurrency` says, beside them as many that mostly wait as count for one,
 * or more where fewer work. Neither kind keeps all places from the other.
 */
class Places {
  readonly #most: Load;
  readonly #parts: number;
  #taken: Load = { working: 0, waiting: 0 };

  constructor(concurrency: number) {
    this.#most = { working: concurrency, waiting: concurrency * WAITING_PER_WORKING };
    this.#parts = (concurrency + 1) * WAITING_PER_WORKING;
  }

  /** A company that is larger than all places has them all. */
  loadOf(kinds: readonly Kind[]): Load {
    const waiting = kinds.filter((kind) => kind === 'waiting').length;
    const working = Math.min(kinds.length - waiting, this.#most.working);
    const left = this.#parts - working * WAITING_PER_WORKING;
    return { working, waiting: Math.min(waiting, this.#most.waiting, left) };
  }

  fits(load: Load): boolean {
    const working = this.#taken.working + load.working;
    const waiting = this.#taken.waiting + load.waiting;
    return (
      (load.working === 0 || working <= this.#most.working) &&
      (load.waiting === 0 || waiting <= this.#most.waiting) &&
      working * WAITING_PER_WORKING + waiting <= this.#parts
    );
  }

  take({ working, waiting }: Load): void {
    this.#taken = { working: this.#taken.working + working, waiting: this.#taken.waiting + waiting };
  }

  release({ working, waiting }: Load): void {
    this.take({ working: -working, waiting: -waiting });
  }
}
/** Of cases that run together; more would keep each other waiting for the machine rather than for the network. */
const MOST_TOGETHER = 100;
/** Of those that share nothing but the moment, for each case that may run at once: they wait, and their load adds up. */
const TOGETHER_PER_PLACE = 2;

/** What a case uses (`shared`) and what it disturbs (`alone`). Names: `fleet`, `cluster east`, `link east|west`. */
export interface Locks {
  readonly shared: readonly string[];
  readonly alone: readonly string[];
  /** What not even cases that run together share. */
  readonly own?: readonly string[];
}

type Declared = Pick<AnyCheck, 'id' | 'exclusive' | 'oneAtATime' | 'backends' | 'staysInside' | 'together'>;

/**
 * - `none` shares the fleet, the clusters it can meet and the links it crosses.
 * - `pair` takes its links alone, `caller` and `target` that cluster of its subject, `cluster` all clusters of its
 *   subject, `fleet` everything.
 * A cluster's case may meet answers of every cluster, so it shares them all unless it stays inside or is exclusive
 * itself. A check that runs one case at a time also takes itself or its backends: all, or those of its way.
 */
export function locksOf(check: Declared, subject: Subject, topology: Topology): Locks {
  const locks = locksOfSubject(check, subject, topology);
  if (check.together?.where === 'separateUplinks' && subject.scope === 'pair')
    return { ...locks, own: wiresOf(topology, subject) };
  if (!check.oneAtATime) return locks;
  const backends = check.backends ? `backends ${check.backends}` : `check ${check.id}`;
  if (check.oneAtATime === 'of all') return { ...locks, own: [backends] };
  if (subject.scope !== 'pair') throw new InternalError('only a pair has a way');
  const names = topology.members.map(({ name }) => name);
  if (check.oneAtATime === 'both ways')
    return { ...locks, alone: [...locks.alone, `${backends} ${wayOfBoth(names, subject)}`] };
  return { ...locks, own: [`${backends} ${wayOf(names, subject)}`] };
}

/** The uplinks by which a pair's traffic leaves, and the downlink at its end. */
function wiresOf(topology: Topology, { from, to }: { readonly from: string; readonly to: string }): string[] {
  const path = pathBetween(topology, from, to);
  const hops = path.kind === 'via' ? path.hops : [];
  return [...[from, ...hops].map((name) => `uplink ${name}`), `downlink ${to}`];
}

/** What cases need that run together: they share with each other what each of them wants alone. */
function locksOfAll(all: readonly Locks[]): Locks {
  const alone = new Set(all.flatMap((locks) => locks.alone));
  const shared = new Set(all.flatMap((locks) => locks.shared).filter((name) => !alone.has(name)));
  return { shared: [...shared], alone: [...alone], own: all.flatMap(({ own = [] }) => own) };
}

/** The name of the company that a case runs in; undefined for one that runs by itself. */
export function companyOf(
  { id, oneAtATime, together = inStep(id, oneAtATime) }: Pick<AnyCheck, 'id' | 'oneAtATime' | 'together'>,
  { subject, variants }: PlannedCase,
  limits: Pick<Provider['limits'], 'separateUplinks' | 'casesAtOnce'> = {},
): string | undefined {
  if (!together || (together.where && !limits[together.where])) return undefined;
  const ends =
    together.of === 'pair' && subject.scope === 'pair' ? [subject.from, subject.to].toSorted() : [];
  return [together.name, ...variants, ...ends].join(' ');
}

const inStep = (id: string, oneAtATime: AnyCheck['oneAtATime']): AnyCheck['together'] =>
  oneAtATime === 'both ways' ? { name: id, of: 'pair' } : undefined;

/**
 * Whether a case may be observed once more: what it injects or changes again would disturb those that run together with it,
 * unless it wants nothing for itself and has nothing in common with them.
 */
export const mayRepeat = (
  { exclusive = 'none', oneAtATime, together }: Pick<AnyCheck, 'exclusive' | 'oneAtATime' | 'together'>,
  member: Member | undefined,
): boolean =>
  member === undefined ||
  together?.where === 'separateUplinks' ||
  (exclusive === 'none' && oneAtATime !== 'both ways');

/** What disturbs a cluster leaves room for what disturbs a link between others. */
const START_ORDER: readonly Exclusive[] = ['none', 'target', 'pair', 'caller', 'cluster', 'fleet'];

/**
 * Cases that share come first, whatever their suite: beside each other they mostly wait, while one that wants
 * everything for itself would let the machine idle before and after it. Among those that want the same, first the ones
 * that others rest on, first of these those on which the longest rest, then those that may take the longest, so that no long
 * one is left for the end, and of them those that have to wait for each other. Where little runs at once, what rests on
 * moments waits until what was started has calmed down.
 */
export function inStartOrder(
  cases: readonly PlannedCase[],
  checkOf: (planned: PlannedCase) => Pick<AnyCheck, 'exclusive' | 'oneAtATime' | 'timed' | 'timeoutMs'>,
  { casesAtOnce }: Pick<Provider['limits'], 'casesAtOnce'> = {},
): PlannedCase[] {
  const limitOf = (planned: PlannedCase): number => checkOf(planned).timeoutMs ?? CASE_TIMEOUT_MS;
  const placeOf = (planned: PlannedCase): number => START_ORDER.indexOf(checkOf(planned).exclusive ?? 'none');
  const dependants = dependantsOf(cases);
  const longest = new Map<PlannedCase, number>();
  /** Of it and of what rests on it, as far as that may start as early. */
  const longestOn = (planned: PlannedCase): number => {
    const known = longest.get(planned);
    if (known !== undefined) return known;
    // Cases that wait for each other are for the schedule to name.
    longest.set(planned, limitOf(planned));
    const on = (dependants.get(planned.id) ?? []).filter((one) => placeOf(one) === placeOf(planned));
    const value = Math.max(limitOf(planned), ...on.map(longestOn));
    longest.set(planned, value);
    return value;
  };
  const rankOf = (planned: PlannedCase): readonly number[] => {
    const { oneAtATime, timed = false } = checkOf(planned);
    if (timed && casesAtOnce !== undefined) return [START_ORDER.indexOf('fleet') - 1, 2];
    const place = placeOf(planned);
    return dependants.has(planned.id)
      ? [place, 0, -longestOn(planned)]
      : [place, 1, -limitOf(planned), oneAtATime ? 0 : 1];
  };
  const ranks = new Map(cases.map((planned) => [planned, rankOf(planned)] as const));
  return cases.toSorted((a, b) => byNumbers(ranks.get(a) ?? [], ranks.get(b) ?? []));
}

/** Those that rest on each case, by its id. */
function dependantsOf(cases: readonly PlannedCase[]): ReadonlyMap<string, readonly PlannedCase[]> {
  const dependants = new Map<string, PlannedCase[]>();
  for (const planned of cases) {
    for (const id of planned.dependsOn) {
      const list = dependants.get(id);
      if (list) list.push(planned);
      else dependants.set(id, [planned]);
    }
  }
  return dependants;
}

/** The first that differ decide; what one of them lacks decides nothing. */
function byNumbers(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, at) => at < b.length && value !== b[at]);
  return index === -1 ? 0 : (a[index] as number) - (b[index] as number);
}

function locksOfSubject(
  { exclusive = 'none', staysInside = false }: Declared,
  subject: Subject,
  topology: Topology,
): Locks {
  if (exclusive === 'fleet') return { shared: [], alone: ['fleet'] };
  const { own, met, links } = reachOf(subject, topology, staysInside);
  const clusterLocks = (names: readonly string[]) => names.map((name) => `cluster ${name}`);
  const linkLocks = links.map((link) => `link ${link}`);
  const taking = (taken: readonly string[]): Locks => ({
    shared: ['fleet', ...clusterLocks(met.filter((name) => !taken.includes(name))), ...linkLocks],
    alone: clusterLocks(taken),
  });
  switch (exclusive) {
    case 'none':
      return taking([]);
    case 'pair':
      return { shared: ['fleet', ...clusterLocks(met)], alone: linkLocks };
    case 'caller':
    case 'target':
      if (subject.scope !== 'pair') throw new InternalError(`only a pair has a ${exclusive}`);
      return taking([exclusive === 'caller' ? subject.from : subject.to]);
    case 'cluster': {
      if (subject.scope === 'pair') return taking(own);
      return { shared: ['fleet', ...linkLocks], alone: clusterLocks(own) };
    }
  }
}

function reachOf(
  subject: Subject,
  topology: Topology,
  staysInside: boolean,
): { own: string[]; met: string[]; links: string[] } {
  const names = topology.members.map((member) => member.name);
  if (subject.scope === 'pair') {
    const links = linksOf(topology, subject.from, subject.to);
    const met = [...new Set([subject.from, ...links.flatMap((link) => link.split('|')), subject.to])];
    return { own: [subject.from, subject.to], met, links };
  }
  if (subject.scope === 'fleet') return { own: names, met: names, links: tunnelsOf(topology, names) };
  if (staysInside) return { own: [subject.cluster], met: [subject.cluster], links: [] };
  const links = names
    .filter((other) => other !== subject.cluster)
    .flatMap((other) => linksOf(topology, subject.cluster, other));
  return { own: [subject.cluster], met: names, links: [...new Set(links)] };
}

function tunnelsOf(topology: Topology, names: readonly string[]): string[] {
  return names.flatMap((a, index) =>
    names.slice(index + 1).flatMap((b) => (areNeighbours(topology, a, b) ? linksOf(topology, a, b) : [])),
  );
}

/** Readers and one writer per name. */
class LockTable {
  readonly #holders = new Map<string, number>();

  allows({ shared, alone, own = [] }: Locks): boolean {
    return (
      shared.every((name) => (this.#holders.get(name) ?? 0) >= 0) &&
      [...alone, ...own].every((name) => (this.#holders.get(name) ?? 0) === 0)
    );
  }

  /** Whether somebody else has for itself what these want for themselves. */
  isAhead({ alone, own = [] }: Locks): boolean {
    return [...alone, ...own].some((name) => (this.#holders.get(name) ?? 0) < 0);
  }

  take({ shared, alone, own = [] }: Locks): void {
    for (const name of shared) this.#holders.set(name, (this.#holders.get(name) ?? 0) + 1);
    for (const name of [...alone, ...own]) this.#holders.set(name, -1);
  }

  release({ shared, alone, own = [] }: Locks): void {
    for (const name of shared) this.#holders.set(name, (this.#holders.get(name) ?? 0) - 1);
    for (const name of [...alone, ...own]) this.#holders.set(name, 0);
  }
}

/**
 * What those in line want for themselves: many short cases that come after them would else take it in turns, and leave the
 * longest for the end.
 */
class Waiting {
  readonly #alone = new Set<string>();
  readonly #shared = new Set<string>();

  add({ shared, alone, own = [] }: Locks): void {
    if (alone.length === 0) return;
    for (const name of shared) this.#shared.add(name);
    for (const name of [...alone, ...own]) this.#alone.add(name);
  }

  /** Whether these would keep one waiting that came before. */
  stands({ shared, alone, own = [] }: Locks): boolean {
    return (
      [...shared, ...alone, ...own].some((name) => this.#alone.has(name)) ||
      alone.some((name) => this.#shared.has(name))
    );
  }
}

export interface ScheduleOptions {
  /** In the order in which they start where nothing else decides. None is skipped. */
  readonly cases: readonly PlannedCase[];
  readonly locks: (planned: PlannedCase) => Locks;
  readonly mostlyWaits?: (planned: PlannedCase) => boolean;
  /** Cases beside which only their like may run: what others change would disturb them. */
  readonly inCalm?: (planned: PlannedCase) => boolean;
  /** Cases that disturb no calm. */
  readonly quiet?: (planned: PlannedCase) => boolean;
  /** Cases for which it gives the same name run at the same time, once the dependencies of all of them have ended. */
  readonly company?: (planned: PlannedCase) => string | undefined;
  readonly concurrency: number;
  /** Must never reject and must end soon after the signal. */
  readonly execute: (planned: PlannedCase, member?: Member) => Promise<Verdict>;
  /** Gets the verdict of a case that could not start, because of another. */
  readonly settle: (planned: PlannedCase, verdict: Verdict) => void;
  /** Verdicts of cases that ended before. */
  readonly known: ReadonlyMap<string, Verdict>;
  /** Nothing starts after it. */
  readonly signal: AbortSignal;
  /** Stops starting cases after this verdict. */
  readonly stopAfter?: (verdict: Verdict) => boolean;
}

/** What checks say of themselves, and what the provider can carry: how their cases run beside each other. */
export function besideEachOther({
  checkOf,
  topology,
  limits,
  concurrency,
}: {
  readonly checkOf: (planned: PlannedCase) => AnyCheck;
  readonly topology: Topology;
  readonly limits: Provider['limits'];
  /** Cases at once, where the caller asks for it. */
  readonly concurrency: number | undefined;
}): Pick<ScheduleOptions, 'locks' | 'mostlyWaits' | 'inCalm' | 'quiet' | 'company' | 'concurrency'> {
  const mindsOthers = (planned: PlannedCase): boolean =>
    limits.casesAtOnce !== undefined && (checkOf(planned).timed ?? false);
  return {
    locks: (planned) => locksOf(checkOf(planned), planned.subject, topology),
    mostlyWaits: (planned) => (checkOf(planned).mostlyWaits ?? false) && !mindsOthers(planned),
    inCalm: mindsOthers,
    quiet: (planned) => checkOf(planned).quiet ?? false,
    company: (planned) => companyOf(checkOf(planned), planned, limits),
    concurrency: concurrencyFor(concurrency, limits, topology.members.length),
  };
}

/** Cases that start at once, and what they need. */
interface Group {
  readonly cases: readonly PlannedCase[];
  readonly locks: Locks;
  readonly company?: Company;
}

/** @returns the cases that never started: aborted, or stopped */
export async function runSchedule(options: ScheduleOptions): Promise<PlannedCase[]> {
  const { cases, signal } = options;
  const verdicts = new Map(options.known);
  const position = new Map(cases.map((planned, index) => [planned.id, index]));
  const waitingFor = new Map<string, number>();
  const dependants = dependantsOf(cases);
  /** Sorted by position. */
  const ready: PlannedCase[] = [];
  const unstarted = new Set(cases.map((planned) => planned.id));
  const table = new LockTable();
  const companies = new Map<string, PlannedCase[]>();
  const running = new Set<Promise<void>>();
  const places = new Places(options.concurrency);
  const kindOf = (planned: PlannedCase): Kind => (options.mostlyWaits?.(planned) ? 'waiting' : 'working');
  const inLine: Record<Kind, number> = { working: 0, waiting: 0 };
  /** How many groups run that want calm, how many that disturb it, and how many that do neither. */
  const groups = { inCalm: 0, others: 0, quiet: 0 };
  const wantOf = ({ cases: group }: Group): keyof typeof groups => {
    if (group.every((planned) => options.inCalm?.(planned))) return 'inCalm';
    return group.every((planned) => options.quiet?.(planned)) ? 'quiet' : 'others';
  };
  const isCalmFor = (want: keyof typeof groups): boolean =>
    want === 'quiet' || groups[want === 'inCalm' ? 'others' : 'inCalm'] === 0;
  let stopped = false;

  const rankOf = (planned: PlannedCase): number => position.get(planned.id) as number;

  /** A case whose dependencies have all ended gets in line, or ends here because of them. */
  const release = (planned: PlannedCase): void => {
    // Nothing is concluded from cases that the end of the run caught.
    if (signal.aborted) return;
    const blocked = blockedBy(planned, verdicts);
    if (!blocked) {
      ready.splice(insertionPoint(ready, planned, rankOf), 0, planned);
      inLine[kindOf(planned)]++;
      return;
    }
    unstarted.delete(planned.id);
    options.settle(planned, blocked);
    finish(planned, blocked);
  };

  const finish = (planned: PlannedCase, verdict: Verdict): void => {
    verdicts.set(planned.id, verdict);
    if (options.stopAfter?.(verdict)) stopped = true;
    for (const dependant of dependants.get(planned.id) ?? []) {
      const left = (waitingFor.get(dependant.id) as number) - 1;
      waitingFor.set(dependant.id, left);
      if (left === 0) release(dependant);
    }
  };

  const isReady = (planned: PlannedCase): boolean =>
    unstarted.has(planned.id) && waitingFor.get(planned.id) === 0;

  /** Those that start with this one, it first; undefined while some of them have to wait. */
  const groupOf = (planned: PlannedCase): Group | undefined => {
    const name = options.company?.(planned);
    if (name === undefined) return { cases: [planned], locks: options.locks(planned) };
    const open = (companies.get(name) ?? []).filter(({ id }) => unstarted.has(id));
    companies.set(name, open);
    // When nothing else runs, nobody is left whom the others could wait for.
    if (running.size > 0 && !open.every(isReady)) return undefined;
    const shareTheirLocks = options.locks(planned).alone.length > 0;
    const most = shareTheirLocks ? MOST_TOGETHER : TOGETHER_PER_PLACE * options.concurrency;
    const members: PlannedCase[] = [];
    const all: Locks[] = [];
    const taken = new Set<string>();
    for (const one of [planned, ...open.filter((other) => other !== planned && isReady(other))]) {
      const locks = options.locks(one);
      if (members.length === most || locks.own?.some((lock) => taken.has(lock))) continue;
      members.push(one);
      all.push(locks);
      for (const lock of locks.own ?? []) taken.add(lock);
    }
    return {
      cases: members,
      locks: locksOfAll(all),
      ...(members.length > 1 && { company: new Company() }),
    };
  };

  const start = (group: Group, load: Load): void => {
    const { cases: started, locks, company } = group;
    const want = wantOf(group);
    table.take(locks);
    places.take(load);
    groups[want]++;
    const members = started.map((planned) => ({ planned, member: company?.join() }));
    let open = started.length;
    for (const { planned, member } of members) {
      unstarted.delete(planned.id);
      const run = options.execute(planned, member).then((verdict): void => {
        member?.leave();
        if (--open === 0) {
          table.release(locks);
          places.release(load);
          groups[want]--;
        }
        running.delete(run);
        finish(planned, verdict);
        return undefined;
      });
      running.add(run);
    }
  };

  const startReady = (): void => {
    const waiting = new Waiting();
    // Whoever of a kind finds no room is followed by no other of that kind: large companies would wait for ever.
    const full: Record<Kind, boolean> = { working: false, waiting: false };
    const mayStart = (kind: Kind): boolean => !full[kind] && inLine[kind] > 0;
    let index = 0;
    while (index < ready.length && KINDS.some(mayStart)) {
      const first = ready[index] as PlannedCase;
      const group = full[kindOf(first)] ? undefined : groupOf(first);
      if (!group) {
        index++;
        continue;
      }
      const kinds = group.cases.map(kindOf);
      const load = places.loadOf(kinds);
      const fits = places.fits(load);
      if (!fits) for (const kind of kinds) full[kind] = true;
      if (waiting.stands(group.locks)) {
        index++;
      } else if (fits && isCalmFor(wantOf(group)) && table.allows(group.locks)) {
        for (const planned of group.cases) {
          ready.splice(ready.indexOf(planned), 1);
          inLine[kindOf(planned)]--;
        }
        start(group, load);
        // What stood before it may have been in its company.
        index = Math.max(0, index - group.cases.length + 1);
      } else if (group.locks.alone.includes('fleet')) {
        // Everything shares the fleet: it would wait for ever if others went on taking it.
        break;
      } else {
        // One that waits for its like stands in nobody's way meanwhile.
        if (!table.isAhead(group.locks)) waiting.add(group.locks);
        index++;
      }
    }
  };

  const free: PlannedCase[] = [];
  for (const planned of cases) {
    const company = options.company?.(planned);
    if (company !== undefined) companies.set(company, [...(companies.get(company) ?? []), planned]);
    const open = planned.dependsOn.filter((id) => position.has(id) && !verdicts.has(id));
    waitingFor.set(planned.id, open.length);
    if (open.length === 0) free.push(planned);
  }
  free.forEach(release);

  for (;;) {
    if (!stopped && !signal.aborted) startReady();
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (unstarted.size > 0 && !stopped && !signal.aborted) {
    throw new InternalError(`cases wait for each other: ${[...unstarted].slice(0, 3).join(', ')}`);
  }
  return cases.filter((planned) => unstarted.has(planned.id));
}

/** Where an item of this rank belongs in a list that is sorted by rank. */
function insertionPoint<T>(sorted: readonly T[], item: T, rankOf: (item: T) => number): number {
  const rank = rankOf(item);
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rankOf(sorted[middle] as T) < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The verdict of a case of which a dependency did not pass; undefined when none stands in the way. */
export function blockedBy(planned: PlannedCase, verdicts: ReadonlyMap<string, Verdict>): Verdict | undefined {
  for (const id of planned.dependsOn) {
    const verdict = verdicts.get(id);
    if (verdict?.status === 'failed' || verdict?.status === 'inconclusive')
      return dependencyFailed(id, verdict);
  }
  return undefined;
}

/** Names the case that others go back to: where a dependency itself only waited for another, that other. */
export function dependencyFailed(id: string, verdict: Verdict): Verdict {
  const reason =
    verdict.cause === 'dependency-failed'
      ? verdict.reason
      : `Depends on ${id}, which is ${verdict.status}${verdict.cause ? ` (${verdict.cause})` : ''}`;
  return inconclusive('dependency-failed', reason);
}
