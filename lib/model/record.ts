/** The record of a run: one JSON object a line, each with the hash of the line before. */
import type { AddressPlan } from './addressing.ts';
import type { Budget } from './budgets.ts';
import type { IpFamily } from './cidr.ts';
import type { Expectation, Level } from './check.ts';
import type { ConformanceClass } from './cluster.ts';
import type { FaultSpec } from './fault.ts';
import type { Subject } from './ids.ts';
import type { TopologyKind } from './topology.ts';
import type { ClusterUsage } from './usage.ts';
import type { Figures, Verdict } from './verdict.ts';

export const RECORD_VERSION = 1;

/** What was tested: results of different subjects are never merged. */
export interface RunSubject {
  readonly provider: string;
  readonly underlay: string;
  readonly profile: string;
  readonly class: ConformanceClass;
  readonly topology: TopologyKind;
  readonly hub: string;
  readonly clusters: readonly string[];
  readonly ipFamilies: readonly IpFamily[];
  /** As observed, never as asked for. */
  readonly versions: Readonly<Record<string, string>>;
  readonly build: { readonly kind: 'vendor' | 'local'; readonly differs?: string };
  readonly tuning: 'as-configured' | 'fast';
  /** How the technology is configured where a reader has to know; absent where there is nothing to say. */
  readonly remarks?: readonly string[];
  readonly seed: string;
  /** The merged configuration, secrets left out. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** `<check id>.<name>`: value in force. */
  readonly budgets: Readonly<Record<string, Budget>>;
  /** Names of budgets that differ from their default. */
  readonly changedBudgets: readonly string[];
}

export interface PlannedCase {
  readonly id: string;
  readonly check: string;
  readonly suite: string;
  readonly title: string;
  readonly level: Level;
  readonly subject: Subject;
  readonly variants: readonly string[];
  readonly expectation: Expectation;
  readonly dependsOn: readonly string[];
  readonly budgets: Readonly<Record<string, number>>;
  readonly judgeVersion: number;
  /** Where to look when it fails, and what says that it must be true. */
  readonly hint?: string;
  readonly reference?: string;
  /** Set when it will not run, with the reason. */
  readonly skip?: string;
  /** It does not count for the class of the run, so leaving it out takes nothing from conformance. */
  readonly outsideClass?: true;
}

export type RecordBody =
  | { type: 'run.start'; tool: string; subject: RunSubject; addressing: AddressPlan }
  | {
      type: 'plan';
      cases: readonly PlannedCase[];
      /**
       * How a person runs a command at a workload or gateway, by `east/mcnet/client`; or asks the API server of a
       * cluster, by `east`.
       */
      shells: Readonly<Record<string, string>>;
      /** Core checks of the class that were not selected: they run nowhere, but conformance needs them. */
      unselected?: readonly string[];
    }
  | { type: 'phase'; phase: string; durationMs: number; detail?: string }
  /** A part of a phase of the set-up; it ended when this was written. */
  | {
      type: 'phase.step';
      phase: string;
      step: string;
      cluster?: string;
      durationMs: number;
      /** What it waited for, where something says so. */
      detail?: string;
      failed?: true;
    }
  | { type: 'step'; case: string; step: string; durationMs: number; detail?: unknown }
  /** `attempt` counts from 1 when a case runs again. */
  | { type: 'observation'; case: string; attempt: number; observed: unknown; durationMs: number }
  | { type: 'verdict'; case: string; verdict: Verdict; durationMs: number }
  | { type: 'fault'; case?: string; fault: FaultSpec; event: 'injected' | 'held' | 'did-not-hold' | 'mended' }
  | ({ type: 'usage' } & ClusterUsage)
  | { type: 'diagnostic'; cluster: string; files: readonly string[] }
  | {
      type: 'run.end';
      exitCode: number;
      ended: 'completed' | 'interrupted' | 'deadline' | 'bail' | 'set-up-failed';
      error?: string;
      teardown: 'clean' | 'kept' | 'failed';
      leftovers?: readonly string[];
      /** What asking the clusters took, by `<figure> of <cluster>`. */
      figures?: Figures;
    };

export type RecordEvent = RecordBody & {
  readonly v: number;
  readonly seq: number;
  /** RFC 3339. */
  readonly at: string;
  /** Milliseconds since the run began, monotonic. */
  readonly monoMs: number;
  readonly run: string;
  /** SHA-256 of the line before, hexadecimal; of nothing for the first. */
  readonly prev: string;
};
