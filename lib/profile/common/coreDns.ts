/** CoreDNS of a cluster that this program made, told to serve names of a technology. */
import type { KubernetesCluster, ObjectReference } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { systemClock, within } from '../../system/clock.ts';
import { existing, kubectl } from './clusters.ts';

const NAMESPACE = 'kube-system';
const NAME = 'coredns';
const ROLLOUT_MS = 120_000;
const POLL_MS = 500;

const reference = (apiVersion: string, kind: string): ObjectReference => ({
  apiVersion,
  kind,
  metadata: { name: NAME, namespace: NAMESPACE },
});

/** Questions about a zone go to another server, and no answer is kept. Pure; twice is as good as once. */
export function forwardingZone(corefile: string, zone: string, server: string): string {
  const block = new RegExp(String.raw`^${zone}:53 \{[^}]*\}\n?`, 'm');
  return `${corefile.replace(block, '').trimEnd()}\n${zone}:53 {\n    errors\n    forward . ${server}\n}\n`;
}

/**
 * Changes its configuration and starts it anew: by itself it may take minutes to notice.
 * @param zone for people @param needs what its version must have, for people
 * @throws UserError when it does not come up again
 */
export async function configureCoreDns(
  cluster: KubernetesCluster,
  zone: string,
  change: (corefile: string) => string,
  needs?: string,
): Promise<void> {
  const map = reference('v1', 'ConfigMap');
  const deployment = reference('apps/v1', 'Deployment');
  const { data } = await existing(cluster, map);
  const { Corefile = '' } = data as Readonly<Record<string, string>>;
  const restartedAt = new Date(systemClock.now()).toISOString();
  await cluster.objects.apply([
    { ...map, data: { Corefile: change(Corefile) } },
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
  throw new UserError(`CoreDNS of ${cluster.name} does not serve ${zone}`, {
    where: `ConfigMap ${NAMESPACE}/${NAME}`,
    remedy: `${needs === undefined ? '' : `${needs}. `}Read its log: \`${kubectl(cluster, '-n', NAMESPACE, 'logs', `deployment/${NAME}`)}\``,
  });
}
