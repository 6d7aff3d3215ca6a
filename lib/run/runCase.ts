/** One case: observe, take back, judge. Never rejects and never hangs. */
import type { AnyCheck, ClusterView, Toolkit } from '../model/check.ts';
import { InternalError, InterruptedError, NotApplicableError, messageOf } from '../model/errors.ts';
import { ProbeError } from '../model/probe.ts';
import type { PlannedCase } from '../model/record.ts';
import { type Verdict, inconclusive, skipped } from '../model/verdict.ts';
import type { Clock } from '../system/clock.ts';
import { CompanionLeftError } from './company.ts';
import { deadlineAfter } from './deadline.ts';
import type { Journal } from './journal.ts';
import { judgeCase } from './judge.ts';
import type { Redactor } from './redact.ts';
import { type CaseToolkit, NotSettledError } from './toolkit.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** Longest time a case may observe when its check says nothing else. */
export const CASE_TIMEOUT_MS = 60_000;

/** A machine without time says nothing of the network; the second time it may have some. */
const MOST_ATTEMPTS = 2;
const isWorthAnother = ({ status, cause }: Verdict): boolean =>
  status === 'inconclusive' && cause === 'cpu-saturated';

class CaseTimeoutError extends Error {
  override readonly name = 'CaseTimeoutError';
}

export interface CaseRunner {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly redactor: Redactor;
  /** Of the run: interruption or deadline. */
  readonly signal: AbortSignal;
  /** Asks the data plane about a failure. */
  readonly withDrops?: (verdict: Verdict, planned: PlannedCase, since: Date) => Promise<Verdict>;
  /** What a case could not take back. */
  readonly onLeftover: (what: string) => void;
}

/** @param mayRepeat false for one that would disturb others if it were observed again */
export async function runCase(
  planned: PlannedCase,
  check: AnyCheck,
  toolkitWithin: (signal: AbortSignal) => CaseToolkit,
  { mayRepeat = true, ...runner }: CaseRunner & { readonly mayRepeat?: boolean },
): Promise<Verdict> {
  const { clock, journal, signal } = runner;
  journal.announce({ type: 'case.started', case: planned.id });
  const began = clock.monotonic();
  const since = new Date(clock.now());
  const most = mayRepeat ? MOST_ATTEMPTS : 1;
  for (let attempt = 1; ; attempt++) {
    const { verdict, observed } = await observeAndJudge(planned, check, toolkitWithin, runner, attempt);
    if (attempt < most && isWorthAnother(verdict) && !signal.aborted) {
      noteStep(runner, planned, 'observed again', verdict.reason);
      continue;
    }
    const durationMs = Math.round(clock.monotonic() - began);
    const explained = (await runner.withDrops?.(verdict, planned, since)) ?? verdict;
    journal.settle(planned, explained, { durationMs, observed, attempts: attempt });
    return explained;
  }
}

async function observeAndJudge(
  planned: PlannedCase,
  check: AnyCheck,
  toolkitWithin: (signal: AbortSignal) => CaseToolkit,
  runner: CaseRunner,
  attempt: number,
): Promise<{ verdict: Verdict; observed?: unknown }> {
  const { clock, journal } = runner;
  const began = clock.monotonic();
  const limit = check.timeoutMs ?? CASE_TIMEOUT_MS;
  const timeout = deadlineAfter(clock, limit, () => new CaseTimeoutError(), runner.signal);
  const tools = toolkitWithin(timeout.signal);
  let observed: unknown;
  try {
    const context = contextFor(planned, tools);
    // What the judge sees is what the record holds, so that judging again gives the same verdict.
    observed = runner.redactor.plain(
      await withinSignal(Promise.resolve(check.observe(context, planned.budgets)), timeout.signal),
    );
    const durationMs = Math.round(clock.monotonic() - began);
    journal.record({ type: 'observation', case: planned.id, attempt, observed, durationMs });
  } catch (error) {
    return { verdict: verdictOfError(error, planned, check, tools, runner) };
  } finally {
    for (const what of await tools.undo()) {
      noteStep(runner, planned, 'not undone', what);
      runner.onLeftover(`${planned.id}: ${what}`);
    }
    timeout.clear();
  }
  const { verdict, stack } = judgeCase(check, planned, observed);
  if (stack !== undefined) noteStep(runner, planned, 'judge failed', stack);
  return { verdict, observed };
}

function noteStep({ journal }: CaseRunner, planned: PlannedCase, step: string, detail: string): void {
  journal.record({ type: 'step', case: planned.id, step, durationMs: 0, detail });
}

function verdictOfError(
  error: unknown,
  planned: PlannedCase,
  check: AnyCheck,
  tools: CaseToolkit,
  runner: CaseRunner,
): Verdict {
  if (runner.signal.aborted) return unfinished(runner.signal);
  if (error instanceof CaseTimeoutError) {
    const waiting = tools.pending().join(', ') || 'the check itself';
    const limit = (check.timeoutMs ?? CASE_TIMEOUT_MS) / 1000;
    return inconclusive('probe-failed', `Not finished after ${limit} s; it was waiting for: ${waiting}`);
  }
  if (error instanceof ProbeError || error instanceof CompanionLeftError)
    return inconclusive('probe-failed', messageOf(error));
  if (error instanceof NotSettledError) return inconclusive('not-settled', messageOf(error));
  if (error instanceof NotApplicableError) return skipped(`not applicable: ${messageOf(error)}`);
  noteStep(runner, planned, 'internal error', (error instanceof Error && error.stack) || messageOf(error));
  return inconclusive('probe-failed', `The check broke off: ${messageOf(error)}`);
}

/** The verdict of a case that the end of the run caught, started or not. */
export function unfinished(signal: AbortSignal, started = true): Verdict {
  const reason: unknown = signal.reason;
  const why =
    reason instanceof InterruptedError && reason.by === 'deadline'
      ? 'its deadline was reached'
      : 'it was interrupted';
  return inconclusive(
    'deadline-reached',
    started ? `The run ended before this case did: ${why}` : `Not executed: the run ended, ${why}`,
  );
}

/** Getters stay getters: views of clusters that the check never looks at are not made. */
function contextFor(planned: PlannedCase, { toolkit, view }: CaseToolkit): Toolkit {
  return Object.defineProperties(
    {},
    {
      ...Object.getOwnPropertyDescriptors(toolkit),
      ...Object.getOwnPropertyDescriptors(subjectViews(planned, view)),
    },
  ) as Toolkit;
}

function subjectViews(planned: PlannedCase, view: (cluster: string) => ClusterView): object {
  const { subject, expectation } = planned;
  switch (subject.scope) {
    case 'fleet':
      return {};
    case 'cluster':
      return { cluster: view(subject.cluster) };
    case 'pair':
      if (!expectation.path) throw new InternalError(`${planned.id} was planned without a path`);
      return { from: view(subject.from), to: view(subject.to), path: expectation.path };
  }
}
