/** What clusters by themselves make true of intents: policies. Services stay within their cluster. */
import type { AppliedIntent, Cluster, IntentHandler } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { KubernetesClusterHandle } from './cluster.ts';
import { NETWORK_POLICY_SEMANTICS, networkPolicyOf } from './policy.ts';

/** @throws InternalError for a cluster of another provider */
export function asKubernetesCluster(cluster: Cluster): KubernetesClusterHandle {
  if (cluster instanceof KubernetesClusterHandle) return cluster;
  throw new InternalError(`cluster ${cluster.name} is none with an API server`);
}

const NAME = 'network-policy';

export const networkPolicyHandler: IntentHandler = {
  name: NAME,
  policySemantics: NETWORK_POLICY_SEMANTICS,
  supports: (intent) => intent.kind === 'policy' || `${NAME} knows no intent of kind ${intent.kind}`,
  async apply(intent, cluster): Promise<AppliedIntent> {
    if (intent.kind !== 'policy') throw new InternalError(`${NAME} was given an intent ${intent.kind}`);
    const target = asKubernetesCluster(cluster);
    const namespace = await target.ensureNamespace(intent.namespace);
    const policy = networkPolicyOf(intent, target.policyPlace(namespace));
    await target.objects.apply([policy]);
    return {
      rendered: JSON.stringify(policy),
      settled: async () => (await target.objects.read(policy)) !== undefined,
      obeyedLater: true,
      undo: () => target.objects.delete([policy]),
    };
  },
};
