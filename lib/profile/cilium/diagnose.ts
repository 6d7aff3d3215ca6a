/** What of the mesh a person would look at after a failure; bounded, and without secrets. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { answersTo } from '../common/diagnose.ts';
import { askAgent, inAgent, podsOf } from './agents.ts';
import { observeDrops } from './drops.ts';
import { NAMESPACE, POLICY_KIND, type SELECTORS } from './names.ts';

const LOG_LINES = 200;

export const diagnoseMesh = (cluster: KubernetesCluster): Promise<Readonly<Record<string, string>>> =>
  answersTo({
    'cilium-status.txt': () => askAgent(cluster, 'status', '--verbose'),
    'cilium-services.txt': () => askAgent(cluster, 'service', 'list'),
    'cilium-endpoints.txt': () => askAgent(cluster, 'endpoint', 'list'),
    'cilium-drops.txt': () => inAgent(cluster, observeDrops()),
    'cilium-drop-counters.txt': () => askAgent(cluster, 'bpf', 'metrics', 'list'),
    'cilium-policies.json': () => policies(cluster),
    'cilium-agent.log': () => log(cluster, 'agent', 'cilium-agent'),
    'cilium-kvstoremesh.log': () => log(cluster, 'apiServer', 'kvstoremesh'),
    'cilium-apiserver.log': () => log(cluster, 'apiServer', 'apiserver'),
  });

async function log(
  cluster: KubernetesCluster,
  part: keyof typeof SELECTORS,
  container: string,
): Promise<string> {
  const pods = await podsOf(cluster, part);
  const logs = await Promise.all(
    pods.map(({ metadata: { name } }) =>
      cluster.objects.log({ namespace: NAMESPACE, name, container }, { lines: LOG_LINES }),
    ),
  );
  return logs.join('\n') || 'nothing of it runs here';
}

async function policies(cluster: KubernetesCluster): Promise<string> {
  const found = await cluster.objects.list(POLICY_KIND);
  const shown = found.map(({ metadata: { name, namespace }, spec, status }) => ({
    namespace,
    name,
    spec,
    status,
  }));
  return JSON.stringify(shown, undefined, 1);
}
