/** Names of `clusterset.local`, which CoreDNS has to be told to serve. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { systemClock, within } from '../../system/clock.ts';
import { existing, kubectl } from '../common/clusters.ts';
import { DNS, NAMESPACE, systemReference } from './names.ts';

const ZONE = 'clusterset.local';
const ROLLOUT_MS = 120_000;
const POLL_MS = 500;
const ROLE = 'mcnet-coredns-mcsapi';

/** As Cilium's documentation has it by hand: the zone, and where its names come from. Pure; twice is as good as once. */
export function servingZone(corefile: string): string {
  if (corefile.includes(`multicluster ${ZONE}`)) return corefile;
  return corefile.replace(
    /^([ \t]*)kubernetes ([^{\n]*)\{/m,
    (_line, indent: string, zones: string) =>
      `${indent}kubernetes ${zones.includes(ZONE) ? zones : `${ZONE} ${zones}`}{\n${indent}   multicluster ${ZONE}`,
  );
}

/** CoreDNS may read ServiceImports. */
const RIGHTS: readonly KubernetesObject[] = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: ROLE },
    rules: [
      { apiGroups: ['multicluster.x-k8s.io'], resources: ['serviceimports'], verbs: ['list', 'watch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: ROLE },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: ROLE },
    subjects: [{ kind: 'ServiceAccount', name: DNS, namespace: NAMESPACE }],
  },
];

/**
 * Not by the chart's own Job: it goes by the tag of the image, which says nothing of what a local build holds.
 * @throws UserError when CoreDNS does not come up again: before 1.12.2 it knows no such names
 */
export async function serveNames(cluster: KubernetesCluster): Promise<void> {
  const map = systemReference('v1', 'ConfigMap', DNS);
  const deployment = systemReference('apps/v1', 'Deployment', DNS);
  const { data } = await existing(cluster, map);
  const { Corefile = '' } = data as Readonly<Record<string, string>>;
  const restartedAt = new Date(systemClock.now()).toISOString();
  await cluster.objects.apply([
    ...RIGHTS,
    { ...map, data: { Corefile: servingZone(Corefile) } },
    {
      ...deployment,
      spec: { template: { metadata: { annotations: { 'kubectl.kubernetes.io/restartedAt': restartedAt } } } },
    },
  ]);
  const isRolledOut = async (): Promise<boolean> => {
    const now = await existing(cluster, deployment);
    const { observedGeneration, replicas, updatedReplicas, readyReplicas } = (now['status'] ??
      {}) as Readonly<Record<string, number>>;
    return (
      observedGeneration === now.metadata['generation'] &&
      replicas === updatedReplicas &&
      replicas === readyReplicas
    );
  };
  if (await within(ROLLOUT_MS, isRolledOut, POLL_MS)) return;
  throw new UserError(`CoreDNS of ${cluster.name} does not serve ${ZONE}`, {
    where: `ConfigMap ${NAMESPACE}/${DNS}`,
    remedy: `It takes CoreDNS 1.12.2 or later: see \`${kubectl(cluster, '-n', NAMESPACE, 'logs', `deployment/${DNS}`)}\``,
  });
}
