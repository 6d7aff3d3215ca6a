import type { CauseCode } from './causes.ts';

/** Something broken on purpose, as data. Injectors are looked up by `kind`. */
export type FaultSpec =
  | { readonly kind: 'tunnel-down'; readonly between: readonly [string, string] }
  | { readonly kind: 'wan-drop'; readonly from: string; readonly to: string }
  | { readonly kind: 'wrong-peer-key'; readonly at: string; readonly peer: string }
  | { readonly kind: 'cluster-gone'; readonly cluster: string }
  | {
      readonly kind: 'mtu-lowered';
      readonly at: string;
      readonly mtu: number;
      readonly icmp: 'passes' | 'dropped';
      /** Lowered at this neighbour too, so that both directions are; else only what leaves `at` is. */
      readonly peer?: string;
    }
  | { readonly kind: 'policy-flushed'; readonly cluster: string }
  | { readonly kind: 'dns-stopped'; readonly cluster: string }
  /** Service names of `cluster` resolve to the addresses that they have in the cluster `instead`. */
  | { readonly kind: 'dns-wrong-address'; readonly cluster: string; readonly instead: string }
  /** Policies are accepted and have no effect, as with a CNI that does not implement them. */
  | { readonly kind: 'policy-ignored'; readonly cluster: string }
  | {
      readonly kind: 'service-not-shared';
      readonly cluster: string;
      readonly namespace: string;
      readonly service: string;
    }
  /** One way on the wan; `megabits` a second, `milliseconds` of delay, `share` of packets 0 to 1. */
  | { readonly kind: 'rate-limited'; readonly from: string; readonly to: string; readonly megabits: number }
  | { readonly kind: 'delayed'; readonly from: string; readonly to: string; readonly milliseconds: number }
  | { readonly kind: 'wan-loss'; readonly from: string; readonly to: string; readonly share: number }
  | { readonly kind: 'clear-text-route'; readonly from: string; readonly to: string };

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
}
