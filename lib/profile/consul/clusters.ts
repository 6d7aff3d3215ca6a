import type { Cluster, Fleet, KubernetesCluster } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { pathBetween } from '../../model/topology.ts';
import { asKubernetes as asKubernetesFor } from '../common/clusters.ts';

/** @throws UserError for clusters without an API server */
export const asKubernetes = (cluster: Cluster): KubernetesCluster => asKubernetesFor(cluster, 'Consul');

/** Which clusters there are, and who is whose peer; known once a fleet is. */
export class Peers {
  #fleet: Fleet | undefined;

  follow(fleet: Fleet): void {
    this.#fleet = fleet;
  }

  get fleet(): Fleet {
    if (!this.#fleet) throw new InternalError('Consul was asked of clusters that it was not told of');
    return this.#fleet;
  }

  get clusters(): readonly KubernetesCluster[] {
    return this.fleet.clusters.map(asKubernetes);
  }

  /** Names of the clusters that this one is joined with. */
  of(cluster: string): string[] {
    const { clusters, topology } = this.fleet;
    return clusters
      .map(({ name }) => name)
      .filter((name) => name !== cluster && pathBetween(topology, cluster, name).kind !== 'forbidden');
  }

  named(name: string): KubernetesCluster {
    const cluster = this.clusters.find((one) => one.name === name);
    if (!cluster) throw new InternalError(`no cluster ${name} in this fleet`);
    return cluster;
  }
}
