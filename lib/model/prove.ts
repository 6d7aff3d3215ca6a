/** What a proof of the checks is made of: faults aimed at cases, and what the cases said of them. Plain JSON. */
import type { CauseCode } from './causes.ts';
import type { FaultKind, FaultSpec } from './fault.ts';
import type { RunResults } from './results.ts';
import type { Verdict } from './verdict.ts';

/**
 * `megabits` or `milliseconds` of the faults are so many times this figure (Mbit/s, ms) of the case's last healthy verdict,
 * once that is known, and `plus` of the same unit.
 */
export interface RelativeSize {
  readonly figure: string;
  readonly share: number;
  readonly plus?: number;
}

/** One fault that one case must notice. */
export interface Aim {
  readonly case: string;
  readonly check: string;
  readonly kind: FaultKind;
  /** What the verdict must name. */
  readonly cause: CauseCode;
  /** Injected together; several where a check stands on several things of one kind. */
  readonly faults: readonly FaultSpec[];
  /** How large the fault is, where it comes in sizes: `100 bytes`, `0.5 %`. */
  readonly size?: string;
  /** Where the size follows from what the case measured on the healthy system: see `RelativeSize`. */
  readonly relativeTo?: RelativeSize;
  /** The largest of its sizes: missing it is a failure, missing a finer one only limits what is detected. */
  readonly gross: boolean;
}

/** Faults that stand together, and the aims that they serve. */
export interface Batch {
  readonly faults: readonly FaultSpec[];
  readonly aims: readonly Aim[];
}

/** A case that was run once. */
export interface Sighting {
  readonly verdict: Verdict;
  readonly durationMs: number;
  /** What was seen, where the verdict was not the wanted one. */
  readonly observed?: unknown;
}

/** In the order of the attempts. */
export type Sightings = Readonly<Record<string, readonly Sighting[]>>;

export interface BatchObservation extends Batch {
  readonly injection:
    | { readonly outcome: 'held' | 'did not hold' }
    /** Nothing here injects it, or the injector refused. */
    | { readonly outcome: 'not applicable' | 'failed'; readonly reason: string };
  /** By case id. */
  readonly during: Sightings;
  /** After mending, until it passed or the attempts were used up. */
  readonly after: Sightings;
}

export interface ProofObservation {
  readonly cases: readonly { readonly id: string; readonly check: string }[];
  /** Checks that name no fault, with their own words why. */
  readonly withoutFaults: readonly { readonly check: string; readonly reason: string }[];
  readonly healthy: Sightings;
  readonly batches: readonly BatchObservation[];
  /** What could not be taken back. */
  readonly leftovers: readonly string[];
}

/**
 * - `caught`: failed, with the expected cause. `caught otherwise`: failed, with another one.
 * - `missed`: passed, or inconclusive.
 * - `not applicable`: nothing here can inject it.
 * - `not proved`: the fault did not hold, or the case does not pass without it.
 */
export type ProofOutcome = 'caught' | 'caught otherwise' | 'missed' | 'not applicable' | 'not proved';

export interface Proof extends Aim {
  readonly outcome: ProofOutcome;
  /** One sentence. */
  readonly reason: string;
  /** Under the fault. */
  readonly verdict?: Verdict;
  readonly durationMs: number;
  /** Whether the case passed again once the fault was mended; absent when it was not run again. */
  readonly recovered?: boolean;
  /** Attempts after mending until it passed. */
  readonly attemptsToRecover?: number;
}

/** Of how many tries something went wrong, and the rate that it stays below with 95 % confidence. */
export interface Rate {
  readonly seen: number;
  readonly tries: number;
  readonly upperBound: number;
}

export interface FalseAlarm {
  readonly case: string;
  /** What was mended before it, when it was. */
  readonly afterFault?: string;
  readonly verdict: Verdict;
}

export interface DetectionLimit {
  readonly check: string;
  readonly kind: FaultKind;
  readonly cause: CauseCode;
  /** The finest size up to which each was caught; absent when not even the largest was. */
  readonly caught?: string;
  /** The largest one that was missed, when one was. */
  readonly missed?: string;
}

/** Under one batch, the cases that noticed it without naming it. */
export interface BlastRadius {
  readonly fault: string;
  readonly noticedBy: readonly {
    readonly case: string;
    readonly status: string;
    readonly cause?: CauseCode;
  }[];
}

export interface ProofFindings {
  readonly proofs: readonly Proof[];
  readonly falseAlarms: readonly FalseAlarm[];
  /** Healthy cases that came to no verdict. */
  readonly inconclusive: readonly FalseAlarm[];
  /** Of runs on the healthy system, by check id. */
  readonly falseAlarmRates: Readonly<Record<string, Rate>>;
  readonly falseAlarmRate: Rate;
  /** Of gross faults that could be injected. */
  readonly missRate: Rate;
  readonly limits: readonly DetectionLimit[];
  readonly blastRadii: readonly BlastRadius[];
  readonly withoutFaults: ProofObservation['withoutFaults'];
  readonly leftovers: readonly string[];
}

export interface ProveResults extends ProofFindings {
  /** Who was tested, how it ended, what was left. */
  readonly run: Pick<
    RunResults,
    | 'subject'
    | 'run'
    | 'startedAt'
    | 'durationMs'
    | 'ended'
    | 'exitCode'
    | 'phases'
    | 'teardown'
    | 'leftovers'
    | 'error'
    | 'recordProblems'
  >;
  /** Of the proof as a whole. */
  readonly verdict: Verdict;
}

/** `wan-drop east->west`, `dns-stopped east`: what a person calls a fault. */
export function describeFault(fault: FaultSpec): string {
  const { kind, between, from, to, both, at, peer, cluster, ...others } = fault as FaultFacts;
  const where = [
    ...(between ? [between.join('<->')] : []),
    ...(from === undefined ? [] : [`${from}${both ? '<->' : '->'}${to}`]),
    ...(at === undefined ? [] : [`at ${at}`]),
    ...(peer === undefined ? [] : [`peer ${peer}`]),
    ...(cluster === undefined ? [] : [cluster]),
    ...Object.entries(others as Record<string, string | number | true>).map(([name, value]) =>
      value === true ? name : `${name} ${value}`,
    ),
  ];
  return [kind, ...where].join(' ');
}

/** What faults of any kind say of where they strike. */
interface FaultFacts {
  readonly kind: string;
  readonly between?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly both?: boolean;
  readonly at?: string;
  readonly peer?: string;
  readonly cluster?: string;
}

export const describeFaults = (faults: readonly FaultSpec[]): string => faults.map(describeFault).join(' + ');
