/** Names of `clusterset.local`, which CoreDNS has to be told to serve. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { configureCoreDns } from '../common/coreDns.ts';
import { DNS, NAMESPACE } from './names.ts';

const ZONE = 'clusterset.local';
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
  await cluster.objects.apply(RIGHTS);
  await configureCoreDns(cluster, ZONE, servingZone, 'CoreDNS 1.12.2 or later knows these names');
}
