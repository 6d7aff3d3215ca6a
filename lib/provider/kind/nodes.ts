/** Leads the packets of nodes and pods to the gateway, and back. */
import type { KubernetesCluster, KubernetesNode } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { systemClock } from '../../system/clock.ts';
import { runCommand } from '../../system/commands.ts';
import type { KindFleetState } from './context.ts';
import { docker, insideContainer } from './docker.ts';
import { nodeLabel } from './names.ts';
import { renderGatewayRoutes, renderNodeRoutes } from './routes.ts';

/** The controller manager gives each node its block of pods within seconds of its joining. */
const RANGES_MS = 60_000;
const POLL_MS = 250;

/** Names of the containers that are the nodes of a cluster. */
export async function nodeContainers(run: string, cluster: string): Promise<string[]> {
  const shown = await docker([
    'ps',
    '--filter',
    `label=${nodeLabel(run, cluster)}`,
    '--format',
    '{{.Names}}',
  ]);
  return shown.split('\n').filter(Boolean);
}

export async function connectNodes(
  cluster: KubernetesCluster,
  state: KindFleetState,
  signal: AbortSignal,
): Promise<void> {
  const { run, plan, families, podRoutes } = state;
  const gateway = cluster.gateway;
  const script = renderNodeRoutes({
    plan,
    families,
    cluster: cluster.name,
    gateway: gateway.nodeAddresses,
    podRoutes,
  });
  const nodes = podRoutes ? await nodesWithRanges(cluster, signal) : [];
  const containers = await nodeContainers(run, cluster.name);
  await Promise.all([
    ...containers.map((name) => runCommand(insideContainer(name, ['sh', '-e', '-s']), { input: script })),
    gateway.exec(['sh', '-e', '-s'], { input: renderGatewayRoutes(nodes, families) }),
  ]);
}

/** A cluster of one node has all its pods there, whatever block of the range the node gets. */
async function nodesWithRanges(
  cluster: KubernetesCluster,
  signal: AbortSignal,
): Promise<readonly Pick<KubernetesNode, 'addresses' | 'podRanges'>[]> {
  const end = systemClock.monotonic() + RANGES_MS;
  for (;;) {
    const nodes = await cluster.nodes();
    const [only] = nodes;
    if (only && nodes.length === 1) return [{ ...only, podRanges: cluster.ranges.pods }];
    if (nodes.length > 0 && nodes.every(({ podRanges }) => Object.keys(podRanges).length > 0)) return nodes;
    if (systemClock.monotonic() > end) {
      throw new UserError(`Not every node of cluster ${cluster.name} has got a block of the pod range`, {
        where: `cluster ${cluster.name}`,
        remedy: 'The pod range may be too small for so many nodes: see `addressing:` in mcnet.yaml',
      });
    }
    await systemClock.sleep(POLL_MS, signal);
  }
}
