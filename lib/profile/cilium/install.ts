/** Installs Cilium, as CNI and as mesh, into clusters that this program made without a CNI. */
import { mapFamilies } from '../../model/addressing.ts';
import type { Fleet, KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { reachableFrom } from '../../model/topology.ts';
import { type Step, inEach, untold } from '../../model/steps.ts';
import { systemClock, within } from '../../system/clock.ts';
import { CommandError } from '../../system/commands.ts';
import { helmUpgrade } from '../../system/kubernetes/helm.ts';
import { type Authority, createRoot, validFor } from '../common/certificates.ts';
import { isReady, kubectl } from '../common/clusters.ts';
import { podTimes } from '../common/podTimes.ts';
import { podsOf, remoteClusters } from './agents.ts';
import { CHART, NAMESPACE, RELEASE } from './names.ts';
import { serveNames } from './dns.ts';
import { CACHE_TTL_MS, type CiliumOptions, PROBE_RATIO } from './options.ts';
import { type Member, meshValues } from './values.ts';

/** With the pull of its images over a slow line. */
const INSTALL_LIMIT_MS = 5 * 60_000;
/** From agents that run to agents that know all other clusters. */
const SYNC_LIMIT_MS = 180_000;
const POLL_MS = 500;
const AUTHORITY_DAYS = 1_095;

/** @throws UserError when helm fails, or a cluster never gets to know another */
export async function installCilium(
  fleet: Fleet,
  clusters: readonly KubernetesCluster[],
  options: CiliumOptions,
  step: Step = untold,
): Promise<void> {
  const now = new Date(systemClock.now());
  const [authority, members] = await Promise.all([
    // Its key goes to the chart and is kept nowhere else.
    createRoot(`Cilium of run ${fleet.run}`, validFor(AUTHORITY_DAYS, now)),
    Promise.all(clusters.map(memberOf)),
  ]);
  await inEach(clusters, step, 'helm upgrade', (cluster) =>
    installIn(cluster, fleet, members, authority, options),
  );
  await Promise.all(
    clusters.map((cluster) => untilMeshed(cluster, reachableFrom(fleet.topology, cluster.name), step)),
  );
  if (options.ciliumSharing === 'mcs-api')
    await inEach(clusters, step, 'names of the clusterset served', serveNames);
}

/** Its address is that of a node, which needs nobody to carry it. */
function apiServerOf({ apiServer }: KubernetesCluster): { host: string; port: number } {
  const { hostname, port } = new URL(apiServer);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

async function memberOf(cluster: KubernetesCluster): Promise<Member> {
  const nodes = await cluster.nodes();
  return {
    name: cluster.name,
    addresses: nodes.flatMap(({ addresses: { ipv4, ipv6 } }) => ipv4 ?? ipv6 ?? []),
  };
}

async function installIn(
  cluster: KubernetesCluster,
  { families, plan, topology, nodeMtu }: Fleet,
  members: readonly Member[],
  authority: Authority,
  options: CiliumOptions,
): Promise<void> {
  const { tuning, ciliumSharing, ciliumRouting, ciliumKubeProxy, ciliumEncryption } = options;
  const { images, tools, charts } = options;
  const chart = charts['cilium'] ?? CHART;
  const probeRatio = PROBE_RATIO[tuning];
  const pools = mapFamilies({ ipv4: plan.pool, ipv6: plan.ipv6Pool }, (pool) => pool);
  const routed = Object.fromEntries(families.map((family) => [family, pools[family]]));
  try {
    await helmUpgrade({
      helm: tools['helm'] ?? 'helm',
      name: RELEASE,
      chart,
      namespace: NAMESPACE,
      kubeconfig: cluster.kubeconfig,
      values: meshValues({
        name: cluster.name,
        members,
        joined: reachableFrom(topology, cluster.name),
        authority,
        families,
        routed,
        images,
        routing: ciliumRouting,
        encrypted: ciliumEncryption === 'wireguard',
        ...(nodeMtu !== undefined && { nodeMtu }),
        ...(ciliumKubeProxy === 'replaced' && { apiServer: apiServerOf(cluster) }),
        cacheTtlMs: CACHE_TTL_MS[tuning],
        ...(probeRatio !== undefined && { probeRatio }),
        sharing: ciliumSharing,
      }),
      timeoutMs: INSTALL_LIMIT_MS,
    });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new UserError(
      error.notFound
        ? 'helm is not installed'
        : `Cilium cannot be installed in ${cluster.name}: ${error.output.trim().split('\n').at(-1)}`,
      {
        where: error.notFound ? 'PATH, tools.helm' : `helm chart ${chart}`,
        remedy: error.notFound
          ? 'Install helm, or name it as `tools: { helm: … }` in mcnet.yaml'
          : "Add the repository as Cilium's documentation says (`helm repo add cilium …`), or name a folder or archive: `charts: { cilium: /path/to/chart }` in mcnet.yaml",
        cause: error,
      },
    );
  }
}

/** Ready nodes, and agents each of which knows every cluster that theirs is joined with. */
async function untilMeshed(cluster: KubernetesCluster, others: readonly string[], step: Step): Promise<void> {
  const pods = kubectl(cluster, '-n', NAMESPACE, 'get', 'pods');
  const running = await step({ what: 'agent ready', cluster: cluster.name }, (note) =>
    within(
      INSTALL_LIMIT_MS,
      async () => {
        const agents = await podsOf(cluster, 'agent');
        note(podTimes(agents));
        return agents.length > 0 && agents.every(isReady);
      },
      POLL_MS,
    ),
  );
  if (!running) {
    throw new UserError(`Cilium does not become ready in ${cluster.name}`, {
      where: `namespace ${NAMESPACE}`,
      remedy: `See \`${pods}\` and the log of its agent`,
    });
  }
  let seen = 'none';
  const areKnown = async (): Promise<boolean> => {
    const agents = await remoteClusters(cluster).catch(() => []);
    const shown = agents
      .flat()
      .toSorted((a, b) => Number(a.ready) - Number(b.ready))
      .map(({ name, ready, status }) => `${name} ${ready ? 'ready' : status}`);
    seen = [...new Set(shown)].join(', ') || 'none';
    return (
      agents.length > 0 &&
      agents.every((known) => others.every((name) => known.some((one) => one.name === name && one.ready)))
    );
  };
  const known = await step({ what: 'other clusters known', cluster: cluster.name }, async (note) => {
    const soon = await within(SYNC_LIMIT_MS, areKnown, POLL_MS);
    note(podTimes(await podsOf(cluster, 'apiServer').catch(() => [])));
    return soon;
  });
  if (known) return;
  throw new UserError(`${cluster.name} does not get to know the other clusters`, {
    where: `clusters there: ${seen}`,
    remedy: `Can its pods reach the node port of the other Cluster Mesh API servers? See \`${pods}\` and the log of kvstoremesh`,
  });
}
