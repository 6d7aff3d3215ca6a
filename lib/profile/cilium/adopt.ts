/** Finds Cilium Cluster Mesh as somebody installed it, and changes nothing. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Topology, reachableFrom } from '../../model/topology.ts';
import { remoteClusters } from './agents.ts';
import { CONFIGURATION, systemReference } from './names.ts';
import type { DefaultScope } from './policy.ts';

/** What its agents were configured with; undefined where Cilium is not installed. */
export async function configurationOf(
  cluster: KubernetesCluster,
): Promise<Readonly<Record<string, string>> | undefined> {
  const map = await cluster.objects.read(systemReference('v1', 'ConfigMap', CONFIGURATION));
  return map?.['data'] as Readonly<Record<string, string>> | undefined;
}

/**
 * @returns whom policies mean that name no cluster, which all clusters must agree on
 * @throws UserError naming the cluster where something is missing
 */
export async function adoptCilium(
  clusters: readonly KubernetesCluster[],
  topology: Topology,
): Promise<DefaultScope['current']> {
  const configurations = await Promise.all(clusters.map(configurationOf));
  // How a cluster calls itself in its mesh.
  const names = configurations.map((configuration) => configuration?.['cluster-name']);
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
  const scopes = configurations.map(scopeIn);
  const other = clusters.find((_, index) => scopes[index] !== scopes[0]);
  if (other) {
    throw new UserError(
      `policies that name no cluster mean something else in ${other.name} than in the others`,
      {
        where: `${SCOPE_KEY} in ConfigMap kube-system/${CONFIGURATION}`,
        remedy: 'Configure all clusters alike (clustermesh.policyDefaultLocalCluster)',
      },
    );
  }
  return scopes[0] ?? 'every';
}

const SCOPE_KEY = 'policy-default-local-cluster';

/** Agents of before 1.19 know no such key, and mean every cluster. Pure. */
export const scopeIn = (
  configuration: Readonly<Record<string, string>> | undefined,
): DefaultScope['current'] => (configuration?.[SCOPE_KEY] === 'true' ? 'local' : 'every');
