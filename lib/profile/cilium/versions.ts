/** Versions of Cilium's parts and of Kubernetes as they say themselves, and how far they may lie apart. */
import type { Component, KubernetesCluster, SupportedSkew } from '../../model/cluster.ts';
import { isReady } from '../common/clusters.ts';
import { kubernetesOf } from '../common/versions.ts';
import { podsOf } from './agents.ts';
import { AGENT_CONTAINER, NAMESPACE } from './names.ts';

/** Cilium, "Kubernetes Compatibility", and for the mesh "Cluster Mesh": one minor version apart while upgrading. */
export const SUPPORTED_SKEW: SupportedSkew = {
  betweenControlPlanes: 1,
  proxyBehind: 1,
  kubernetes: {
    '1.18': ['1.30', '1.33'],
    '1.19': ['1.31', '1.35'],
    '1.20': ['1.32', '1.36'],
  },
  reference: 'https://docs.cilium.io/en/stable/network/kubernetes/compatibility/',
};

const PARTS = [
  {
    part: 'apiServer',
    kind: 'control plane',
    container: 'apiserver',
    command: ['clustermesh-apiserver', 'version'],
  },
  {
    part: 'operator',
    kind: 'control plane',
    container: 'cilium-operator',
    command: ['cilium-operator-generic', '--version'],
  },
  { part: 'agent', kind: 'proxy', container: AGENT_CONTAINER, command: ['cilium-agent', '--version'] },
] as const;

/** `Cilium 1.20.2 abcdef go version …`, `1.20.2`; the whole text where no version stands in it. Pure. */
export const versionIn = (said: string): string => /\d+\.\d+\.\d+[^\s,]*/.exec(said)?.[0] ?? said.trim();

async function partsOf(cluster: KubernetesCluster): Promise<Component[]> {
  const found = await Promise.all(
    PARTS.map(async ({ part, kind, container, command: [program, argument] }) => {
      const pods = (await podsOf(cluster, part)).filter(isReady);
      return Promise.all(
        pods.map(async ({ metadata: { name } }): Promise<Component> => {
          const said = await cluster.objects.exec({ namespace: NAMESPACE, name, container }, [
            program,
            argument,
          ]);
          return { cluster: cluster.name, kind, name, version: versionIn(said) };
        }),
      );
    }),
  );
  return found.flat();
}

export async function componentsOf(clusters: readonly KubernetesCluster[]): Promise<readonly Component[]> {
  const found = await Promise.all(clusters.flatMap((cluster) => [partsOf(cluster), kubernetesOf(cluster)]));
  return found.flat();
}
