/** Finds Cilium Cluster Mesh as somebody installed it, and changes nothing. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Topology, reachableFrom } from '../../model/topology.ts';
import { remoteClusters } from './agents.ts';
import { CONFIGURATION, systemReference } from './names.ts';

/** How a cluster calls itself in its mesh; undefined where Cilium is not installed. */
async function meshNameOf(cluster: KubernetesCluster): Promise<string | undefined> {
  const map = await cluster.objects.read(systemReference('v1', 'ConfigMap', CONFIGURATION));
  return (map?.['data'] as Readonly<Record<string, string>> | undefined)?.['cluster-name'];
}

/** @throws UserError naming the cluster where something is missing */
export async function adoptCilium(clusters: readonly KubernetesCluster[], topology: Topology): Promise<void> {
  const names = await Promise.all(clusters.map(meshNameOf));
  const without = clusters.find((_, index) => names[index] === undefined);
  if (without) {
    throw new UserError(`Cilium is not installed in ${without.name}`, {
      where: `ConfigMap kube-system/${CONFIGURATION}`,
      remedy: 'Install it there, or choose another --profile',
    });
  }
  const different = clusters.find(({ name }, index) => names[index] !== name);
  if (different) {
    const name = names[clusters.indexOf(different)] as string;
    throw new UserError(`the cluster ${different.name} calls itself ${name} in its mesh`, {
      where: `cluster-name in ConfigMap kube-system/${CONFIGURATION}`,
      remedy: `Policies name clusters: call it the same here, with --clusters ${names.join(',')}`,
    });
  }
  await Promise.all(
    clusters.map(async (cluster) => {
      const known = await remoteClusters(cluster);
      const missing = reachableFrom(topology, cluster.name).filter(
        (name) => !known.some((one) => one.name === name),
      );
      if (missing.length === 0) return;
      throw new UserError(
        `${cluster.name} is in no mesh with ${missing.join(', ')}: what others are joined with does not count`,
        {
          where: `clusters there: ${known.map(({ name }) => name).join(', ') || 'none'}`,
          remedy:
            'Join them as the documentation of Cluster Mesh says, put them into different segments, or choose another --profile',
        },
      );
    }),
  );
}
