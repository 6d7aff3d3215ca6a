import type { AddressPlan } from './addressing.ts';
import type { IpFamily } from './cidr.ts';
import type { Topology } from './topology.ts';

/** Everything a run was asked to do: flags, environment and file merged, defaults filled in, names checked. */
export interface RunSpec {
  readonly profile: string;
  readonly provider: 'lab' | 'kind' | 'contexts';
  /** Why this provider, for the console. */
  readonly providerReason: string;
  readonly underlay: 'wireguard' | 'direct' | 'existing';
  readonly topology: Topology;
  readonly families: readonly IpFamily[];
  readonly plan: AddressPlan;
  readonly level: 'core' | 'extended' | 'all';
  /** Globs. */
  readonly suites: readonly string[];
  readonly checks: readonly string[];
  readonly skips: readonly string[];
  /** `explicit`: the user asked for all, so nothing is sampled. */
  readonly pairs:
    { readonly kind: 'all'; readonly explicit?: true } | { readonly kind: 'sample'; readonly count: number };
  readonly tuning: 'as-configured' | 'fast';
  /** `<check id>.<name>`. */
  readonly budgets: Readonly<Record<string, number>>;
  readonly out: string;
  readonly reports: readonly { readonly format: string; readonly path?: string }[];
  readonly keep: boolean;
  readonly attach?: string;
  readonly bail: boolean;
  readonly deadlineMs?: number;
  readonly seed: string;
  readonly yes: boolean;
  readonly verbosity: 'quiet' | 'normal' | 'verbose';
  /** As given, for the record. */
  readonly configuration: Readonly<Record<string, unknown>>;
}
