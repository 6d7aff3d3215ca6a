import type { Cluster, Fleet, KubernetesCluster } from '../../model/cluster.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import { pathBetween } from '../../model/topology.ts';

/** @throws UserError for clusters without an API server */
export function asKubernetes(cluster: Cluster): KubernetesCluster {
  if (cluster.kind === 'kubernetes') return cluster as KubernetesCluster;
  throw new UserError(`Consul needs Kubernetes, and ${cluster.name} has none`, {
    where: '--provider',
    remedy: 'Choose --provider kind',
  });
}

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
