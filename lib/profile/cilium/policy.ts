/** Policy intents as CiliumNetworkPolicy: it selects by identity, and an identity says in which cluster it is. */
import type { AppliedIntent, IntentHandler, KubernetesObject } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { PeerSelector, PolicyIntent, PolicySemantics, PortSelector } from '../../model/intent.ts';
import { asKubernetes } from '../common/clusters.ts';
import { IDENTITY, POLICY_KIND } from './names.ts';
import type { ObservedMesh } from './observed.ts';

const SEMANTICS: PolicySemantics = {
  protocols: ['tcp', 'udp'],
  selectorsMatchRemote: true,
  refusal: 'silence',
};

export interface PolicyPlace {
  readonly cluster: string;
  /** Name in the cluster of a namespace of specifications. */
  readonly nameOf: (namespace: string) => string;
}

interface Expression {
  readonly key: string;
  readonly operator: 'Exists' | 'In' | 'NotIn';
  readonly values?: readonly string[];
}

/** Where a selector names no cluster, Cilium takes the policy's own (since 1.19), and so for the namespace: both are said. */
function peerOf({ namespace, labels, cluster }: PeerSelector, place: PolicyPlace): object {
  const expressions: Expression[] = [];
  const match: Record<string, string> = { ...labels };
  if (namespace === undefined) expressions.push({ key: IDENTITY.namespace, operator: 'Exists' });
  else match[IDENTITY.namespace] = place.nameOf(namespace);
  if (cluster === undefined) expressions.push({ key: IDENTITY.cluster, operator: 'Exists' });
  else if (cluster === 'unsaid') {
    // As somebody writes it who does not think of clusters.
  } else if (cluster === 'remote')
    expressions.push({ key: IDENTITY.cluster, operator: 'NotIn', values: [place.cluster] });
  else match[IDENTITY.cluster] = cluster === 'local' ? place.cluster : cluster;
  return {
    ...(Object.keys(match).length > 0 && { matchLabels: match }),
    ...(expressions.length > 0 && { matchExpressions: expressions }),
  };
}

const portsOf = (ports: readonly PortSelector[]): object[] => [
  { ports: ports.map(({ port, protocol }) => ({ port: String(port), protocol: protocol.toUpperCase() })) },
];

const everyone = (peers: readonly PeerSelector[]): boolean =>
  peers.some(
    ({ namespace, labels, cluster }) =>
      namespace === undefined && labels === undefined && cluster === undefined,
  );

/** Pure. Nothing is let in by a rule whose list of peers or ports came out empty. */
export function ciliumPolicyOf(intent: PolicyIntent, place: PolicyPlace): KubernetesObject {
  const [peersKey, entitiesKey] =
    intent.direction === 'ingress' ? ['fromEndpoints', 'fromEntities'] : ['toEndpoints', 'toEntities'];
  const rules = intent.allow.flatMap(({ peers, ports }) => {
    if (peers?.length === 0 || ports?.length === 0) return [];
    return [
      {
        ...(peers && !everyone(peers)
          ? { [peersKey]: peers.map((peer) => peerOf(peer, place)) }
          : { [entitiesKey]: ['all'] }),
        ...(ports && { toPorts: portsOf(ports) }),
      },
    ];
  });
  return {
    ...POLICY_KIND,
    metadata: { name: intent.name, namespace: place.nameOf(intent.namespace) },
    spec: {
      endpointSelector: Object.keys(intent.target).length === 0 ? {} : { matchLabels: intent.target },
      // An empty rule allows nobody, and makes all else refused; no rule at all would say nothing of this direction.
      [intent.direction]: rules.length > 0 ? rules : [{}],
    },
  };
}

/** @param mesh says whom a selector means that names no cluster: its own cluster unless agents were told otherwise (since 1.19) */
export const policyHandler = (mesh: Pick<ObservedMesh, 'scope'>): IntentHandler => ({
  name: 'cilium-network-policy',
  get policySemantics() {
    return { ...SEMANTICS, unsaidCluster: mesh.scope };
  },
  supports: (intent) =>
    intent.kind === 'policy' || `cilium-network-policy knows no intent of kind ${intent.kind}`,
  async apply(intent, where): Promise<AppliedIntent> {
    if (intent.kind !== 'policy') throw new InternalError(`cilium-network-policy was given ${intent.kind}`);
    const cluster = asKubernetes(where, 'Cilium');
    const policy = ciliumPolicyOf(intent, {
      cluster: cluster.name,
      nameOf: (namespace) => cluster.namespaceOf(namespace),
    });
    await cluster.objects.apply([policy]);
    return {
      rendered: JSON.stringify(policy),
      settled: async () => isValid(await cluster.objects.read(policy)),
      obeyedLater: true,
      undo: () => cluster.objects.delete([policy]),
    };
  },
});

/** Cilium says of each policy whether it understands it. */
function isValid(policy: KubernetesObject | undefined): boolean {
  const { conditions = [] } = (policy?.['status'] ?? {}) as {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
  return conditions.some(({ type, status }) => type === 'Valid' && status === 'True');
}
