/** The fleet as the rest of the program sees it, from what it remembers of itself. */
import type { Fleet, ProviderOptions } from '../../model/cluster.ts';
import { type KubernetesClusterHandle, createKubernetesCluster } from '../kubernetes/index.ts';
import { rangesInUse } from '../ranges.ts';
import type { KindClusterState, KindDependencies, KindFleetState } from './context.ts';
import { KindGateway } from './gateway.ts';
import { contextName, gatewayName, kubeconfigFile } from './names.ts';

export interface KindFleet extends Fleet {
  readonly clusters: readonly KubernetesClusterHandle[];
}

const API_PORT = 6443;

export function assembleFleet(
  state: KindFleetState,
  { ledger, signal, requirements }: Pick<ProviderOptions, 'ledger' | 'signal' | 'requirements'>,
  dependencies: KindDependencies,
): KindFleet {
  const { run, names, topology, plan, families } = state;
  const fleetRanges = Object.fromEntries(names.map((name) => [name, rangesInUse(plan, families, name)]));
  const { nodeSelector, tolerations, imagePullSecrets, namespace } = dependencies.kubernetes;
  const clusters = names.map((name) => {
    const { nodeAddresses, gateway } = state.clusters[name] as KindClusterState;
    const { ipv4, ipv6 } = nodeAddresses;
    return createKubernetesCluster({
      run,
      name,
      ranges: fleetRanges[name]!,
      families,
      fleetRanges,
      kubeconfig: kubeconfigFile(run, name),
      context: contextName(run, name),
      apiServer: `https://${ipv4 ?? `[${ipv6}]`}:${API_PORT}`,
      own: true,
      policyKinds: requirements.kubernetes?.policyKinds ?? [],
      gateway: new KindGateway(
        { run, cluster: name, container: gatewayName(run, name), ...gateway },
        dependencies.connectProbe,
      ),
      image: state.probeImage,
      imagePullPolicy: 'IfNotPresent',
      privileged: true,
      ...(namespace !== undefined && { namespacePrefix: namespace }),
      nodeSelector,
      tolerations,
      imagePullSecrets,
      expiresAt: state.expiresAt,
      ledger,
      signal,
      connectProbe: dependencies.connectProbe,
    });
  });
  const { nodeMtu } = requirements;
  return { run, clusters, topology, plan, families, ...(nodeMtu !== undefined && { nodeMtu }) };
}
