/** What clients saw of one fault: who answered them when, and for how long nobody did. Plain JSON. */
import type { FaultSpec } from './fault.ts';
import type { RunResults } from './results.ts';
import type { Verdict } from './verdict.ts';

/** `names` asks the cluster's DNS server for the shared service; the others send HTTP requests. */
export type ClientKind = 'new' | 'keep-alive' | 'stream' | 'names';

export interface DrillSample {
  /** Milliseconds since the drill's clock began. */
  readonly at: number;
  readonly latencyMs: number;
  readonly ok: boolean;
  /** What became of it, when it is not ok. */
  readonly outcome?: string;
  /** The cluster that answered. */
  readonly cluster?: string;
}

export interface DrillClient {
  readonly from: string;
  /** A cluster whose workload is called, or the name of the shared service. */
  readonly to: string;
  readonly kind: ClientKind;
  readonly samples: readonly DrillSample[];
}

export interface DrillObservation {
  readonly fault: FaultSpec;
  readonly held: boolean;
  /** On the drill's clock, milliseconds. */
  readonly faultAt: number;
  readonly mendAt: number;
  readonly endedAt: number;
  readonly clients: readonly DrillClient[];
}

export interface ClientSummary {
  readonly requests: number;
  /** From the fault on. */
  readonly lost: number;
  /** From the fault to the first request that got lost; absent when none was. */
  readonly noticedMs?: number;
  /** From the fault until requests passed again while it still stood: others took over. */
  readonly failedOverMs?: number;
  /** From mending until requests passed again; 0 when they did before. Absent when they never did. */
  readonly recoveredMs?: number;
  /** Clusters that answered before, during and after the fault. */
  readonly answeredBy: readonly [readonly string[], readonly string[], readonly string[]];
}

export interface DrillResults {
  readonly run: RunResults;
  readonly verdict: Verdict;
  /** Absent when the drill did not come to its end. */
  readonly observation?: DrillObservation;
  /** In the order of the clients. */
  readonly summaries: readonly ClientSummary[];
}
