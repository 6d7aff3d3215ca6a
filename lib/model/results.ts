/** What came of a run, ready to be shown: every report is a pure function of this. */
import type { ConformanceClass } from './cluster.ts';
import type { PlannedCase, RecordBody, RunSubject } from './record.ts';
import type { RunSpec } from './spec.ts';
import type { ClusterUsage } from './usage.ts';
import type { Figures, Verdict } from './verdict.ts';

type RunEnd = Extract<RecordBody, { type: 'run.end' }>;

export interface CaseResult extends PlannedCase {
  readonly verdict: Verdict;
  readonly durationMs: number;
  /** What was seen, as `observe` returned it; for failed and inconclusive cases only, the record has all. */
  readonly observed?: unknown;
  /** The verdict's `reproduce` as a command to paste on the machine that ran the run. */
  readonly reproduceCommand?: string;
  /** How often it was observed, when more than once: before the last time this machine was too busy. */
  readonly attempts?: number;
  /** Several results of this case were merged; this is the worse. */
  readonly repeated?: true;
  /** Why the verdict is the stored one and not judged again. */
  readonly kept?: string;
}

export interface Conformance {
  readonly class: ConformanceClass;
  readonly verdict: 'conformant' | 'partial' | 'not conformant';
  /** Core checks of the class of which cases did not run, with the reason and how many. */
  readonly skippedCore: readonly string[];
}

/** Of a phase; some go on beside each other. */
export interface PhaseStep {
  readonly step: string;
  readonly cluster?: string;
  readonly durationMs: number;
  /** When it ended, milliseconds since the run began. */
  readonly endedMs: number;
  readonly detail?: string;
  readonly failed?: true;
}

export interface PhaseResult {
  readonly phase: string;
  readonly durationMs: number;
  readonly detail?: string;
  /** When it ended, milliseconds since the run began: some go on beside each other. */
  readonly endedMs?: number;
  /** In the order in which they ended; absent where nobody tells of any. */
  readonly steps?: readonly PhaseStep[];
}

export interface RunResults {
  readonly subject: RunSubject;
  readonly run: string;
  /** All run ids, when the records of several runs of the same subject were merged. */
  readonly merged?: readonly string[];
  /** RFC 3339. */
  readonly startedAt: string;
  readonly durationMs: number;
  /** `unfinished`: the record has no end, so the run was killed or still goes on. */
  readonly ended: RunEnd['ended'] | 'unfinished';
  readonly exitCode: number;
  readonly conformance: Conformance;
  /** In the order of the plan. */
  readonly cases: readonly CaseResult[];
  readonly phases: readonly PhaseResult[];
  readonly teardown: RunEnd['teardown'] | 'unknown';
  /** Where everything was kept: what a person looks at it with, by `east` and `east/gateway`. */
  readonly byHand?: Readonly<Record<string, string>>;
  /** What a failed teardown left behind. */
  readonly leftovers: readonly string[];
  /** What asking the clusters took, by `<figure> of <cluster>`; absent where nobody counts. */
  readonly figures?: Figures;
  /** What containers took of their nodes, where that was looked at. */
  readonly usage?: readonly ClusterUsage[];
  /** Files relative to the output folder, by cluster. */
  readonly diagnostics: readonly { readonly cluster: string; readonly files: readonly string[] }[];
  /** Why the set-up died, in the program's words. */
  readonly error?: string;
  /** What is wrong with the record itself: a broken chain, a last line cut off. */
  readonly recordProblems: readonly string[];
}

/** What observers of a living run hear: each body as it is recorded, and what only somebody who watches needs. */
export type RunEvent = { /** Milliseconds since the run began. */ readonly monoMs: number } & (
  | RecordBody
  /** First of all. The cases are planned, nothing is created yet; `run.start` and `plan` follow once versions are observed. */
  | {
      readonly type: 'run.began';
      readonly run: string;
      readonly spec: RunSpec;
      readonly cases: readonly PlannedCase[];
    }
  | { readonly type: 'phase.started'; readonly phase: string }
  | { readonly type: 'case.started'; readonly case: string }
);

export type RunObserver = (event: RunEvent) => void;
