import type { CauseCode } from './causes.ts';

/** Something broken on purpose, as data. Injectors are looked up by `kind`. */
export type FaultSpec =
  | { readonly kind: 'tunnel-down'; readonly between: readonly [string, string] }
  /** Nothing passes on the wan this way; with `both`, neither way. */
  | { readonly kind: 'wan-drop'; readonly from: string; readonly to: string; readonly both?: boolean }
  | { readonly kind: 'wrong-peer-key'; readonly at: string; readonly peer: string }
  | { readonly kind: 'cluster-gone'; readonly cluster: string }
  /** Every process of the cluster is stopped where it stands; its kernel still answers pings and takes connections. */
  | { readonly kind: 'cluster-frozen'; readonly cluster: string }
  | {
      readonly kind: 'mtu-lowered';
      readonly at: string;
      readonly mtu: number;
      readonly icmp: 'passes' | 'dropped';
      /** Lowered at this neighbour too, so that both directions are; else only what leaves `at` is. */
      readonly peer?: string;
    }
  /** IP packets of more than `above` bytes, as they are on the wan, vanish there this way without a word. */
  | {
      readonly kind: 'large-packets-dropped';
      readonly from: string;
      readonly to: string;
      readonly above: number;
    }
  | { readonly kind: 'policy-flushed'; readonly cluster: string }
  /** Policies are accepted and have no effect, as with a CNI that does not implement them. */
  | { readonly kind: 'policy-ignored'; readonly cluster: string }
  /** A default deny of ingress for this namespace, in this cluster only. */
  | { readonly kind: 'policy-added'; readonly cluster: string; readonly namespace: string }
  /** The ingress policies of this namespace have no effect, in this cluster only. */
  | { readonly kind: 'policy-loosened'; readonly cluster: string; readonly namespace: string }
  | { readonly kind: 'dns-stopped'; readonly cluster: string }
  /** Answers by UDP come this much later. */
  | { readonly kind: 'dns-slow'; readonly cluster: string; readonly milliseconds: number }
  /** No service name exists any more. */
  | { readonly kind: 'dns-nxdomain'; readonly cluster: string }
  /** Of every headless name one record points to an address that no workload has any more. */
  | { readonly kind: 'dns-stale'; readonly cluster: string }
  /** Records may be kept for `seconds`. */
  | { readonly kind: 'dns-ttl-long'; readonly cluster: string; readonly seconds: number }
  /** Service names of `cluster` resolve to the addresses that they have in the cluster `instead`. */
  | { readonly kind: 'dns-wrong-address'; readonly cluster: string; readonly instead: string }
  | {
      readonly kind: 'service-not-shared';
      readonly cluster: string;
      readonly namespace: string;
      readonly service: string;
    }
  /** What callers in `at` send to the workload (`namespace/name`) of `cluster` is answered by its namesake in `at`. */
  | {
      readonly kind: 'wrong-answerer';
      readonly at: string;
      readonly cluster: string;
      readonly workload: string;
    }
  /** Nothing is forwarded to this one workload (`namespace/name`); its own gateway still reaches it. */
  | { readonly kind: 'workload-cut'; readonly cluster: string; readonly workload: string }
  /** One node of several is cut off from other clusters; within its cluster all is well. */
  | { readonly kind: 'node-cut'; readonly cluster: string }
  /** Connections of workloads of `from` reach `to` under an address of the gateway. */
  | { readonly kind: 'source-rewritten'; readonly from: string; readonly to: string }
  /**
   * One way on the wan, where the gateways' own traffic suffers alike; or with `workload` (`namespace/name`) only what
   * that workload of `from` sends to `to`, before its gateway; or with `forwarded` all that the gateway of `from` passes on
   * to `to` for its cluster, whoever sends it, while its own traffic is spared. `megabits` a second, `milliseconds` of
   * delay, `share` of packets 0 to 1.
   */
  | (OneWay & { readonly kind: 'rate-limited'; readonly megabits: number })
  | (OneWay & { readonly kind: 'delayed'; readonly milliseconds: number })
  | (OneWay & { readonly kind: 'wan-loss'; readonly share: number })
  | (OneWay & { readonly kind: 'reordered'; readonly share: number })
  /** Behind the gateway of `to`: a tunnel that refuses replays would hide doubled packets of the wan. */
  | {
      readonly kind: 'duplicated';
      readonly from: string;
      readonly to: string;
      readonly share: number;
    }
  /** The control plane of `at` has no credentials for `cluster` any more. */
  | { readonly kind: 'remote-secret-deleted'; readonly at: string; readonly cluster: string }
  /** The credentials that the control plane of `at` has for `cluster` lead to an address of its own. */
  | { readonly kind: 'remote-secret-loopback'; readonly at: string; readonly cluster: string }
  /** The cluster `at` has taken back that it is joined with `cluster`: neither hears of the other's services any more. */
  | { readonly kind: 'peering-deleted'; readonly at: string; readonly cluster: string }
  /** Everything that this cluster has is exported, or shared, whoever of its owners wants it. */
  | { readonly kind: 'everything-exported'; readonly cluster: string }
  /** The gateway by which the services of this cluster are reached from others does not run. */
  | { readonly kind: 'gateway-stopped'; readonly cluster: string }
  /** Nodes of this cluster answer none of the probes by which others see whether they are well; all else passes. */
  | { readonly kind: 'health-probes-refused'; readonly cluster: string }
  /** No control plane runs in this cluster. */
  | { readonly kind: 'control-plane-stopped'; readonly cluster: string }
  /** Services of this namespace take clear text, in this cluster only. */
  | { readonly kind: 'clear-text-accepted'; readonly cluster: string; readonly namespace: string }
  /** The policies by identity of this namespace are gone, in this cluster only. */
  | { readonly kind: 'identity-policy-missing'; readonly cluster: string; readonly namespace: string }
  /** This workload (`namespace/name`) runs without the proxy that the technology puts beside it. */
  | { readonly kind: 'proxy-missing'; readonly cluster: string; readonly workload: string }
  /** Certificates of this cluster are signed below a root that no other cluster knows. */
  | { readonly kind: 'foreign-root'; readonly cluster: string }
  /** Certificates of this cluster are signed by an intermediate that ends soon, below the same root. */
  | { readonly kind: 'certificate-ending'; readonly cluster: string }
  /** A certificate by which other clusters know the control plane of this one is gone; what runs still has it. */
  | { readonly kind: 'certificate-deleted'; readonly cluster: string }
  /** Certificates of this cluster are signed by another intermediate, below the same root, from now on. */
  | { readonly kind: 'intermediate-rotated'; readonly cluster: string }
  | { readonly kind: 'clear-text-route'; readonly from: string; readonly to: string }
  /** A route in clear text that is worse than the tunnel's, and so used only when that is gone. */
  | { readonly kind: 'clear-text-fallback'; readonly from: string; readonly to: string };

// oxlint-disable-next-line typescript/consistent-type-definitions -- a record is JSON, and an interface has no index signature
type OneWay = {
  readonly from: string;
  readonly to: string;
  readonly workload?: string;
  readonly forwarded?: true;
};

export type FaultKind = FaultSpec['kind'];

/** What a check says of a fault that must make it fail. */
export interface FaultExpectation {
  readonly kind: FaultKind;
  readonly cause: CauseCode;
}

/** A fault in place. */
export interface Disturbance {
  /** Proof by observation that the fault took hold; false makes the case inconclusive. */
  tookHold(): Promise<boolean>;
  /** Idempotent. */
  mend(): Promise<void>;
  /**
   * Brings about what the technology would by itself some time after: called after `mend`, once nobody watches any more how
   * it recovers.
   */
  settle?(): Promise<void>;
}

/**
 * Runs the script that takes a fault back, once: it removes itself at its end, so that mending again, from the ledger and
 * perhaps much later, touches nothing that has been changed since.
 */
export const mendOnce = (file: string): readonly ['sh', '-c', string] => [
  'sh',
  '-c',
  `[ ! -e ${file} ] || { sh -e ${file} && rm ${file}; }`,
];
