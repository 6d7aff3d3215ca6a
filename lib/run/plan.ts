/** From suites and specification to the cases of a run. Pure. */
import { createHash } from 'node:crypto';
import { suggest } from '../config/nearest.ts';
import type { Budget } from '../model/budgets.ts';
import type { AnyCheck, Scope, Suite } from '../model/check.ts';
import type { IpFamily } from '../model/cidr.ts';
import type { ConformanceClass, Feature, Profile } from '../model/cluster.ts';
import { InternalError, UserError } from '../model/errors.ts';
import { type Subject, caseId, matchesGlob } from '../model/ids.ts';
import type { Intent } from '../model/intent.ts';
import type { PlannedCase } from '../model/record.ts';
import type { RunSpec } from '../model/spec.ts';
import { type PairPath, type Topology, directedPairs, pathBetween, wayOf } from '../model/topology.ts';

/** Suites of which a large fleet runs only a sample of the pairs: each case of them takes many seconds. */
const SAMPLED_SUITES: ReadonlySet<string> = new Set(['performance', 'failover']);
/** With timers as short as they can be, the core of a technology is looked at in a minute. */
const QUICK_LOOK_MS = 60_000;
/** Pairs that are never sampled down: three clusters in full mesh. */
const SAMPLE_SIZE = 6;

export type Selection = Pick<
  RunSpec,
  | 'topology'
  | 'families'
  | 'level'
  | 'suites'
  | 'checks'
  | 'skips'
  | 'pairs'
  | 'budgets'
  | 'seed'
  | 'lacking'
  | 'tuning'
  | 'patient'
>;

export interface PlanInput {
  readonly suites: readonly Suite[];
  readonly spec: Selection;
  readonly class: ConformanceClass;
  /** What provider, underlay and profile can carry together. */
  readonly features: readonly Feature[];
  /** What budgets become by the technology on top. */
  readonly budgets?: Profile['budgets'];
  readonly configuredPathMtu?: number;
  /** Why no handler can express an intent; undefined when one can. */
  readonly inexpressible: (intent: Intent) => string | undefined;
}

export interface Plan {
  readonly cases: readonly PlannedCase[];
  /** Core checks of the class of which cases were not selected, as `<check id> (why)`. */
  readonly unselected: readonly string[];
}

interface Candidate {
  readonly suite: Suite;
  readonly check: AnyCheck;
  readonly id: string;
  readonly subject: Subject;
  readonly family: IpFamily;
  readonly variants: readonly string[];
  readonly path?: PairPath;
}

/** @throws UserError when a glob matches nothing, or nothing is selected */
export function planCases(input: PlanInput): Plan {
  const { spec } = input;
  const candidates = candidatesOf(input.suites, spec.topology, spec.families);
  assertGlobsMatch(spec, candidates);
  // What does not count here is named only to those who ask for it.
  const asksByName = spec.suites.length + spec.checks.length > 0;
  const selected = candidates.filter(
    (candidate) => isSelected(candidate, spec) && (asksByName || countsFor(candidate.check, input.class)),
  );
  if (selected.length === 0) {
    throw new UserError('No case is selected', {
      where: '--level, --suite, --check, --skip',
      remedy:
        'Widen the selection (`--level all` adds extended checks); `mcnet-conformance list checks` shows all',
    });
  }
  const sampledOut = pairsOutsideSample(selected, spec);
  const cases = selected.map((candidate): PlannedCase => {
    const { check, suite, family, path } = candidate;
    const outsideClass = !countsFor(check, input.class);
    const skip = skipReason(candidate, input, sampledOut);
    return {
      id: candidate.id,
      check: check.id,
      suite: suite.id,
      title: check.title,
      level: check.level,
      subject: candidate.subject,
      variants: candidate.variants,
      expectation: {
        family,
        ...(path && { path }),
        ...(input.configuredPathMtu !== undefined && { configuredPathMtu: input.configuredPathMtu }),
        clusters: clustersOf(candidate.subject, spec.topology),
      },
      dependsOn: [],
      budgets: budgetsInForce(check, spec.budgets, input.budgets),
      judgeVersion: check.judgeVersion ?? 1,
      hint: check.hint,
      ...(check.reference !== undefined && { reference: check.reference }),
      ...(skip !== undefined && { skip }),
      ...(outsideClass && { outsideClass: true as const }),
    };
  });
  return {
    cases: withDependencies(cases, input.suites),
    unselected: unselectedCore(candidates, selected, input.class),
  };
}

/** Named in every case: of a hundred clusters all would be most of the record. */
function clustersOf(subject: Subject, { members }: Topology): string[] {
  switch (subject.scope) {
    case 'fleet':
      return members.map(({ name }) => name);
    case 'cluster':
      return [subject.cluster];
    case 'pair':
      return [subject.from, subject.to];
  }
}

