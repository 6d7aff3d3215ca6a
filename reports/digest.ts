/** What all reports say in the same words: the headline, the counts, and why a case did not pass. */
import { CAUSES, type CauseCode } from '../lib/model/causes.ts';
import { type Subject, subjectName, suiteOf } from '../lib/model/ids.ts';
import type { RunSubject } from '../lib/model/record.ts';
import type { CaseResult, PhaseStep, RunResults } from '../lib/model/results.ts';
import { STATUSES, type Status } from '../lib/model/verdict.ts';
import { clean, counted, oneLine } from './text.ts';

/** `lab · wireguard · profile none · full-mesh of 2 · ipv4`: tells subjects apart without the run id. */
export function subjectLabel(subject: RunSubject): string {
  return [
    subject.provider,
    subject.underlay,
    `profile ${subject.profile}`,
    `${subject.topology} of ${subject.clusters.length}`,
    subject.ipFamilies.join('+'),
    ...(subject.tuning === 'fast' ? ['fast timers'] : []),
  ].join(' · ');
}

export type Counts = Readonly<Record<Status, number>>;

export function countsOf(cases: readonly CaseResult[]): Counts {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
  for (const { verdict } of cases) counts[verdict.status] += 1;
  return counts;
}

/** `1 failed, 3 inconclusive, 38 passed, 2 skipped`; what did not occur is left out. */
export function countsText(counts: Counts): string {
  const parts = STATUSES.filter((status) => counts[status] > 0).map(
    (status) => `${counts[status]} ${status}`,
  );
  return parts.length === 0 ? 'no cases' : parts.join(', ');
}

/** Class and verdict of a run: `underlay: conformant`. */
export const verdictText = ({ conformance }: RunResults): string =>
  `${conformance.class}: ${conformance.verdict}`;

/** What of the core was skipped, checks with the same reason together; `undefined` when nothing was. */
export function skippedCoreText({ conformance }: RunResults): string | undefined {
  const entries = conformance.skippedCore.map((entry) => {
    const [check = '', reason = '', count = ''] = /^(\S+): (.*?)( \(\d+ cases\))?$/s
      .exec(entry)
      ?.slice(1) ?? [entry];
    return { check: oneLine(check + count), reason: oneLine(reason) };
  });
  if (entries.length === 0) return undefined;
  return [...Map.groupBy(entries, ({ reason }) => reason)]
    .map(([reason, group]) => {
      const names = bySuiteName(group.map(({ check }) => check)).join(', ');
      return reason ? `${names}: ${reason}` : names;
    })
    .join('; ');
}

/** From three checks of a suite on, the suite stands for them: `policy (5 checks)`. */
const bySuiteName = (checks: readonly string[]): string[] =>
  [...Map.groupBy(checks, suiteOf)].flatMap(([suite, group]) =>
    group.length < 3 ? group : [`${suite} (${group.length} checks)`],
  );

/** The first line of every report. */
export function headline(results: RunResults): string {
  const skipped = skippedCoreText(results);
  return `${verdictText(results)} · ${skipped === undefined ? 'nothing of the core was skipped' : `skipped of the core: ${skipped}`}`;
}

