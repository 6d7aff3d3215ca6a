import type { Component, KubernetesCluster } from '../../model/cluster.ts';

/** Kubernetes as each node has it. */
export async function kubernetesOf(cluster: KubernetesCluster): Promise<Component[]> {
  const nodes = await cluster.objects.list({ apiVersion: 'v1', kind: 'Node' });
  return nodes.map(({ metadata, status }) => ({
    cluster: cluster.name,
    kind: 'kubernetes',
    name: metadata.name,
    version:
      (status as { nodeInfo?: { kubeletVersion?: string } } | undefined)?.nodeInfo?.kubeletVersion ?? '',
  }));
}

/** The versions of a kind of component, each once, for the record. */
export const versionsOfKind = (components: readonly Component[], kind: Component['kind']): string =>
  [...new Set(components.filter((one) => one.kind === kind).map(({ version }) => version))].join(', ');
