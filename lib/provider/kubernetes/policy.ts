/** Renders policy intents as NetworkPolicy. Pure. */
import type { ClusterRanges } from '../../model/addressing.ts';
import type { IpFamily } from '../../model/cidr.ts';
import type { KubernetesObject, PolicyKind } from '../../model/cluster.ts';
import {
  type PeerSelector,
  type PolicyIntent,
  type PolicySemantics,
  type PortSelector,
  meansCluster,
} from '../../model/intent.ts';
import { LABELS } from './names.ts';

/** NetworkPolicy v1: selectors see the pods of their own cluster, and refusal is silence. */
export const NETWORK_POLICY_SEMANTICS: PolicySemantics = {
  protocols: ['tcp', 'udp'],
  selectorsMatchRemote: false,
  refusal: 'silence',
};

export const NETWORK_POLICY: PolicyKind = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' };

export interface PolicyPlace {
  /** Cluster that holds the policy. */
  readonly cluster: string;
  /** Name of the namespace there. */
  readonly namespace: string;
  /** Ranges of all clusters by name. */
  readonly ranges: Readonly<Record<string, ClusterRanges>>;
  readonly families: readonly IpFamily[];
}

/** `undefined`: everyone. An empty list: nobody whom a selector could name. */
function peersOf(selectors: readonly PeerSelector[] | undefined, place: PolicyPlace): unknown[] | undefined {
  if (!selectors) return undefined;
  const peers: unknown[] = [];
  for (const selector of selectors) {
    const { namespace, labels, cluster } = selector;
    const anyWorkload = namespace === undefined && labels === undefined;
    if (anyWorkload && cluster === undefined) return undefined;
    if (cluster === undefined || meansCluster(cluster, place.cluster, place.cluster)) {
      peers.push({
        namespaceSelector: namespace === undefined ? {} : { matchLabels: { [LABELS.namespace]: namespace } },
        ...(labels !== undefined && { podSelector: { matchLabels: labels } }),
      });
    } else if (anyWorkload) {
      // Of another cluster all is known that a policy can name: the range of its pods.
      for (const [name, { pods }] of Object.entries(place.ranges)) {
        if (name === place.cluster || !meansCluster(cluster, name, place.cluster)) continue;
        for (const family of place.families) {
          const range = pods[family];
          if (range !== undefined) peers.push({ ipBlock: { cidr: range } });
        }
      }
    }
    // Workloads of another cluster by namespace or label: no selector reaches them.
  }
  return peers;
}

const portsOf = (ports: readonly PortSelector[]): unknown[] =>
  ports.map(({ port, protocol }) => ({ port, protocol: protocol.toUpperCase() }));

/** Nothing is let in by a rule whose list of peers or ports came out empty: in NetworkPolicy that would mean everybody. */
export function networkPolicyOf(intent: PolicyIntent, place: PolicyPlace): KubernetesObject {
  const side = intent.direction === 'ingress' ? 'from' : 'to';
  const rules = intent.allow.flatMap(({ peers, ports }) => {
    const named = peersOf(peers, place);
    if (named?.length === 0 || ports?.length === 0) return [];
    return [{ ...(named && { [side]: named }), ...(ports && { ports: portsOf(ports) }) }];
  });
  return {
    ...NETWORK_POLICY,
    metadata: { name: intent.name, namespace: place.namespace },
    spec: {
      podSelector: Object.keys(intent.target).length === 0 ? {} : { matchLabels: intent.target },
      policyTypes: [intent.direction === 'ingress' ? 'Ingress' : 'Egress'],
      [intent.direction]: rules,
    },
  };
}