/** Everything about the run itself that a reader must know before trusting a green result; one sentence each. */
export function remarks(results: RunResults): string[] {
  const { subject } = results;
  return [
    ...(results.ended === 'interrupted' ? ['The run was interrupted'] : []),
    ...(results.ended === 'deadline' ? ['The deadline ended the run'] : []),
    ...(results.ended === 'bail' ? ['The run stopped at the first failure (--bail)'] : []),
    ...(results.ended === 'unfinished'
      ? ['The record has no end: the run was killed, or still goes on']
      : []),
    ...(results.teardown === 'failed'
      ? [
          `Clean-up failed${results.leftovers.length > 0 ? `; left behind: ${results.leftovers.join(', ')}` : ''}; \`mcnet-conformance clean ${results.run}\` removes it`,
        ]
      : []),
    ...(results.teardown === 'kept'
      ? [
          `Everything was kept: \`--attach ${results.run}\` runs on it again, \`mcnet-conformance clean ${results.run}\` removes it`,
          ...byHand(results),
        ]
      : []),
    ...(subject.tuning === 'fast' ? ["The technology's timers were shortened: not a production result"] : []),
    ...(subject.remarks ?? []),
    ...(subject.build.kind === 'local'
      ? [
          `A local build was tested, or one of unknown origin${subject.build.differs ? `: ${subject.build.differs}` : ''}`,
        ]
      : []),
    ...(subject.changedBudgets.length > 0
      ? [`Budgets that differ from their default: ${subject.changedBudgets.join(', ')}`]
      : []),
    ...(results.merged && results.merged.length > 1 ? [`Merged from ${results.merged.length} runs`] : []),
    ...results.recordProblems.map((problem) => `The record is damaged: ${problem}`),
  ].map((sentence) => oneLine(sentence));
}

/** Clusters of a large fleet whose commands are shown: the others' read alike. */
const SHOWN_BY_HAND = 3;

function byHand({ byHand: commands = {} }: RunResults): string[] {
  const all = Object.entries(commands);
  const clusters = [...new Set(all.map(([at]) => at.split('/', 1)[0]))].slice(0, SHOWN_BY_HAND);
  return all
    .filter(([at]) => clusters.includes(at.split('/', 1)[0]))
    .map(([at, command]) => `By hand, ${at}: \`${command} …\``);
}

/** Nobody asks why a set-up was not faster than this. */
const LONG_SET_UP_MS = 10_000;
const SLOWEST_STEPS = 5;
/** Nor what was done in less. */
const SLOW_STEP_MS = 1_000;
/** So that twenty workloads, all of which waited for the same, do not hide the rest. */
const SLOWEST_OF_PHASE = 2;

export interface SlowStep extends PhaseStep {
  readonly phase: string;
}

/**
 * Where the time of a long set-up went: of steps that are the same in several clusters the slowest, the longest first.
 * Undefined when it was short, or nobody told of its steps.
 */
export function slowSetUp({ phases }: RunResults): { totalMs: number; steps: SlowStep[] } | undefined {
  const ended = phases.flatMap(({ steps = [], endedMs }) => (steps.length > 0 ? (endedMs ?? 0) : []));
  const totalMs = Math.max(0, ...ended);
  if (totalMs < LONG_SET_UP_MS) return undefined;
  const longest = (steps: readonly SlowStep[]): SlowStep[] =>
    steps.toSorted((a, b) => b.durationMs - a.durationMs);
  const chosen = phases.flatMap(({ phase, steps = [] }) =>
    [...Map.groupBy(longest(steps.map((step) => ({ ...step, phase }))), ({ step }) => step)]
      .flatMap(([, [slowest]]) => slowest ?? [])
      .slice(0, SLOWEST_OF_PHASE),
  );
  const steps = longest(chosen).filter(({ durationMs }) => durationMs >= SLOW_STEP_MS);
  return { totalMs, steps: steps.slice(0, SLOWEST_STEPS) };
}

/** `west: workload mcnet/client`. */
export const stepName = ({ step, cluster }: Pick<PhaseStep, 'step' | 'cluster'>): string =>
  oneLine(cluster === undefined ? step : `${cluster}: ${step}`);

/** Nothing was executed: no case has a verdict that rests on traffic. A failure of the run. */
export const nothingExecuted = (results: RunResults): boolean =>
  results.cases.every(({ verdict }) => verdict.status === 'skipped');

/** Why the run itself failed, apart from its cases. */
export interface RunFailure {
  /** Stands where a case id would. */
  readonly id: 'run.set-up[fleet]' | 'run.executed[fleet]';
  readonly title: string;
  readonly expected: string;
  readonly seen: string;
}

