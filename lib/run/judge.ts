/** From observations to verdicts, and from verdicts to what the whole run is worth. Pure. */
import type { AnyCheck } from '../model/check.ts';
import type { ConformanceClass } from '../model/cluster.ts';
import { messageOf } from '../model/errors.ts';
import type { PlannedCase } from '../model/record.ts';
import type { CaseResult, Conformance } from '../model/results.ts';
import { STATUSES, type Status, type Verdict, inconclusive, worse } from '../model/verdict.ts';
import type { CheckRegistry } from './registry.ts';

/** @param observed plain JSON, as it stands in the record @throws whatever a defective judge throws */
function judge(check: AnyCheck, planned: PlannedCase, observed: unknown): Verdict {
  if (typeof observed !== 'object' || observed === null) {
    return inconclusive('probe-failed', 'The observation is empty, so there is nothing to judge');
  }
  const verdict = check.judge(observed, planned.budgets, planned.expectation);
  const malformed = malformation(verdict);
  return malformed === undefined ? verdict : inconclusive('probe-failed', malformed);
}

/** A verdict that rests on missing or non-numeric observations shows it in its figures. */
function malformation(verdict: Verdict): string | undefined {
  if (!STATUSES.includes(verdict?.status)) return 'The judge gave no verdict';
  const broken = Object.entries(verdict.figures ?? {}).find(([, figure]) => !Number.isFinite(figure.value));
  return broken && verdict.status === 'passed'
    ? `The figure ${broken[0]} is not a number, so the observations are incomplete`
    : undefined;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** Stack of a judge that threw: malformed observations, or a defect of the check. */
  readonly stack?: string;
}

/** Never throws, and never lets observations that the judge cannot read become *passed*. */
export function judgeCase(check: AnyCheck, planned: PlannedCase, observed: unknown): Judgement {
  try {
    return { verdict: judge(check, planned, observed) };
  } catch (error) {
    const verdict = inconclusive(
      'probe-failed',
      `The observations are malformed, they cannot be judged: ${messageOf(error)}`,
    );
    return { verdict, ...(error instanceof Error && error.stack && { stack: error.stack }) };
  }
}

export interface StoredCase {
  readonly planned: PlannedCase;
  /** Present when `observe` came to an end. */
  readonly observation?: { readonly observed: unknown };
  readonly verdict?: Verdict;
}

/** The verdict of a stored case by today's judges, or the stored one with the reason why it is kept. */
export function judgeAgain(stored: StoredCase, registry: CheckRegistry): { verdict: Verdict; kept?: string } {
  const { planned, observation, verdict } = stored;
  if (!observation) return { verdict: withoutObservation(planned, verdict) };
  const check = registry.get(planned.check);
  const kept = !check
    ? `the check ${planned.check} is not known here`
    : (check.judgeVersion ?? 1) !== planned.judgeVersion
      ? `judge version ${planned.judgeVersion} is not known here`
      : undefined;
  if (!check || kept !== undefined) return { verdict: verdict ?? unfinished(), ...(kept && { kept }) };
  const again = judgeCase(check, planned, observation.observed).verdict;
  // No judge can tell: the data plane was asked when it happened.
  const { dropped } = verdict ?? {};
  return { verdict: again.status === 'failed' && dropped !== undefined ? { ...again, dropped } : again };
}

function withoutObservation(planned: PlannedCase, verdict: Verdict | undefined): Verdict {
  if (!verdict)
    return planned.skip === undefined ? unfinished() : { status: 'skipped', reason: planned.skip };
  if (verdict.status !== 'passed' && verdict.status !== 'failed') return verdict;
  return inconclusive('probe-failed', `The record says ${verdict.status}, but holds no observation of it`);
}

const unfinished = (): Verdict => inconclusive('deadline-reached', 'The record ends before this case did');

/** The same case twice: the worse verdict, marked. The order of first appearance stays. */
export function mergeCases(runs: readonly (readonly CaseResult[])[]): CaseResult[] {
  const merged = new Map<string, CaseResult>();
  for (const result of runs.flat()) {
    const known = merged.get(result.id);
    merged.set(result.id, known ? { ...worseOf(known, result), repeated: true } : result);
  }
  return [...merged.values()];
}

/** A shard that skipped a case says nothing against another that ran it. */
function worseOf(a: CaseResult, b: CaseResult): CaseResult {
  if (a.verdict.status === 'skipped') return b;
  if (b.verdict.status === 'skipped') return a;
  return worse(a.verdict.status, b.verdict.status) === a.verdict.status ? a : b;
}

/**
 * Conformant: every core case of the class passed, and every extended one that is claimed (was selected and could
 * run). Partial: nothing went wrong, but something of the core did not run.
 * @param unselected core checks of the class that were not selected
 */
export function conformanceOf(
  runClass: ConformanceClass,
  cases: readonly CaseResult[],
  unselected: readonly string[],
): Conformance {
  const counted = cases.filter((result) => !result.outsideClass);
  const has = (...statuses: Status[]) => counted.some(({ verdict }) => statuses.includes(verdict.status));
  const skippedCore = [...skippedChecks(counted), ...unselected];
  const verdict =
    has('failed', 'inconclusive') || !has('passed')
      ? 'not conformant'
      : skippedCore.length > 0
        ? 'partial'
        : 'conformant';
  return { class: runClass, verdict, skippedCore };
}

function skippedChecks(cases: readonly CaseResult[]): string[] {
  const skipped = cases.filter(({ level, verdict }) => level === 'core' && verdict.status === 'skipped');
  const groups = Map.groupBy(skipped, ({ check, verdict }) => `${check}: ${verdict.reason}`);
  return [...groups].map(([text, { length }]) => (length === 1 ? text : `${text} (${length} cases)`));
}

export interface ExitFacts {
  readonly interruptedBy?: 'SIGINT' | 'SIGTERM';
  /** Set-up died, or the record could not be written or trusted. */
  readonly broken: boolean;
  readonly statuses: readonly Status[];
  readonly teardownFailed: boolean;
}

/** The exit code of a run: the first that applies. */
export function exitCodeOf({ interruptedBy, broken, statuses, teardownFailed }: ExitFacts): number {
  if (interruptedBy) return interruptedBy === 'SIGTERM' ? 143 : 130;
  if (broken || statuses.every((status) => status === 'skipped')) return 2;
  if (statuses.includes('failed')) return 1;
  if (statuses.includes('inconclusive')) return 3;
  return teardownFailed ? 2 : 0;
}
