/** Clusters with an API server, whoever made them. */
import type { Feature, IntentHandler } from '../../model/cluster.ts';
import { KubernetesClusterHandle, type KubernetesClusterOptions } from './cluster.ts';
import { networkPolicyHandler } from './handlers.ts';

export type { KubernetesClusterHandle, KubernetesClusterOptions } from './cluster.ts';
export { kubernetesInjectors } from './faults.ts';
export { asKubernetesCluster } from './handlers.ts';
export { runSelector } from './names.ts';
export { addressesOf, podState } from './podState.ts';
export { DEFAULT_DOMAIN } from './resolver.ts';
export { clusterIpsOf } from './services.ts';

/** What every such cluster offers by itself; the profile says what passes between clusters. */
export const KUBERNETES_FEATURES: readonly Feature[] = ['dns', 'policy', 'l7.service', 'nodes'];

export const kubernetesHandlers: readonly IntentHandler[] = [networkPolicyHandler];

/** Nothing is asked of the cluster yet. */
export const createKubernetesCluster = (options: KubernetesClusterOptions): KubernetesClusterHandle =>
  new KubernetesClusterHandle(options);