export function runFailure(results: RunResults): RunFailure | undefined {
  if (results.ended === 'set-up-failed' || results.error !== undefined) {
    const last = results.phases.at(-1);
    return {
      id: 'run.set-up[fleet]',
      title: 'The set-up of the run',
      expected: 'clusters come up, are joined, and every workload answers',
      seen: clean(
        results.error ?? `the set-up ended${last ? ` after ${last.phase}` : ''} without saying why`,
      ),
    };
  }
  if (nothingExecuted(results)) {
    return {
      id: 'run.executed[fleet]',
      title: 'Something is executed',
      expected: 'at least one case runs',
      seen:
        results.cases.length === 0
          ? 'no case was planned'
          : `all ${counted(results.cases.length, 'case')} were skipped`,
    };
  }
  return undefined;
}

/** Where the documentation has more about a check: the anchor that its heading gets in rendered Markdown. */
export const pageOf = (check: string): string => `suites/README.md#${check.replaceAll('.', '')}`;

export const causeText = (cause: CauseCode): string =>
  `${CAUSES[cause] ?? 'A cause this version does not know'} (${cause})`;

export interface Explanation {
  readonly label: 'expected' | 'seen' | 'dropped' | 'cause' | 'look at' | 'reproduce' | 'see';
  readonly text: string;
}

/** A verdict that is not *passed*, in the order in which an engineer needs it. */
export function explain(result: CaseResult): Explanation[] {
  const { verdict } = result;
  const lines: Explanation[] = [];
  const add = (label: Explanation['label'], text: string | undefined): void => {
    if (text !== undefined && text !== '') lines.push({ label, text: clean(text) });
  };
  add('expected', verdict.expected);
  // Without something seen, the reason says what happened.
  add('seen', verdict.seen ?? verdict.reason);
  add('dropped', verdict.dropped);
  add('cause', verdict.cause && causeText(verdict.cause));
  add('look at', result.hint);
  add(
    'reproduce',
    result.reproduceCommand ??
      (verdict.reproduce && `${verdict.reproduce.command}   # at ${verdict.reproduce.at}`),
  );
  add('see', [pageOf(result.check), ...(result.reference ? [result.reference] : [])].join(', '));
  return lines;
}

/** Causes that say something about the run and nothing about the case. */
export const NOT_STARTED: ReadonlySet<CauseCode> = new Set(['set-up-failed', 'deadline-reached']);

/** Cases that did not pass for the same reason; shown as one. */
export interface Problem {
  readonly status: 'failed' | 'inconclusive';
  readonly check: string;
  /** At least one; the first is shown in full. */
  readonly cases: readonly [CaseResult, ...CaseResult[]];
  /** Cases of this check that were planned to run. */
  readonly of: number;
  /** Cases that are inconclusive because of these. */
  readonly dependants: readonly CaseResult[];
}

export interface Problems {
  readonly roots: readonly Problem[];
  /** Cases that were never reached, by cause. */
  readonly notStarted: readonly { readonly cause: CauseCode; readonly cases: readonly CaseResult[] }[];
}

/** Failures first, each in the order of the plan; identical ones and their dependants grouped. */
export function problemsOf(cases: readonly CaseResult[]): Problems {
  const byId = new Map(cases.map((result) => [result.id, result]));
  const wrong = cases.filter(
    ({ verdict }) => verdict.status === 'failed' || verdict.status === 'inconclusive',
  );
  const rootOf = memoised((result: CaseResult): CaseResult => {
    if (result.verdict.cause !== 'dependency-failed') return result;
    const blocker = result.dependsOn
      .map((id) => byId.get(id))
      .find(
        (other) =>
          other !== undefined && other.verdict.status !== 'passed' && other.verdict.status !== 'skipped',
      );
    return blocker && blocker !== result ? rootOf(blocker) : result;
  });
  const notStarted = Map.groupBy(wrong, ({ verdict }) =>
    verdict.cause !== undefined && NOT_STARTED.has(verdict.cause) ? verdict.cause : undefined,
  );
  const started = notStarted.get(undefined) ?? [];
  const dependants = Map.groupBy(
    started.filter((result) => rootOf(result) !== result),
    (result) => rootOf(result).id,
  );
  const roots = started.filter((result) => rootOf(result) === result);
  const grouped = [...Map.groupBy(roots, likeness).values()].map((group): Problem => {
    const [first] = group as [CaseResult];
    return {
      status: first.verdict.status as Problem['status'],
      check: first.check,
      cases: group as [CaseResult, ...CaseResult[]],
      of: cases.filter((other) => other.check === first.check && other.verdict.status !== 'skipped').length,
      dependants: group.flatMap(({ id }) => dependants.get(id) ?? []),
    };
  });
  return {
    roots: grouped.toSorted((a, b) => STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status)),
    notStarted: [...notStarted].flatMap(([cause, group]) =>
      cause === undefined ? [] : [{ cause, cases: group }],
    ),
  };
}

