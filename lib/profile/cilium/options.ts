import type { RunSpec } from '../../model/spec.ts';

/** What of a run's specification concerns Cilium. */
export type CiliumOptions = Pick<
  RunSpec,
  | 'ciliumSharing'
  | 'ciliumRouting'
  | 'ciliumKubeProxy'
  | 'ciliumEncryption'
  | 'families'
  | 'tuning'
  | 'images'
  | 'tools'
  | 'charts'
>;

/**
 * How long what is known of a cluster is kept once it cannot be reached. Cilium's default is for ever: callers would go on
 * being sent to a cluster that is gone.
 */
export const CACHE_TTL_MS: Record<CiliumOptions['tuning'], number> = { 'as-configured': 15_000, fast: 1_000 };

/**
 * Until a cluster counts as unreachable: two heartbeats of a minute each are missed (pkg/kvstore: HeartbeatWriteInterval),
 * and the next look at them, half a minute apart at most, finds it out (StatusCheckInterval). Both are constants of 1.20.2,
 * so no tuning shortens them: of its options, those that reach clients of other clusters (pkg/clustermesh/common/factory.go)
 * are the keep-alive of their connections, which are opened anew without a word where it fails, the lease of keys, which such
 * a client has none of, and how many checks of the quorum may fail, where a missed heartbeat counts at once.
 */
export const LOST_AFTER_MS = 150_000;

/**
 * How rarely agents probe the health of nodes, from 0 to 1; absent: as the chart has it. At 0 about every 20 s in a small
 * mesh, by default more than a minute (connectivityProbeFrequencyRatio).
 */
export const PROBE_RATIO: Record<CiliumOptions['tuning'], number | undefined> = {
  'as-configured': undefined,
  fast: 0,
};
