/** What happens in a run goes through here once: to the record, to whoever watches, and into the results. */
import type { PlannedCase, RecordBody } from '../model/record.ts';
import type { PhaseResult, PhaseStep, RunEvent, RunObserver, RunResults } from '../model/results.ts';
import type { Step } from '../model/steps.ts';
import type { ClusterUsage } from '../model/usage.ts';
import type { Verdict } from '../model/verdict.ts';
import type { RecordWriter } from './record.ts';
import { type CaseOutcome, explains } from './results.ts';

type WithoutTime<T> = T extends unknown ? Omit<T, 'monoMs'> : never;
type Opening = Extract<RecordBody, { type: 'run.start' | 'plan' }>;

export class Journal {
  readonly outcomes = new Map<string, CaseOutcome>();
  readonly phases: PhaseResult[] = [];
  readonly diagnostics: RunResults['diagnostics'][number][] = [];
  readonly usage: ClusterUsage[] = [];
  readonly #writer: RecordWriter;
  readonly #observers: readonly RunObserver[];

  constructor(writer: RecordWriter, observers: readonly RunObserver[]) {
    this.#writer = writer;
    this.#observers = observers;
  }

  /** @returns when, in milliseconds since the run began */
  record(body: RecordBody): number {
    const monoMs = this.#writer.write(body);
    this.announce(body);
    return monoMs;
  }

  /** First in the record, whatever was recorded before. */
  begin(opening: readonly Opening[]): void {
    this.#writer.begin(opening);
    for (const body of opening) this.announce(body);
  }

  /** For those who watch only. One that throws harms neither the run nor the others. */
  announce(event: WithoutTime<RunEvent>): void {
    const timed = { ...event, monoMs: this.#writer.elapsed() } as RunEvent;
    for (const observer of this.#observers) {
      try {
        observer(timed);
      } catch {
        // It shows progress; what it would have shown is in the record.
      }
    }
  }

  /** Times a part of the run, and the steps of it that whoever does it tells of. */
  async phase<T>(phase: string, action: (step: Step) => Promise<T>): Promise<T> {
    this.announce({ type: 'phase.started', phase });
    const began = this.#writer.elapsed();
    const steps: PhaseStep[] = [];
    let detail: string | undefined;
    try {
      return await action(this.#stepsOf(phase, steps));
    } catch (error) {
      detail = 'failed';
      throw error;
    } finally {
      const durationMs = Math.round(this.#writer.elapsed() - began);
      const facts = { phase, durationMs, ...(detail !== undefined && { detail }) };
      const endedMs = Math.round(this.record({ type: 'phase', ...facts }));
      this.phases.push({ ...facts, endedMs, ...(steps.length > 0 && { steps: [...steps] }) });
    }
  }

  #stepsOf(phase: string, steps: PhaseStep[]): Step {
    return async ({ what, cluster }, action) => {
      const began = this.#writer.elapsed();
      let detail: string | undefined;
      let failed = false;
      try {
        return await action((said) => {
          if (said !== undefined) detail = this.#writer.withoutSecrets(said);
        });
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        const facts = {
          step: what,
          ...(cluster !== undefined && { cluster }),
          durationMs: Math.round(this.#writer.elapsed() - began),
          ...(detail !== undefined && { detail }),
          ...(failed && { failed: true as const }),
        };
        const endedMs = Math.round(this.record({ type: 'phase.step', phase, ...facts }));
        steps.push({ ...facts, endedMs });
      }
    };
  }

  /** The first verdict of a case stands. What was seen is kept where it explains something; the record has all of it. */
  settle(
    planned: PlannedCase,
    verdict: Verdict,
    {
      durationMs = 0,
      observed,
      attempts = 1,
    }: { durationMs?: number; observed?: unknown; attempts?: number } = {},
  ): void {
    if (this.outcomes.has(planned.id)) return;
    const keeps = observed !== undefined && explains(verdict);
    this.outcomes.set(planned.id, { verdict, durationMs, attempts, ...(keeps && { observed }) });
    this.record({ type: 'verdict', case: planned.id, verdict, durationMs });
  }

  use(usage: ClusterUsage): void {
    this.usage.push(usage);
    this.record({ type: 'usage', ...usage });
  }

  diagnose(cluster: string, files: readonly string[]): void {
    this.diagnostics.push({ cluster, files });
    this.record({ type: 'diagnostic', cluster, files });
  }
}