/** Same check, same status, same cause: one problem in several places. */
const likeness = ({ check, verdict }: CaseResult): string =>
  [check, verdict.status, verdict.cause ?? verdict.reason].join('\n');

/** Dependencies form no cycle; a case whose own is under way stands for itself. */
function memoised(find: (result: CaseResult) => CaseResult): (result: CaseResult) => CaseResult {
  const known = new Map<string, CaseResult>();
  return (result) => {
    const before = known.get(result.id);
    if (before) return before;
    known.set(result.id, result);
    const root = find(result);
    known.set(result.id, root);
    return root;
  };
}

export const placeOf = ({ subject, variants }: { subject: Subject; variants: readonly string[] }): string =>
  [subjectName(subject), ...variants].join(',');

/**
 * Where something happened, short: a cluster all of whose pairs are concerned is named once, as `north->*` or
 * `*->north`.
 * @param all the cases of the check that count, to know what *all* means
 */
export function placesOf(some: readonly CaseResult[], all: readonly CaseResult[]): string[] {
  const left = new Set(some.map(placeOf));
  const places: string[] = [];
  const covered = new Set<string>();
  for (const side of ['from', 'to'] as const) {
    const groups = Map.groupBy(
      all.filter(({ subject }) => subject.scope === 'pair'),
      ({ subject, variants }) => [subject.scope === 'pair' ? subject[side] : '', ...variants].join(','),
    );
    for (const [key, group] of groups) {
      const members = group.map(placeOf);
      if (members.length < 3 || !members.every((place) => left.has(place))) continue;
      if (members.every((place) => covered.has(place))) continue;
      for (const place of members) covered.add(place);
      const [cluster, ...variants] = key.split(',');
      places.push([side === 'from' ? `${cluster}->*` : `*->${cluster}`, ...variants].join(','));
    }
  }
  return [...places, ...[...left].filter((place) => !covered.has(place))];
}

/** Skipped cases counted by reason, most first. */
export function skipsByReason(cases: readonly CaseResult[]): { reason: string; cases: CaseResult[] }[] {
  const skipped = cases.filter(({ verdict }) => verdict.status === 'skipped');
  return [...Map.groupBy(skipped, ({ verdict }) => oneLine(verdict.reason))]
    .map(([reason, group]) => ({ reason, cases: group }))
    .toSorted((a, b) => b.cases.length - a.cases.length);
}

export interface CheckResults {
  readonly check: string;
  readonly title: string;
  readonly cases: readonly CaseResult[];
}
export interface SuiteResults {
  readonly suite: string;
  readonly checks: readonly CheckResults[];
}

/** In the order of the plan. */
export function bySuite(cases: readonly CaseResult[]): SuiteResults[] {
  return [...Map.groupBy(cases, ({ suite }) => suite)].map(([suite, ofSuite]) => ({
    suite,
    checks: [...Map.groupBy(ofSuite, ({ check }) => check)].map(([check, ofCheck]) => ({
      check,
      title: ofCheck[0]?.title ?? check,
      cases: ofCheck,
    })),
  }));
}
