/**
 * What agents say of nodes: each probes every node that it knows and the health endpoint on it, by ICMP and HTTP.
 * https://docs.cilium.io/en/stable/operations/troubleshooting/#checking-cluster-connectivity-health
 */
import type { KubernetesCluster, NodeHealth, NodePath } from '../../model/cluster.ts';
import { isReady } from '../common/clusters.ts';
import { nodeNameOf, podsOf } from './agents.ts';
import { durationMs } from './configuration.ts';
import { AGENT_CONTAINER, NAMESPACE } from './names.ts';

const QUESTION_LIMIT_MS = 15_000;

/** One way by which a node is probed. */
interface Probed {
  /** `Endpoint 10.0.0.7, HTTP to agent`. */
  readonly what: string;
  /** `OK, RTT=1.2ms`, or what went wrong. */
  readonly status: string;
}

interface NodeSeen {
  /** With its cluster: `west/node`. */
  readonly name: string;
  readonly probed: readonly Probed[];
}

interface HealthSaid {
  readonly everyMs?: number;
  readonly nodes: readonly NodeSeen[];
}

/**
 * Nodes as an agent says; undefined where it probes none. Pure. In words, since the agent's own program for people is the
 * only one that every image has (`cilium-health`, which speaks JSON, is not in all).
 * @param said `cilium-dbg status --verbose`
 */
export function healthIn(said: string): HealthSaid | undefined {
  const lines = said.split('\n');
  const begin = lines.findIndex((line) => line.startsWith('Cluster health:'));
  if (begin === -1 || /disabled/i.test(lines[begin] ?? '')) return undefined;
  const interval = /Probe interval: ([^)]+)\)/.exec(lines[begin] ?? '')?.[1];
  const nodes: { name: string; probed: Probed[] }[] = [];
  let place = '';
  for (const line of lines.slice(begin + 1)) {
    // What follows speaks of something else.
    if (/^\S/.test(line) && !line.startsWith('Name')) break;
    const node = /^ {2}(\S+)(?: \(localhost\))?:\s*$/.exec(line)?.[1];
    const path = /^ {4}(.+?) connectivity(?: to (\S+?))?:/.exec(line);
    const result = /^ {6}(.+?):\s+(.*)$/.exec(line);
    if (node !== undefined) nodes.push({ name: node, probed: [] });
    else if (path) place = [path[1], path[2]].filter(Boolean).join(' ');
    else if (result) {
      nodes.at(-1)?.probed.push({
        what: `${place}, ${result[1]}`,
        status: (result[2] ?? '').trim().replaceAll(/\s+/g, ' '),
      });
    }
  }
  return { nodes, ...(interval !== undefined && { everyMs: durationMs(interval) }) };
}

const probedAt = ({ status }: Probed): number =>
  Date.parse(/\(Last probed: ([^)]+)\)/.exec(status)?.[1] ?? '');

/** What the agent of one node says of nodes of another cluster. Pure. */
export function pathsTo(cluster: string, from: string, { nodes }: HealthSaid): readonly NodePath[] {
  const prefix = `${cluster}/`;
  return nodes
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name, probed }) => {
      const bad = probed.filter(({ status }) => !status.startsWith('OK'));
      const times = (bad.length > 0 ? bad : probed).map(probedAt).filter((at) => !Number.isNaN(at));
      const shown = (bad.length > 0 ? bad : probed)
        .map(({ what, status }) => `${what}: ${status}`)
        .join('; ');
      return {
        from,
        to: name.slice(prefix.length),
        ...(probed.length > 0 && { reachable: bad.length === 0 }),
        ...(times.length > 0 && { probedAt: bad.length > 0 ? Math.max(...times) : Math.min(...times) }),
        said: shown,
      };
    });
}

/** What every agent of `from` says of the nodes of `to`. */
export async function nodeHealthOf(from: KubernetesCluster, to: string): Promise<NodeHealth> {
  const pods = (await podsOf(from, 'agent')).filter(isReady);
  const said = await Promise.all(
    pods.map(async (pod) => {
      const where = { namespace: NAMESPACE, name: pod.metadata.name, container: AGENT_CONTAINER };
      const command = ['cilium-dbg', 'status', '--verbose'] as const;
      const text = await from.objects.exec(where, command, { timeoutMs: QUESTION_LIMIT_MS });
      return { node: nodeNameOf(pod), health: healthIn(text) };
    }),
  );
  if (said.length > 0 && said.every(({ health }) => health === undefined)) {
    return { paths: [], off: `Agents of ${from.name} do not probe nodes (healthChecking is off)` };
  }
  const everyMs = Math.max(0, ...said.map(({ health }) => health?.everyMs ?? 0));
  return {
    paths: said.flatMap(({ node, health }) => (health ? pathsTo(to, node, health) : [])),
    ...(everyMs > 0 && { everyMs }),
  };
}
