/** Cilium as the CNI of clusters that kind creates without one: https://docs.cilium.io/en/stable/installation/kind/ */
import type { ProviderOptions } from '../../model/cluster.ts';
import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import { runCommand } from '../../system/commands.ts';
import { removePath } from '../../system/files.ts';
import type { KindDependencies } from './context.ts';
import { insideContainer } from './docker.ts';
import { lastWords, loadImages, saveImages } from './images.ts';
import { clusterName, controlPlaneName, kubeconfigFile } from './names.ts';

/** As Cilium's documentation has it, once its repository is added to helm under this name. */
const CHART = 'cilium/cilium';
const NAMESPACE = 'kube-system';
/** With the pull of its images over a slow line, which the nodes wait for. */
const INSTALL_MS = 5 * 60_000;
const SLACK_MS = 10_000;
/** Keys of `images:`. */
const IMAGES = ['ciliumAgent', 'ciliumOperator'] as const;

/** The chart's without SYS_MODULE and SYS_RESOURCE, which a machine that is itself a container may lack. */
const CAPABILITIES = {
  ciliumAgent: [
    ...['CHOWN', 'KILL', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'SYS_ADMIN', 'DAC_OVERRIDE', 'FOWNER'],
    ...['SETGID', 'SETUID', 'SYSLOG'],
  ],
  mountCgroup: ['SYS_ADMIN', 'SYS_CHROOT', 'SYS_PTRACE'],
  applySysctlOverwrites: ['SYS_ADMIN', 'SYS_CHROOT', 'SYS_PTRACE'],
  cleanCiliumState: ['NET_ADMIN', 'SYS_ADMIN'],
};

export interface CiliumWish {
  readonly families: readonly IpFamily[];
  /** What pods reach by their own address, in any cluster. */
  readonly routed: PerFamily<string>;
  /** As the user names them; absent: the chart's own. */
  readonly images: KindDependencies['images'];
}

/**
 * Values for the chart. Pods are routed, not tunnelled, since the gateways carry them on; NetworkPolicy is enforced, and
 * what needs an Envoy of Cilium's own stays off.
 */
export function ciliumValues({ families, routed, images }: CiliumWish): object {
  const [agent, operator] = IMAGES.map((name) => {
    const image = images[name];
    return image === undefined ? {} : { image: { override: image, pullPolicy: 'IfNotPresent' } };
  });
  return {
    ...agent,
    ipam: { mode: 'kubernetes' },
    ipv4: { enabled: families.includes('ipv4') },
    ipv6: { enabled: families.includes('ipv6') },
    routingMode: 'native',
    autoDirectNodeRoutes: true,
    ...(routed.ipv4 !== undefined && { ipv4NativeRoutingCIDR: routed.ipv4 }),
    ...(routed.ipv6 !== undefined && { ipv6NativeRoutingCIDR: routed.ipv6 }),
    kubeProxyReplacement: 'false',
    // Plug-ins that a mesh chains behind it stay.
    cni: { exclusive: false },
    l7Proxy: false,
    envoy: { enabled: false },
    hubble: { enabled: false },
    operator: { replicas: 1, ...operator },
    securityContext: { capabilities: CAPABILITIES },
  };
}

/** Installs it and waits until every node is Ready. @throws UserError when helm, its chart or the pods fail */
export async function installCilium(
  options: ProviderOptions,
  cluster: string,
  dependencies: KindDependencies,
): Promise<void> {
  const { run, families, plan, signal } = options;
  await loadMissing(options, cluster, dependencies);
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
    await runCommand(
      [
        dependencies.tools['helm'] ?? 'helm',
        ...['upgrade', '--install', 'cilium', chart],
        ...['--kubeconfig', kubeconfigFile(run, cluster), '--namespace', NAMESPACE],
        ...['--values', '-'],
      ],
      { input: JSON.stringify(values), timeoutMs: INSTALL_MS, signal, withDescendants: true },
    );
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

/** Images that the user names and the node image does not bring. */
async function loadMissing(
  options: ProviderOptions,
  cluster: string,
  dependencies: KindDependencies,
): Promise<void> {
  const { run, signal } = options;
  const named = IMAGES.flatMap((name) => dependencies.images[name] ?? []);
  if (named.length === 0) return;
  const listed = await runCommand(
    insideContainer(controlPlaneName(run, cluster), [
      'ctr',
      '--namespace',
      'k8s.io',
      'images',
      'list',
      '--quiet',
    ]),
    { signal },
  );
  const present = listed.split('\n');
  const missing = named.filter((name) => !present.some((one) => one === name || one.endsWith(`/${name}`)));
  const archive = await saveImages(missing, options, `cilium-${cluster}`);
  if (!archive) return;
  await loadImages(run, cluster, archive, dependencies, signal);
  await removePath(archive.file);
}
