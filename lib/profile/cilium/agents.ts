/** Questions that the agents of a cluster answer themselves, asked inside their own pods. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { randomBelow } from '../../system/clock.ts';
import { isReady, kubectl } from '../common/clusters.ts';
import { AGENT_CONTAINER, API_SERVER, MESH_CONTAINER, NAMESPACE, SELECTORS } from './names.ts';

const QUESTION_LIMIT_MS = 10_000;

export const podsOf = (
  cluster: KubernetesCluster,
  part: keyof typeof SELECTORS,
): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: NAMESPACE,
    labelSelector: SELECTORS[part],
  });

export const anyReady = async (cluster: KubernetesCluster, part: keyof typeof SELECTORS): Promise<boolean> =>
  (await podsOf(cluster, part)).some(isReady);

/** What one agent says, whichever: of what is the same for all of a cluster. @throws UserError when no agent is ready there */
export const askAgent = (cluster: KubernetesCluster, ...words: readonly string[]): Promise<string> =>
  inAgent(cluster, ['cilium-dbg', ...words]);

/** The same by another program of its image. */
export async function inAgent(
  cluster: KubernetesCluster,
  command: readonly [string, ...string[]],
): Promise<string> {
  const [pod] = await readyAgents(cluster);
  return askPod(cluster, pod, command);
}

/** @throws UserError when there is none */
async function readyAgents(
  cluster: KubernetesCluster,
): Promise<readonly [KubernetesObject, ...KubernetesObject[]]> {
  const [first, ...others] = (await podsOf(cluster, 'agent')).filter(isReady);
  if (first) return [first, ...others];
  throw new UserError(`no agent of Cilium is ready in ${cluster.name}`, {
    where: `namespace ${NAMESPACE}`,
    remedy: `Look at its pods: \`${kubectl(cluster, '-n', NAMESPACE, 'get', 'pods', '-l', SELECTORS.agent)}\``,
  });
}

const askPod = (
  cluster: KubernetesCluster,
  { metadata: { name } }: KubernetesObject,
  command: readonly [string, ...string[]],
): Promise<string> =>
  cluster.objects.exec({ namespace: NAMESPACE, name, container: AGENT_CONTAINER }, command, {
    timeoutMs: QUESTION_LIMIT_MS,
  });

export const nodeNameOf = (pod: KubernetesObject): string =>
  (pod['spec'] as { readonly nodeName?: string } | undefined)?.nodeName ?? '';

/** Another cluster as an agent knows it. */
export interface RemoteCluster {
  readonly name: string;
  readonly ready: boolean;
  /** What it says of the connection. */
  readonly status: string;
  readonly endpoints: number;
  readonly services: number;
  readonly identities: number;
  readonly nodes: number;
}

interface SaidOfCluster {
  readonly name?: string;
  readonly ready?: boolean;
  readonly status?: string;
  readonly 'num-endpoints'?: number;
  readonly 'num-shared-services'?: number;
  readonly 'num-identities'?: number;
  readonly 'num-nodes'?: number;
}

const remoteClusterOf = (one: SaidOfCluster): RemoteCluster => ({
  name: one.name ?? '',
  ready: one.ready ?? false,
  status: one.status ?? '',
  endpoints: one['num-endpoints'] ?? 0,
  services: one['num-shared-services'] ?? 0,
  identities: one['num-identities'] ?? 0,
  nodes: one['num-nodes'] ?? 0,
});

/** Clusters of the mesh besides its own, as an agent says. Pure. @param said `cilium-dbg status --output json` */
export function remoteClustersIn(said: string): readonly RemoteCluster[] {
  const status = JSON.parse(said) as { 'cluster-mesh'?: { clusters?: readonly SaidOfCluster[] } };
  return (status['cluster-mesh']?.clusters ?? []).map(remoteClusterOf);
}

/** Agents asked at once: each starts a program of its own, and all answers come by one API server. */
const ASKED_AT_ONCE = 8;
/** Agents asked at most. Of more every look asks others, beginning anywhere. */
const MOST_ASKED = 100;

/** What one agent says of the clusters besides its own. */
interface AgentSays {
  readonly pod: string;
  readonly node: string;
  readonly clusters: readonly RemoteCluster[];
}

/** What was said by those that were asked. */
export interface AgentsSay {
  readonly said: readonly AgentSays[];
  /** Agents that could have been asked. */
  readonly of: number;
}

/** As many as are to be asked, in a row that begins at one of them and goes round. Pure. */
export const sampleOf = <T>(all: readonly T[], most: number, begin: number): readonly T[] =>
  all.length <= most ? all : [...all, ...all].slice(begin, begin + most);

/**
 * Every agent has connections of its own, so one of them may have lost what all others know.
 * @throws UserError when no agent is ready there, and what is wrong with one that gives no answer
 */
export async function askAgents(cluster: KubernetesCluster): Promise<AgentsSay> {
  const agents = await readyAgents(cluster);
  const asked = sampleOf(agents, MOST_ASKED, randomBelow(agents.length));
  const said: AgentSays[] = [];
  const queue = asked.entries();
  const ask = async (): Promise<void> => {
    for (const [place, pod] of queue) {
      const text = await askPod(cluster, pod, ['cilium-dbg', 'status', '--output', 'json']);
      said[place] = { pod: pod.metadata.name, node: nodeNameOf(pod), clusters: remoteClustersIn(text) };
    }
  };
  await Promise.all(Array.from({ length: Math.min(ASKED_AT_ONCE, asked.length) }, ask));
  return { said, of: agents.length };
}

/** Other clusters as each agent that was asked knows them. */
export const remoteClusters = async (
  cluster: KubernetesCluster,
): Promise<readonly (readonly RemoteCluster[])[]> =>
  (await askAgents(cluster)).said.map(({ clusters }) => clusters);

/**
 * The store that news of a cluster is read from, by its id: each that starts has another. Undefined while there is no
 * connection, or where agents of before 1.17 do not say. Pure.
 */
export const storeOf = (clusters: readonly RemoteCluster[], name: string): string | undefined => {
  const known = clusters.find((one) => one.name === name);
  return known?.ready ? /\bID: ([0-9a-f]+)/.exec(known.status)?.[1] : undefined;
};

/** What fetches the state of the others says of them, nothing while it does not run; undefined where agents fetch it themselves. */
export async function fetchedClusters(
  cluster: KubernetesCluster,
): Promise<readonly RemoteCluster[] | undefined> {
  const pod = (await podsOf(cluster, 'apiServer')).find(isReady);
  if (!pod) return [];
  const where = { namespace: NAMESPACE, name: pod.metadata.name, container: MESH_CONTAINER };
  const command = [API_SERVER, 'kvstoremesh-dbg', 'status', '--output', 'json'] as const;
  const said = await cluster.objects
    .exec(where, command, { timeoutMs: QUESTION_LIMIT_MS })
    .catch(() => undefined);
  return said === undefined ? undefined : (JSON.parse(said) as readonly SaidOfCluster[]).map(remoteClusterOf);
}
