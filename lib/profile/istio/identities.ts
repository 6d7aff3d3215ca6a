/** SPIFFE identities as Istio gives and shows them. */
import type { Identities } from '../../model/cluster.ts';
import type { WorkloadSpec } from '../../model/workload.ts';
import { callersIn, claimOf, foreignCredentials } from '../common/spiffe.ts';
import type { ControlPlanes } from './clusters.ts';
import { asKubernetes } from './clusters.ts';
import { TRUST_DOMAIN } from './names.ts';
import { handshakes, trustBundle } from './proxies.ts';

/** What a proxy offers when it opens TLS to another (ALPN); by it the other knows that this is the mesh. */
const ALPN = ['istio-peer-exchange', 'istio'];

export const accountOf = ({ serviceAccount, name }: Pick<WorkloadSpec, 'serviceAccount' | 'name'>): string =>
  serviceAccount ?? name;

/** As policies name it: without the scheme. */
export const principalOf = (namespace: string, account: string): string =>
  `${TRUST_DOMAIN}/ns/${namespace}/sa/${account}`;

export function istioIdentities(planes: ControlPlanes): Identities {
  return {
    identityOf: (workload, cluster) => {
      const place = planes.clusters.find(({ name }) => name === cluster);
      const namespace = place ? asKubernetes(place).namespaceOf(workload.namespace) : workload.namespace;
      return `spiffe://${principalOf(namespace, accountOf(workload))}`;
    },
    callerHeader: 'x-forwarded-client-cert',
    callersIn,
    claim: claimOf,
    dialect: ({ namespace, name }, port) => ({
      serverName: `outbound_.${port}_._.${name}.${namespace}.svc.cluster.local`,
      alpn: ALPN,
    }),
    foreignCredentials,
    trustBundle,
    handshakes,
  };
}
