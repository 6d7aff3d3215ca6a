import type { Ledger } from '../../model/cluster.ts';
import type { Probe } from '../../model/probe.ts';
import type { Command } from '../../system/commands.ts';
import type { FleetState } from './state.ts';

/** What the lab is given, because the probe's room is not one that a provider may use. */
export interface LabDependencies {
  /** Program and first arguments of the probe agent. */
  readonly agentCommand: Command;
  readonly connectProbe: (socketPath: string) => Probe;
}

/** What every part of one lab works with. */
export interface LabContext {
  /** Changed in place by whoever changes the lab, then saved. */
  readonly state: FleetState;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
  readonly dependencies: LabDependencies;
  /** Bounds how much is built at once. */
  readonly limit: <T>(task: () => Promise<T>) => Promise<T>;
  save(): Promise<void>;
}
