/** What a check wants to be true, as data; how a technology makes it true is its handler's business. */
import type { Protocol } from './workload.ts';

/** Who is meant: each given part must match; a part left out matches everything. */
export interface PeerSelector {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * `local` is the cluster that holds the policy, `remote` every other one; `unsaid`: whatever the technology takes where a
   * policy names none (`PolicySemantics.unsaidCluster`).
   */
  readonly cluster?: 'local' | 'remote' | 'unsaid' | (string & {});
}

export interface PortSelector {
  readonly port: number;
  readonly protocol: Protocol;
}

/** Refuse everything in this direction for a namespace, then allow what is listed. Same meaning as NetworkPolicy. */
export interface PolicyIntent {
  readonly kind: 'policy';
  readonly name: string;
  readonly namespace: string;
  /** Labels of the workloads it governs; empty is the whole namespace. */
  readonly target: Readonly<Record<string, string>>;
  readonly direction: 'ingress' | 'egress';
  /** An empty list is default deny. `ports` absent: every port. `peers` absent: everyone. */
  readonly allow: readonly {
    readonly peers?: readonly PeerSelector[];
    readonly ports?: readonly PortSelector[];
  }[];
}

export interface ShareServiceIntent {
  readonly kind: 'share-service';
  readonly namespace: string;
  readonly service: string;
  /**
   * `spread`: all healthy endpoints of all clusters; `prefer-local`: remote ones only while no local one is healthy;
   * `prefer-remote`: local ones only while no remote one is.
   */
  readonly preference: 'spread' | 'prefer-local' | 'prefer-remote';
  /** Endpoints of each cluster are for its own callers; default: for those of all. */
  readonly offered?: false;
  /** Endpoints that fail calls, or answer none, are left alone for a while (outlier detection, health checks). */
  readonly ejectFailing?: true;
}

/**
 * Connections to the services of these workloads prove who is at both ends (`required`), or may come in clear text as
 * well (`accepted`).
 */
export interface MutualTlsIntent {
  readonly kind: 'mutual-tls';
  readonly namespace: string;
  /** Labels of the workloads it governs; empty is the whole namespace. */
  readonly target: Readonly<Record<string, string>>;
  readonly mode: 'required' | 'accepted';
}

/** Only callers that prove one of these identities may use the services of the workloads it governs. */
export interface IdentityPolicyIntent {
  readonly kind: 'identity-policy';
  readonly name: string;
  readonly namespace: string;
  /** Labels of the workloads it governs; empty is the whole namespace. */
  readonly target: Readonly<Record<string, string>>;
  readonly allow: readonly {
    readonly namespace: string;
    /** Absent: everyone of the namespace. */
    readonly serviceAccount?: string;
    /** Absent: of every cluster. */
    readonly cluster?: string;
  }[];
}

export type Intent = PolicyIntent | ShareServiceIntent | MutualTlsIntent | IdentityPolicyIntent;

/** What a caller sees of being refused: nothing, a RST, or a proxy's own answer (403 by HTTP). */
export type Refusal = 'silence' | 'reset' | 'proxy';

/** What a policy handler can express and how its refusal looks. */
export interface PolicySemantics {
  readonly protocols: readonly Protocol[];
  /** Whether namespace and label selectors also match workloads of other clusters. */
  readonly selectorsMatchRemote: boolean;
  readonly refusal: Refusal;
  /** Whom a selector means that names no cluster, as it is configured (feature `policy.clusters`). */
  readonly unsaidCluster?: 'local' | 'every';
}

export type CellExpectation = 'allow' | 'deny' | 'inexpressible';

/** One endpoint of a cell of the truth table. */
export interface PolicyPeer {
  readonly cluster: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * What the intents make of one flow: every policy that governs an end must allow it, and an end that no policy of a
 * direction governs is open in that direction (NetworkPolicy v1).
 */
export function expectedOfPolicy(
  intents: readonly PolicyIntent[],
  semantics: PolicySemantics,
  flow: { from: PolicyPeer; to: PolicyPeer; port: number; protocol: Protocol },
): CellExpectation {
  if (!semantics.protocols.includes(flow.protocol)) return 'inexpressible';
  const sides = [
    directionAllows(intents, semantics, 'egress', flow.from, flow.to, flow),
    directionAllows(intents, semantics, 'ingress', flow.to, flow.from, flow),
  ];
  if (sides.includes('deny')) return 'deny';
  return sides.includes('inexpressible') ? 'inexpressible' : 'allow';
}

function directionAllows(
  intents: readonly PolicyIntent[],
  semantics: PolicySemantics,
  direction: 'ingress' | 'egress',
  governed: PolicyPeer,
  peer: PolicyPeer,
  flow: PortSelector,
): CellExpectation {
  const governing = intents.filter(
    (intent) =>
      intent.direction === direction &&
      intent.namespace === governed.namespace &&
      Object.entries(intent.target).every(([key, value]) => governed.labels[key] === value),
  );
  if (governing.length === 0) return 'allow';
  let inexpressible = false;
  for (const { peers, ports } of governing.flatMap((intent) => intent.allow)) {
    if (ports && !ports.some((port) => port.port === flow.port && port.protocol === flow.protocol)) continue;
    if (!peers) return 'allow';
    for (const selector of peers) {
      if (!matchesPeer(selector, peer, governed.cluster)) continue;
      const needsRemoteSelector =
        peer.cluster !== governed.cluster &&
        (selector.namespace !== undefined || selector.labels !== undefined);
      if (!needsRemoteSelector || semantics.selectorsMatchRemote) return 'allow';
      inexpressible = true;
    }
  }
  return inexpressible ? 'inexpressible' : 'deny';
}

/** Whether a selector in a policy of cluster `holder` means this peer. */
export function matchesPeer(selector: PeerSelector, peer: PolicyPeer, holder: string): boolean {
  if (selector.cluster !== undefined && !meansCluster(selector.cluster, peer.cluster, holder)) return false;
  if (selector.namespace !== undefined && selector.namespace !== peer.namespace) return false;
  return Object.entries(selector.labels ?? {}).every(([key, value]) => peer.labels[key] === value);
}

/** Whether `named`, in a policy of cluster `holder`, means this cluster. */
export function meansCluster(named: string, cluster: string, holder: string): boolean {
  if (named === 'remote') return cluster !== holder;
  return cluster === (named === 'local' ? holder : named);
}
