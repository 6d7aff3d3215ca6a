/** Versions of servers, proxies and Kubernetes as they say themselves. */
import type { Component, KubernetesCluster, SupportedSkew } from '../../model/cluster.ts';
import { kubernetesOf } from '../common/versions.ts';
import type { Peers } from './clusters.ts';
import { SERVER, servicesOf } from './names.ts';
import { proxyVersion } from './proxies.ts';
import { tell } from './server.ts';

/**
 * Servers of two clusters that are peers may lie apart as far as the vendor upgrades. Proxies are Envoy, whose versions
 * have nothing in common with Consul's: they are no components here. Of Kubernetes the vendor speaks with regard to its
 * chart only, which is not used.
 */
export const SUPPORTED_SKEW: SupportedSkew = {
  betweenControlPlanes: 2,
  proxyBehind: 0,
  kubernetes: {},
  reference: 'https://developer.hashicorp.com/consul/docs/upgrading/compatibility',
};

export async function serverVersion(cluster: KubernetesCluster): Promise<string> {
  const [text = '{}'] = await tell(cluster, [{ method: 'GET', path: '/v1/agent/self' }]);
  const { Config } = JSON.parse(text) as { Config?: { Version?: string } };
  return Config?.Version ?? '';
}

async function componentsIn(cluster: KubernetesCluster): Promise<Component[]> {
  const [version, nodes] = await Promise.all([serverVersion(cluster), kubernetesOf(cluster)]);
  return [{ cluster: cluster.name, kind: 'control plane', name: SERVER, version }, ...nodes];
}

export async function componentsOf(peers: Peers): Promise<readonly Component[]> {
  return (await Promise.all(peers.clusters.map(componentsIn))).flat();
}

export async function observedVersions(peers: Peers): Promise<Readonly<Record<string, string>>> {
  const of = async (question: () => Promise<readonly string[]>): Promise<string> =>
    [...new Set(await question())].toSorted().join(', ');
  const [servers, proxies] = await Promise.all([
    of(() => Promise.all(peers.clusters.map(serverVersion))),
    of(() =>
      Promise.all(
        peers.clusters.flatMap((cluster) =>
          cluster.workloads
            .filter(({ spec }) => servicesOf(spec).length > 0)
            .slice(0, 1)
            .map((workload) => proxyVersion(workload, cluster)),
        ),
      ),
    ),
  ]);
  return { 'Consul servers': servers, 'Envoy of its proxies': proxies };
}
