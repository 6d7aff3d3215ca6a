/** From what a run recorded to what reports show. Pure. */
import { UserError } from '../model/errors.ts';
import type { PlannedCase, RecordEvent, RunSubject } from '../model/record.ts';
import type { CaseResult, PhaseResult, PhaseStep, RunResults } from '../model/results.ts';
import type { ClusterUsage } from '../model/usage.ts';
import type { Figure, Figures, Verdict } from '../model/verdict.ts';
import { type StoredCase, conformanceOf, exitCodeOf, judgeAgain, mergeCases } from './judge.ts';
import { type StoredRecord, readRecords } from './record.ts';
import type { CheckRegistry } from './registry.ts';

export interface CaseOutcome {
  readonly verdict: Verdict;
  readonly durationMs: number;
  readonly observed?: unknown;
  /** How often it was observed. */
  readonly attempts: number;
  readonly kept?: string;
}

/** Whether somebody will want to see what such a verdict rests on. */
export const explains = ({ status }: Verdict): boolean => status === 'failed' || status === 'inconclusive';

/** All that the results of a run follow from. */
export interface RunFacts {
  /** What goes into the results as it is. */
  readonly about: Omit<RunResults, 'cases' | 'conformance' | 'exitCode'>;
  readonly planned: readonly PlannedCase[];
  /** Every planned case has one. */
  readonly outcomes: ReadonlyMap<string, CaseOutcome>;
  readonly shells: Readonly<Record<string, string>>;
  readonly unselected: readonly string[];
  readonly interruptedBy?: 'SIGINT' | 'SIGTERM';
  /** The record could not be written, or cannot be trusted. */
  readonly recordBroken: boolean;
}

export function resultsOf(facts: RunFacts): RunResults {
  return conclude(facts, casesOf(facts));
}

function casesOf(facts: RunFacts): CaseResult[] {
  return facts.planned.map((planned) => caseResult(planned, facts));
}

function caseResult(planned: PlannedCase, { outcomes, shells }: RunFacts): CaseResult {
  const { verdict, durationMs, observed, attempts, kept } = outcomes.get(planned.id)!;
  const { reproduce } = verdict;
  const shell = reproduce && shells[reproduce.at];
  return {
    ...planned,
    verdict,
    durationMs,
    ...(explains(verdict) && observed !== undefined && { observed }),
    ...(reproduce && { reproduceCommand: shell ? `${shell} ${reproduce.command}` : reproduce.command }),
    ...(attempts > 1 && { attempts }),
    ...(kept !== undefined && { kept }),
  };
}

type Conclusion = Pick<RunFacts, 'about' | 'unselected' | 'interruptedBy' | 'recordBroken'> &
  Partial<Pick<RunFacts, 'shells'>>;

function conclude(facts: Conclusion, cases: readonly CaseResult[]): RunResults {
  const { about, unselected, interruptedBy, recordBroken, shells = {} } = facts;
  const byHand = Object.entries(shells).filter(([at]) => !at.includes('/') || at.endsWith('/gateway'));
  return {
    ...about,
    ...(about.teardown === 'kept' && byHand.length > 0 && { byHand: Object.fromEntries(byHand) }),
    cases,
    conformance: conformanceOf(about.subject.class, cases, unselected),
    exitCode: exitCodeOf({
      ...(interruptedBy && { interruptedBy }),
      broken: recordBroken || about.ended === 'set-up-failed',
      statuses: cases.map(({ verdict }) => verdict.status),
      teardownFailed: about.teardown === 'failed',
    }),
  };
}

/**
 * Judges stored records again and merges those of the same subject; different subjects stay side by side.
 * @param lines of one record, or of several one after the other
 * @throws UserError when there is no record in them
 */
export function readResults(lines: Iterable<string>, registry: CheckRegistry): RunResults[] {
  const facts = readRecords(lines).map((record) => factsOf(record, registry));
  if (facts.length === 0) {
    throw new UserError('There is no record to report', { remedy: 'Give the record.ndjson of a run' });
  }
  const bySubject = Map.groupBy(facts, ({ about }) => subjectKey(about.subject));
  return [...bySubject.values()].map(mergeRuns);
}

