/** Versions of control planes, proxies and Kubernetes as they say themselves, and how far they may lie apart. */
import type { Component, KubernetesCluster, SupportedSkew } from '../../model/cluster.ts';
import { kubernetesOf } from '../common/versions.ts';
import type { ControlPlanes } from './clusters.ts';
import { connectedProxies, controlPlaneVersion } from './controlPlane.ts';

/** Istio, "Supported releases": control plane and data plane, and the versions of Kubernetes that each is tested with. */
export const SUPPORTED_SKEW: SupportedSkew = {
  betweenControlPlanes: 1,
  proxyBehind: 1,
  kubernetes: {
    '1.28': ['1.30', '1.34'],
    '1.29': ['1.31', '1.35'],
    '1.30': ['1.32', '1.36'],
    '1.31': ['1.32', '1.36'],
  },
  reference: 'https://istio.io/latest/docs/releases/supported-releases/',
};

async function servedBy(primary: KubernetesCluster): Promise<Component[]> {
  const [version, proxies] = await Promise.all([controlPlaneVersion(primary), connectedProxies(primary)]);
  return [
    { cluster: primary.name, kind: 'control plane', name: 'istiod', version },
    ...proxies.map((proxy): Component => ({ ...proxy, kind: 'proxy' })),
  ];
}

export async function componentsOf(planes: ControlPlanes): Promise<readonly Component[]> {
  const found = await Promise.all([...planes.clusters.map(kubernetesOf), ...planes.primaries.map(servedBy)]);
  return found.flat();
}
