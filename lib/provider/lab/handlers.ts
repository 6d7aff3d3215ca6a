/** How the lab makes intents true. */
import type { AppliedIntent, Cluster, IntentHandler } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { PolicySemantics } from '../../model/intent.ts';
import { keyOf } from '../../model/workload.ts';
import { LabCluster } from './cluster.ts';

const POLICY_SEMANTICS: PolicySemantics = {
  protocols: ['tcp', 'udp'],
  selectorsMatchRemote: true,
  refusal: 'silence',
};

export function asLabCluster(cluster: Cluster): LabCluster {
  if (cluster instanceof LabCluster) return cluster;
  throw new InternalError(`cluster ${cluster.name} is not one of the lab`);
}

export const policyHandler: IntentHandler = {
  name: 'lab-policy',
  policySemantics: POLICY_SEMANTICS,
  supports: (intent) => intent.kind === 'policy' || `lab-policy knows no intent of kind ${intent.kind}`,
  async apply(intent, cluster): Promise<AppliedIntent> {
    if (intent.kind !== 'policy') throw new InternalError(`lab-policy was given an intent ${intent.kind}`);
    const { policies } = asLabCluster(cluster);
    const rendered = await policies.add(intent);
    return {
      rendered,
      settled: () => policies.isInForce(intent),
      undo: () => policies.remove(intent),
    };
  },
};

export const shareHandler: IntentHandler = {
  name: 'lab-share',
  supports: (intent) => {
    if (intent.kind !== 'share-service') return `lab-share knows no intent of kind ${intent.kind}`;
    return intent.offered !== false || 'lab-share: its service controllers offer all that they share';
  },
  async apply(intent, cluster): Promise<AppliedIntent> {
    if (intent.kind !== 'share-service') {
      throw new InternalError(`lab-share was given an intent ${intent.kind}`);
    }
    const service = { namespace: intent.namespace, name: intent.service };
    const lab = asLabCluster(cluster);
    await lab.share(intent);
    return {
      rendered: JSON.stringify({ shared: keyOf(service), preference: intent.preference }),
      settled: async () => {
        const { services, peers } = await lab.controller.status();
        return (
          services.some((one) => one.service === keyOf(service)) && peers.every(({ answers }) => answers)
        );
      },
      undo: () => lab.unshare(intent),
    };
  },
  addressFrom: (cluster, service) => asLabCluster(cluster).sharedAddress(service),
};
