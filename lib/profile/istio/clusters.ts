import type { Cluster, Fleet, KubernetesCluster } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { IstioTopology } from '../../model/spec.ts';
import { asKubernetes as asKubernetesFor } from '../common/clusters.ts';
import { hasOnePrimary } from './options.ts';

/** @throws UserError for clusters without an API server */
export const asKubernetes = (cluster: Cluster): KubernetesCluster => asKubernetesFor(cluster, 'Istio');

export const kubernetesClusters = (fleet: Fleet): readonly KubernetesCluster[] =>
  fleet.clusters.map(asKubernetes);

/** Which control plane serves which cluster; known once a fleet is. */
export class ControlPlanes {
  readonly #topology: IstioTopology;
  #clusters: readonly KubernetesCluster[] = [];

  constructor(topology: IstioTopology) {
    this.#topology = topology;
  }

  follow(fleet: Fleet): void {
    this.#clusters = kubernetesClusters(fleet);
  }

  get clusters(): readonly KubernetesCluster[] {
    return this.#clusters;
  }

  /** Clusters with a control plane. */
  get primaries(): readonly KubernetesCluster[] {
    return hasOnePrimary(this.#topology) ? this.#clusters.slice(0, 1) : this.#clusters;
  }

  /** The cluster whose control plane serves this one, and which holds its configuration. */
  primaryOf(cluster: Cluster): KubernetesCluster {
    const own = this.primaries.find(({ name }) => name === cluster.name) ?? this.primaries[0];
    if (!own) throw new InternalError('Istio was asked of clusters that it was not told of');
    return own;
  }

  /** Clusters that a control plane has to watch besides its own. */
  watchedBy(primary: KubernetesCluster): readonly KubernetesCluster[] {
    return this.#clusters.filter(({ name }) => name !== primary.name);
  }
}