/** Every case there could be, in the order of suites, checks, subjects and families. */
function candidatesOf(
  suites: readonly Suite[],
  topology: Topology,
  families: readonly IpFamily[],
): Candidate[] {
  return suites.flatMap((suite) =>
    suite.checks.flatMap((check) => {
      const varies = families.length > 1 && !check.familyless;
      return subjectsOf(check, topology).flatMap(({ subject, path }) =>
        (varies ? families : families.slice(0, 1)).map((family) => {
          const variants = varies ? [family] : [];
          const id = caseId(check.id, subject, variants);
          return { suite, check, id, subject, family, variants, ...(path && { path }) };
        }),
      );
    }),
  );
}

function subjectsOf(check: AnyCheck, topology: Topology): { subject: Subject; path?: PairPath }[] {
  const names = topology.members.map((member) => member.name);
  switch (check.scope) {
    case 'fleet':
      return [{ subject: { scope: 'fleet' } }];
    case 'cluster':
      return names.map((cluster) => ({ subject: { scope: 'cluster', cluster } }));
    default: {
      const wanted: readonly string[] = check.paths ?? ['direct', 'via'];
      return directedPairs(names)
        .map((pair) => ({
          subject: { scope: 'pair', ...pair } as const,
          path: pathBetween(topology, pair.from, pair.to),
        }))
        .filter(({ path }) => wanted.includes(path.kind));
    }
  }
}

const matchesAny = (globs: readonly string[], ...ids: readonly string[]): boolean =>
  globs.some((glob) => ids.some((id) => matchesGlob(glob, id)));

function isSelected({ suite, check, id }: Candidate, spec: Selection): boolean {
  return (
    (spec.level === 'all' || spec.level === check.level) &&
    (spec.suites.length === 0 || matchesAny(spec.suites, suite.id)) &&
    (spec.checks.length === 0 || matchesAny(spec.checks, check.id, id)) &&
    !matchesAny(spec.skips, suite.id, check.id, id)
  );
}

/** @throws UserError for the first glob that matches nothing of these suites, with the nearest known name */
export function checkGlobs(suites: readonly Suite[], spec: Selection): void {
  assertGlobsMatch(spec, candidatesOf(suites, spec.topology, spec.families), suites);
}

function assertGlobsMatch(
  spec: Selection,
  candidates: readonly Candidate[],
  suites: readonly Suite[] = candidates.map(({ suite }) => suite),
): void {
  const suiteIds = [...new Set(suites.map((suite) => suite.id))];
  const checkIds = [...new Set(suites.flatMap((suite) => suite.checks.map((check) => check.id)))];
  const caseIds = candidates.map((candidate) => candidate.id);
  const flags = [
    { flag: '--suite', globs: spec.suites, names: suiteIds, ids: suiteIds },
    { flag: '--check', globs: spec.checks, names: checkIds, ids: [...checkIds, ...caseIds] },
    {
      flag: '--skip',
      globs: spec.skips,
      names: [...suiteIds, ...checkIds],
      ids: [...suiteIds, ...checkIds, ...caseIds],
    },
  ];
  for (const { flag, globs, names, ids } of flags) {
    const lost = globs.find((glob) => !ids.some((id) => matchesGlob(glob, id)));
    if (lost === undefined) continue;
    // A glob with a subject in brackets is compared by whole case ids, everything else by the short names.
    throw new UserError(`"${lost}" matches nothing`, {
      where: flag,
      remedy: `${suggest(lost, lost.includes('[') ? ids : names)}; \`mcnet-conformance list checks\` shows all`,
    });
  }
}

function countsFor({ classes }: AnyCheck, runClass: ConformanceClass): boolean {
  return classes?.includes(runClass) ?? true;
}

function skipReason(
  candidate: Candidate,
  input: PlanInput,
  sampledOut: ReadonlySet<string>,
): string | undefined {
  const { check, suite, subject } = candidate;
  if (!countsFor(check, input.class)) return `does not count for the class ${input.class}`;
  const required: readonly Feature[] = check.requires ?? [];
  const missing = required.filter((feature) => !input.features.includes(feature));
  const asked = missing.find((feature) => input.spec.lacking?.[feature] !== undefined);
  if (asked) return `needs ${asked}: ${input.spec.lacking?.[asked]}`;
  if (missing.length > 0) return `needs ${missing.join(', ')}, which nothing in this run offers`;
  for (const fixture of check.uses ?? []) {
    for (const intent of fixture.intents ?? []) {
      const reason = input.inexpressible(intent);
      if (reason !== undefined) return reason;
    }
  }
  if (subject.scope === 'pair' && SAMPLED_SUITES.has(suite.id) && sampledOut.has(pairKey(subject))) {
    return 'not sampled';
  }
  return tooSlow(candidate, input);
}

