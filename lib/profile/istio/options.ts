import type { IstioTopology, RunSpec } from '../../model/spec.ts';

/** What of a run's specification concerns Istio. */
export type IstioOptions = Pick<
  RunSpec,
  'istioTopology' | 'tuning' | 'provider' | 'images' | 'versions' | 'tools'
>;

export const ISTIO_TOPOLOGIES: readonly IstioTopology[] = [
  'multi-primary',
  'multi-network',
  'primary-remote',
];

/** Whether the clusters are networks of their own, which gateways join. */
export const hasNetworks = (topology: IstioTopology): boolean => topology === 'multi-network';

/** Whether one control plane, in the first cluster, serves all. */
export const hasOnePrimary = (topology: IstioTopology): boolean => topology === 'primary-remote';

/** Whether a gateway between the clusters is needed: for services across networks, or for the control plane itself. */
export const hasGateways = (topology: IstioTopology): boolean =>
  hasNetworks(topology) || hasOnePrimary(topology);
