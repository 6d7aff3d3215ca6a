/**
 * Services of which each cluster keeps its endpoints to itself. Who may be told of an endpoint is for the control plane of
 * the caller to say, and for all services it says so in one object.
 */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { existing } from '../common/clusters.ts';
import { askControlPlane } from './controlPlane.ts';
import { clusterLocalHosts, withClusterLocal, withoutClusterLocal } from './meshConfig.ts';
import { MESH_CONFIG, systemReference } from './names.ts';

export const MESH_CONFIG_REFERENCE = systemReference('v1', 'ConfigMap', MESH_CONFIG);

/** Pure. @param namespace its name in the cluster */
export const hostOf = (service: string, namespace: string): string =>
  `${service}.${namespace}.svc.cluster.local`;

export class ClusterLocal {
  /** By the name of the cluster of a control plane: the last change, after which the next one is made. */
  readonly #changing = new Map<string, Promise<unknown>>();

  add(primary: KubernetesCluster, hosts: readonly string[]): Promise<void> {
    return this.#rewrite(primary, (mesh) => hosts.reduce(withClusterLocal, mesh));
  }

  remove(primary: KubernetesCluster, hosts: readonly string[]): Promise<void> {
    return this.#rewrite(primary, (mesh) => hosts.reduce(withoutClusterLocal, mesh));
  }

  async hosts(primary: KubernetesCluster): Promise<readonly string[]> {
    return clusterLocalHosts((await this.#read(primary)).mesh ?? '');
  }

  /** As the control plane itself says, which reads it some time after it is written. */
  async isKnown(primary: KubernetesCluster, host: string): Promise<boolean> {
    return (await askControlPlane(primary, '/debug/mesh')).includes(host);
  }

  #rewrite(primary: KubernetesCluster, change: (mesh: string) => string): Promise<void> {
    const write = async (): Promise<void> => {
      const { mesh = '', ...data } = await this.#read(primary);
      await primary.objects.apply([{ ...MESH_CONFIG_REFERENCE, data: { ...data, mesh: change(mesh) } }]);
    };
    const written = (this.#changing.get(primary.name) ?? Promise.resolve()).then(write, write);
    this.#changing.set(primary.name, written);
    return written;
  }

  async #read(primary: KubernetesCluster): Promise<Readonly<Record<string, string>>> {
    return ((await existing(primary, MESH_CONFIG_REFERENCE)).data ?? {}) as Readonly<Record<string, string>>;
  }
}