/** Why a quick look at the core leaves it out, where the technology takes its time by timers that nobody can shorten. */
function tooSlow({ check, id }: Candidate, { spec, budgets = {} }: PlanInput): string | undefined {
  const isQuickLook = spec.tuning === 'fast' && spec.level === 'core' && !spec.patient;
  if (!isQuickLook || matchesAny(spec.checks, check.id, id)) return undefined;
  const longestMs = Math.max(
    ...Object.entries(budgets).map(([name, { value }]) => (name.startsWith(`${check.id}.`) ? value : 0)),
    0,
  );
  if (longestMs <= QUICK_LOOK_MS) return undefined;
  const seconds = Math.round(longestMs / 1_000);
  return `may take ${seconds} s by timers of the technology that \`--tuning fast\` cannot shorten: \`--check ${check.id}\` or \`--level all\` waits for it`;
}

interface Pair {
  readonly from: string;
  readonly to: string;
}

const pairKey = ({ from, to }: Pair): string => `${from}->${to}`;

/**
 * The pairs that lose the draw. Those are drawn first whose clusters have been drawn least, so that a few pairs meet as many
 * clusters as they can; then those whose clusters have been drawn less at the same end, and those of the way that has been
 * drawn less, since they can run beside each other; among them the order is that of a hash of seed and pair.
 */
function pairsOutsideSample(selected: readonly Candidate[], spec: Selection): Set<string> {
  if (spec.pairs.kind === 'all' && spec.pairs.explicit) return new Set();
  const count = spec.pairs.kind === 'sample' ? spec.pairs.count : SAMPLE_SIZE;
  const pairs = new Map(
    selected.flatMap(({ suite, subject }) =>
      subject.scope === 'pair' && SAMPLED_SUITES.has(suite.id) ? [[pairKey(subject), subject] as const] : [],
    ),
  );
  const rank = new Map(
    [...pairs.keys()].map((key) => [key, createHash('sha256').update(`${spec.seed} ${key}`).digest('hex')]),
  );
  const ranked = [...pairs].toSorted(([a], [b]) => (rank.get(a)! < rank.get(b)! ? -1 : 1));
  const left = new Map(ranked);
  const drawn = new Map<string, number>();
  const names = spec.topology.members.map(({ name }) => name);
  // No cluster can be called so.
  const wayKey = (pair: Pair): string => `way ${wayOf(names, pair)}`;
  const startKey = ({ from }: Pair): string => `from ${from}`;
  const endKey = ({ to }: Pair): string => `to ${to}`;
  const usesOf = (name: string): number => drawn.get(name) ?? 0;
  const isBetter = (a: Pair, b: Pair): boolean => {
    const [clusters, others] = [a, b].map(({ from, to }) => usesOf(from) + usesOf(to)) as [number, number];
    if (clusters !== others) return clusters < others;
    const [ends, otherEnds] = [a, b].map((pair) => usesOf(startKey(pair)) + usesOf(endKey(pair))) as [
      number,
      number,
    ];
    return ends < otherEnds || (ends === otherEnds && usesOf(wayKey(a)) < usesOf(wayKey(b)));
  };
  for (let draw = 0; draw < count && left.size > 0; draw++) {
    let best: [string, Pair] | undefined;
    for (const one of left) if (!best || isBetter(one[1], best[1])) best = one;
    const [key, pair] = best!;
    left.delete(key);
    for (const name of [pair.from, pair.to, startKey(pair), endKey(pair), wayKey(pair)])
      drawn.set(name, usesOf(name) + 1);
  }
  return new Set(left.keys());
}

function budgetsInForce(
  check: AnyCheck,
  configured: Readonly<Record<string, number>>,
  ofProfile: Profile['budgets'],
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(declaredBudgets(check, ofProfile)).map(([name, budget]) => [
      name,
      configured[`${check.id}.${name}`] ?? budget.value,
    ]),
  );
}

/** The same cases by budgets as the technology turned out to be configured. */
export const withBudgets = (
  cases: readonly PlannedCase[],
  checkOf: (id: string) => AnyCheck,
  configured: Readonly<Record<string, number>>,
  ofProfile: Profile['budgets'],
): PlannedCase[] =>
  cases.map((planned) => ({
    ...planned,
    budgets: budgetsInForce(checkOf(planned.check), configured, ofProfile),
  }));