/** What was tested, without how cases were selected: shards of one subject differ in that and in their seed. */
function subjectKey({
  seed: _seed,
  configuration: _configuration,
  changedBudgets: _changed,
  ...subject
}: RunSubject): string {
  return JSON.stringify(subject, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}

function mergeRuns(runs: readonly RunFacts[]): RunResults {
  const [first, ...others] = runs as [RunFacts, ...RunFacts[]];
  if (others.length === 0) return resultsOf(first);
  const all = runs.map(({ about }) => about);
  const interruptedBy = runs.find((run) => run.interruptedBy)?.interruptedBy;
  const error = all.find((about) => about.error !== undefined)?.error;
  const checkOf = (text: string): string => text.slice(0, text.indexOf(':'));
  const about: RunFacts['about'] = {
    ...first.about,
    merged: all.map(({ run }) => run),
    startedAt: all.map(({ startedAt }) => startedAt).toSorted()[0] as string,
    durationMs: all.reduce((sum, { durationMs }) => sum + durationMs, 0),
    ended: all.find(({ ended }) => ended !== 'completed')?.ended ?? 'completed',
    phases: all.flatMap(({ phases }) => phases),
    teardown: all.find(({ teardown }) => teardown === 'failed')?.teardown ?? first.about.teardown,
    leftovers: all.flatMap(({ leftovers }) => leftovers),
    ...(all.some(({ figures }) => figures) && { figures: addUp(all.map(({ figures = {} }) => figures)) }),
    ...(all.some(({ usage }) => usage) && { usage: all.flatMap(({ usage = [] }) => usage) }),
    diagnostics: all.flatMap(({ diagnostics }) => diagnostics),
    recordProblems: all.flatMap(({ recordProblems }) => recordProblems),
    ...(error !== undefined && { error }),
  };
  const missingEverywhere = first.unselected.filter((text) =>
    others.every(({ unselected }) => unselected.some((other) => checkOf(other) === checkOf(text))),
  );
  const facts: Conclusion = {
    about,
    unselected: missingEverywhere,
    recordBroken: runs.some(({ recordBroken }) => recordBroken),
    ...(interruptedBy && { interruptedBy }),
  };
  return conclude(facts, mergeCases(runs.map(casesOf)));
}

/** Runs that are merged took together what each took. */
function addUp(all: readonly Figures[]): Figures {
  const sum: Record<string, Figure> = {};
  for (const [name, { value, unit }] of all.flatMap((figures) => Object.entries(figures))) {
    sum[name] = { value: (sum[name]?.value ?? 0) + value, unit };
  }
  return sum;
}

type EventOf<T extends RecordEvent['type']> = Extract<RecordEvent, { type: T }>;

function eventsOf<T extends RecordEvent['type']>(record: StoredRecord, type: T): EventOf<T>[] {
  return record.events.filter((event): event is EventOf<T> => event.type === type);
}

function factsOf(record: StoredRecord, registry: CheckRegistry): RunFacts {
  const [start] = eventsOf(record, 'run.start');
  if (!start) {
    throw new UserError('The record does not begin with run.start', {
      ...(record.problems[0] !== undefined && { where: record.problems[0] }),
      remedy: 'Give the whole record.ndjson of a run',
    });
  }
  const end = eventsOf(record, 'run.end').at(-1);
  const plans = eventsOf(record, 'plan');
  const planned = plans.flatMap(({ cases }) => cases);
  const interruptedBy = end?.exitCode === 143 ? 'SIGTERM' : end?.exitCode === 130 ? 'SIGINT' : undefined;
  const about: RunFacts['about'] = {
    subject: start.subject,
    run: start.run,
    startedAt: start.at,
    durationMs: record.events.at(-1)?.monoMs ?? 0,
    ended: end?.ended ?? 'unfinished',
    phases: phasesIn(record),
    teardown: end?.teardown ?? 'unknown',
    leftovers: end?.leftovers ?? [],
    ...(end?.figures && { figures: end.figures }),
    ...usageIn(record),
    diagnostics: eventsOf(record, 'diagnostic').map(({ cluster, files }) => ({ cluster, files })),
    recordProblems: record.problems,
    ...(end?.error !== undefined && { error: end.error }),
  };
  return {
    about,
    planned,
    outcomes: outcomesOf(record, planned, registry),
    shells: Object.assign({}, ...plans.map(({ shells }) => shells)) as Record<string, string>,
    unselected: plans.flatMap(({ unselected }) => unselected ?? []),
    ...(interruptedBy && { interruptedBy }),
    recordBroken: record.broken,
  };
}

/** Each with the steps that ended within it; those of a phase that never ended are nobody's. */
function phasesIn({ events }: StoredRecord): PhaseResult[] {
  const phases: PhaseResult[] = [];
  const open = new Map<string, PhaseStep[]>();
  for (const event of events) {
    if (event.type === 'phase.step') {
      const { phase, step, cluster, durationMs, detail, failed, monoMs } = event;
      const steps = open.get(phase) ?? [];
      open.set(phase, steps);
      steps.push({
        step,
        ...(cluster !== undefined && { cluster }),
        durationMs,
        ...(detail !== undefined && { detail }),
        ...(failed && { failed }),
        endedMs: Math.round(monoMs),
      });
    } else if (event.type === 'phase') {
      const { phase, durationMs, detail, monoMs } = event;
      const steps = open.get(phase);
      open.delete(phase);
      phases.push({
        phase,
        durationMs,
        ...(detail !== undefined && { detail }),
        endedMs: Math.round(monoMs),
        ...(steps && { steps }),
      });
    }
  }
  return phases;
}

function usageIn(record: StoredRecord): Pick<RunResults, 'usage'> {
  const usage = eventsOf(record, 'usage').map(
    ({ cluster, moment, windowMs, containers, reason }): ClusterUsage => ({
      cluster,
      moment,
      windowMs,
      containers,
      ...(reason !== undefined && { reason }),
    }),
  );
  return usage.length === 0 ? {} : { usage };
}

function outcomesOf(
  record: StoredRecord,
  planned: readonly PlannedCase[],
  registry: CheckRegistry,
): Map<string, CaseOutcome> {
  // Later ones replace earlier ones: the last attempt counts.
  const observations = new Map(eventsOf(record, 'observation').map((event) => [event.case, event]));
  const verdicts = new Map(eventsOf(record, 'verdict').map((event) => [event.case, event]));
  return new Map(
    planned.map((one): [string, CaseOutcome] => {
      const observation = observations.get(one.id);
      const stored = verdicts.get(one.id);
      const known: StoredCase = {
        planned: one,
        ...(observation && { observation }),
        ...(stored && { verdict: stored.verdict }),
      };
      const durationMs = stored?.durationMs ?? 0;
      const { attempt: attempts = 1 } = observation ?? {};
      const observed = observation && { observed: observation.observed };
      return [one.id, { ...judgeAgain(known, registry), durationMs, attempts, ...observed }];
    }),
  );
}
