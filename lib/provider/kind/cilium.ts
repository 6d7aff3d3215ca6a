/** Cilium as the CNI of clusters that kind creates without one: https://docs.cilium.io/en/stable/installation/kind/ */
import type { ProviderOptions } from '../../model/cluster.ts';
import { ciliumValues } from '../../model/cilium.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import { runCommand } from '../../system/commands.ts';
import { helmUpgrade } from '../../system/kubernetes/helm.ts';
import type { KindDependencies } from './context.ts';
import { insideContainer } from './docker.ts';
import { lastWords } from './images.ts';
import { clusterName, controlPlaneName, kubeconfigFile } from './names.ts';

/** As Cilium's documentation has it, once its repository is added to helm under this name. */
const CHART = 'cilium/cilium';
const NAMESPACE = 'kube-system';
/** With the pull of its images over a slow line, which the nodes wait for. */
const INSTALL_MS = 5 * 60_000;
const SLACK_MS = 10_000;
/** Installs it and waits until every node is Ready. @throws UserError when helm, its chart or the pods fail */
export async function installCilium(
  options: ProviderOptions,
  cluster: string,
  dependencies: KindDependencies,
): Promise<void> {
  const { run, families, plan, signal } = options;
  const chart = dependencies.charts['cilium'] ?? CHART;
  const values = ciliumValues({
    families,
    routed: {
      ...(families.includes('ipv4') && { ipv4: plan.pool }),
      ...(families.includes('ipv6') && { ipv6: plan.ipv6Pool }),
    },
    images: dependencies.images,
  });
  try {
    await helmUpgrade({
      helm: dependencies.tools['helm'] ?? 'helm',
      name: 'cilium',
      chart,
      namespace: NAMESPACE,
      kubeconfig: kubeconfigFile(run, cluster),
      values,
      timeoutMs: INSTALL_MS,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const words = lastWords(error);
    throw new UserError(`Cilium could not be installed in cluster ${cluster}${words ? `: ${words}` : ''}`, {
      where: `helm chart ${chart}`,
      remedy: `Add the repository as Cilium's documentation says (\`helm repo add cilium …\`), or name a folder or archive: \`charts: { cilium: /path/to/chart }\` in mcnet.yaml; see \`kubectl --kubeconfig ${kubeconfigFile(run, cluster)} --namespace ${NAMESPACE} get pods\``,
      cause: error,
    });
  }
  await untilNodesReady(run, cluster, signal);
}

/** helm's own wait takes a DaemonSet for ready on a single node that has none of its pods. */
async function untilNodesReady(run: string, cluster: string, signal: AbortSignal): Promise<void> {
  const kubectl = (...words: string[]) =>
    insideContainer(controlPlaneName(run, cluster), [
      'kubectl',
      ...['--kubeconfig', '/etc/kubernetes/admin.conf'],
      ...words,
    ]);
  try {
    await runCommand(
      kubectl('wait', '--for=condition=Ready', 'nodes', '--all', `--timeout=${INSTALL_MS / 1_000}s`),
      { timeoutMs: INSTALL_MS + SLACK_MS, signal },
    );
  } catch (error) {
    signal.throwIfAborted();
    const log = await runCommand(
      kubectl('--namespace', NAMESPACE, 'logs', 'daemonset/cilium', '--container=cilium-agent', '--tail=3'),
    ).catch(messageOf);
    throw new UserError(`Cilium does not make the nodes of cluster ${cluster} Ready`, {
      where: clusterName(run, cluster),
      remedy: `See what its agent said last: ${log.trim().split('\n').join(' | ')}`,
      cause: error,
    });
  }
}