/** The check's own, or what the technology on top makes of them. */
export function declaredBudgets(
  check: AnyCheck,
  ofProfile: Profile['budgets'] = {},
): Readonly<Record<string, Budget>> {
  const own: Readonly<Record<string, Budget>> = check.budgets ?? {};
  return Object.fromEntries(
    Object.entries(own).map(([name, budget]) => [name, { ...budget, ...ofProfile[`${check.id}.${name}`] }]),
  );
}

/**
 * Resolves check ids to the cases a case waits for: those of the check whose subject touches its own, in the same
 * family where both vary with it. A pair's case so depends on the cases of both its clusters, of the same directed
 * pair, and of the fleet; a cluster's case on those of every pair that starts or ends there; a fleet's case on all.
 * What is not selected or skipped does not block.
 */
function withDependencies(cases: readonly PlannedCase[], suites: readonly Suite[]): PlannedCase[] {
  const checks = new Map(suites.flatMap((suite) => suite.checks.map((check) => [check.id, check] as const)));
  assertDependencies(checks);
  const index = indexBySubject(cases.filter((planned) => planned.skip === undefined));
  return cases.map((planned) => {
    if (planned.skip !== undefined) return planned;
    const wanted: readonly string[] = checks.get(planned.check)?.dependsOn ?? [];
    const dependsOn = wanted
      .flatMap((id) => lookUp(index.get(id), checks.get(id)?.scope, planned.subject))
      .filter((other) => sameVariant(other, planned))
      .map((other) => other.id);
    return { ...planned, dependsOn: [...new Set(dependsOn)] };
  });
}

/** Cases of one check by what their subject touches; an index, since a large fleet has tens of thousands of cases. */
type SubjectIndex = ReadonlyMap<string, readonly PlannedCase[]>;

function indexBySubject(cases: readonly PlannedCase[]): ReadonlyMap<string, SubjectIndex> {
  const index = new Map<string, Map<string, PlannedCase[]>>();
  for (const planned of cases) {
    const ofCheck = index.get(planned.check) ?? new Map<string, PlannedCase[]>();
    index.set(planned.check, ofCheck);
    for (const key of keysOf(planned.subject)) {
      const known = ofCheck.get(key);
      if (known) known.push(planned);
      else ofCheck.set(key, [planned]);
    }
  }
  return index;
}

function keysOf(subject: Subject): string[] {
  switch (subject.scope) {
    case 'fleet':
      return ['fleet'];
    case 'cluster':
      return ['fleet', subject.cluster];
    case 'pair':
      return ['fleet', subject.from, subject.to, pairKey(subject)];
  }
}

function lookUp(index: SubjectIndex | undefined, scope: Scope | undefined, subject: Subject): PlannedCase[] {
  if (!index) return [];
  const keys =
    scope === 'fleet' || subject.scope === 'fleet'
      ? ['fleet']
      : subject.scope === 'pair' && scope === 'pair'
        ? [pairKey(subject)]
        : subject.scope === 'pair'
          ? [subject.from, subject.to]
          : [subject.cluster];
  return keys.flatMap((key) => index.get(key) ?? []);
}

function assertDependencies(checks: ReadonlyMap<string, AnyCheck>): void {
  const done = new Set<string>();
  const visit = (id: string, trail: readonly string[]): void => {
    if (trail.includes(id))
      throw new InternalError(`checks depend on each other: ${[...trail, id].join(' → ')}`);
    const check = checks.get(id);
    if (!check) throw new InternalError(`${trail.at(-1)} depends on ${id}, which does not exist`);
    if (done.has(id)) return;
    const wanted: readonly string[] = check.dependsOn ?? [];
    for (const next of wanted) visit(next, [...trail, id]);
    done.add(id);
  };
  for (const id of checks.keys()) visit(id, []);
}

const sameVariant = (a: PlannedCase, b: PlannedCase): boolean =>
  a.variants.length === 0 || b.variants.length === 0 || a.expectation.family === b.expectation.family;

function unselectedCore(
  candidates: readonly Candidate[],
  selected: readonly Candidate[],
  runClass: ConformanceClass,
): string[] {
  const counts = (list: readonly Candidate[]) =>
    new Map([...Map.groupBy(list, ({ check }) => check.id)].map(([id, group]) => [id, group.length]));
  const wanted = counts(
    candidates.filter(({ check }) => check.level === 'core' && countsFor(check, runClass)),
  );
  const present = counts(selected);
  return [...wanted].flatMap(([id, total]) => {
    const missing = total - (present.get(id) ?? 0);
    if (missing === 0) return [];
    return [missing === total ? `${id}: not selected` : `${id}: not selected (${missing} of ${total} cases)`];
  });
}
