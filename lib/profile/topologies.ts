/** The one table of what each technology makes of the pairs of a topology: none of them is transitive by itself. */
import type { Ways } from '../model/topology.ts';

export const WAYS = {
  none: {
    direct: 'workloads reach each other by the tunnel of their gateways',
    via: 'workloads reach each other through the gateways of the clusters between',
    forbidden: 'the gateways between refuse them each other',
  },
  istio: {
    direct: 'control planes read the API server of the other cluster',
    via: 'the same, through the gateways of the clusters between: knowing a hub makes no spoke known',
    forbidden: {
      refusal:
        'Istio’s control planes read the API servers of all clusters of the mesh, and wait for those out of reach',
      remedy: 'Leave the segments out, or choose --profile cilium or consul, which leave such clusters apart',
    },
  },
  cilium: {
    direct: 'each cluster is joined with the other',
    via: 'spokes are joined with each other too, through the gateways of the clusters between: Cluster Mesh is not transitive',
    forbidden: 'clusters are not joined with each other',
  },
  consul: {
    direct: 'each cluster is a peer of the other',
    via: 'spokes are peers of each other too, through the gateways of the clusters between: peering is not transitive',
    forbidden: 'clusters are no peers of each other',
  },
} as const satisfies Readonly<Record<string, Ways>>;
