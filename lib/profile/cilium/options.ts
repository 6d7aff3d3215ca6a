import type { KernelChoice, RunSpec } from '../../model/spec.ts';

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
 * How long what is known of a cluster is kept once it cannot be reached, in clusters that are created here. Cilium's default is
 * for ever: callers would go on being sent to a cluster that is gone, and no drill could see one withdrawn. This is the one
 * timer that is set as configured too, and reports say so; of clusters that exist it is read.
 */
export const CACHE_TTL_MS: Record<CiliumOptions['tuning'], number> = { 'as-configured': 15_000, fast: 1_000 };

/**
 * Until a cluster counts as unreachable, at the latest. Its heartbeat is written once a minute (HeartbeatWriteInterval in
 * pkg/kvstore/kvstore.go) and must be older than two minutes (2 × HeartbeatWriteInterval in statusChecker, etcd.go), which it
 * is 60 to 120 s after the cluster went; that is looked at every 30 s (StatusCheckInterval in backend.go, which KVStoreMesh
 * leaves as it is): 60 s at least, 150 s at most, and then the time for which what was known is kept. All three are constants
 * of 1.20.2, so no tuning shortens them: clients of other clusters ask neither for a quorum nor for the state of endpoints
 * (NoLockQuorumCheck, NoEndpointStatusChecks in clustermesh/common/remote_cluster.go), and of the options only those reach them
 * (factory.go there) that say how their connections are kept alive, which are opened anew without a word where that fails, how
 * long keys are leased, of which such a client has none, and how many checks may fail in a row (MaxConsecutiveQuorumErrors),
 * where one whose every endpoint failed counts at once.
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

/** Encryption is the kernel's business: where that cannot, everything else is still worth knowing. */
export const kernelChoices = ({
  ciliumEncryption,
}: Pick<CiliumOptions, 'ciliumEncryption'>): readonly KernelChoice[] =>
  ciliumEncryption === 'wireguard'
    ? [
        {
          link: 'wireguard',
          what: 'encryption by Cilium',
          feature: 'l3.encrypted',
          reason: 'the kernel of this machine has no WireGuard, so nothing is encrypted from node to node',
          instead: { ciliumEncryption: 'none' },
        },
      ]
    : [];
