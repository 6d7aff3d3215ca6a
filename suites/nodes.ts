import { APP_NAMESPACE, CLIENT, client, echo } from '../fixtures/workloads.ts';
import { type PairContext, type Site, defineCheck } from '../lib/model/check.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { CALL_TIMEOUT_MS, callCommand, countOutcomes, malformed } from './support/calls.ts';

/** Of each cluster, in the order of its API server; the figures say of how many. */
const MOST_NODES = 8;
/** Of callers and targets; beyond it each node calls as many as it takes to tell a bad caller from a bad target. */
const MOST_PATHS = 16;
const TRIES = 3;

/** One node calling another. */
interface NodePath {
  readonly caller: string;
  readonly target: string;
  readonly address: string;
  readonly exchanges: readonly Exchange[];
}

interface NodePaths {
  readonly from: string;
  readonly to: string;
  /** Nodes that take workloads, tried or not. */
  readonly nodes: { readonly from: number; readonly to: number };
  readonly paths: readonly NodePath[];
}

interface Placed {
  readonly node: string;
  readonly site: Site;
}

/** A workload on each node, for the length of the case. @param role part of their names: other pairs have theirs */
const placeOn = (
  context: PairContext,
  cluster: string,
  nodes: readonly string[],
  role: string,
): Promise<readonly Placed[]> =>
  Promise.all(
    nodes.map(async (node, index) => {
      const name = `${role}-${index + 1}`;
      const spec = { namespace: APP_NAMESPACE, name, labels: { app: name }, node };
      return { node, site: await context.startWorkload(spec, cluster) };
    }),
  );

/** Indices of targets for each caller: all, or two neighbours, so that every node is called by two and calls two. */
export function sampleTargets(callers: number, targets: number): readonly (readonly number[])[] {
  const all = Array.from({ length: targets }, (_, index) => index);
  return Array.from({ length: callers }, (_, caller) => {
    if (callers * targets <= MOST_PATHS) return all;
    const wanted = Math.max(2, Math.ceil((2 * targets) / callers));
    return all.map((offset) => (caller + offset) % targets).slice(0, wanted);
  });
}

const isWhole = ({ exchanges }: NodePath): boolean =>
  exchanges.every(({ outcome }) => outcome === 'answered');

/** Nodes that fail in each of their paths, where not all do. */
function culprits(paths: readonly NodePath[], end: 'caller' | 'target'): string[] {
  const byNode = Map.groupBy(paths, (path) => path[end]);
  const bad = [...byNode].filter(([, own]) => !own.some(isWhole)).map(([node]) => node);
  return bad.length < byNode.size ? bad : [];
}

export const everyNode = defineCheck({
  id: 'reachability.nodes',
  title: 'Every node of a cluster reaches every node of another: a single bad one is named',
  level: 'extended',
  scope: 'pair',
  requires: ['l3.pod', 'nodes'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  faults: [{ kind: 'node-cut', cause: 'node-cut' }],
  hint: 'On that node: routes to the other clusters, firewall, and the health of its CNI agent; then the gateway’s route to its pod range',
  reference: 'Kubernetes network model: pods reach all other pods without NAT',
  timeoutMs: 180_000,

  async observe(context): Promise<NodePaths> {
    const { from, to } = context;
    const [here, there] = await Promise.all([context.nodes(from.name), context.nodes(to.name)]);
    const facts = { from: from.name, to: to.name, nodes: { from: here.length, to: there.length } };
    if (here.length < 2 && there.length < 2) return { ...facts, paths: [] };
    const [callers, targets] = await Promise.all([
      placeOn(context, from.name, here.slice(0, MOST_NODES), `caller-of-${to.name}`),
      placeOn(context, to.name, there.slice(0, MOST_NODES), `target-of-${from.name}`),
    ]);
    const sampled = sampleTargets(callers.length, targets.length);
    const paths = await Promise.all(
      callers.flatMap((caller, index) =>
        (sampled[index] ?? []).map(async (other): Promise<NodePath> => {
          const target = targets[other] as Placed;
          const { address } = target.site;
          const call = { protocol: 'tcp' as const, address, port: PORTS.echo, timeoutMs: CALL_TIMEOUT_MS };
          const exchanges = await caller.site.exchange(Array.from({ length: TRIES }, () => call));
          return { caller: caller.node, target: target.node, address, exchanges };
        }),
      ),
    );
    return { ...facts, paths };
  },

  judge({ from, to, nodes, paths }): Verdict {
    if (nodes.from < 2 && nodes.to < 2)
      return skipped(`${from} and ${to} have one node each that takes workloads`);
    const broken = malformed(
      paths.flatMap(({ exchanges }) => exchanges),
      Math.max(1, paths.length * TRIES),
    );
    if (broken) return broken;
    const figures: Figures = {
      'nodes that call': { value: new Set(paths.map(({ caller }) => caller)).size, unit: `of ${nodes.from}` },
      'nodes that are called': {
        value: new Set(paths.map(({ target }) => target)).size,
        unit: `of ${nodes.to}`,
      },
    };
    const cut = paths.filter((path) => !isWhole(path));
    const [first] = cut;
    if (!first) return passed(`${paths.length} paths between nodes`, figures);
    if (cut.length === paths.length) {
      return inconclusive(
        'control-failed',
        `No node of ${from} reaches any of ${to}: it is not one that is bad`,
        {
          figures,
        },
      );
    }
    const named = [
      ...culprits(paths, 'caller').map((node) => `${node} (${from})`),
      ...culprits(paths, 'target').map((node) => `${node} (${to})`),
    ];
    const shown = cut
      .map(({ caller, target, exchanges }) => `${caller} to ${target}: ${countOutcomes(exchanges)}`)
      .join('; ');
    return failed(
      'node-cut',
      named.length > 0
        ? `Bad: ${named.join(', ')}; other nodes reach each other`
        : `${cut.length} of ${paths.length} paths between nodes are cut, and no single node is the reason`,
      {
        expected: `all ${paths.length} paths between nodes pass`,
        seen: shown,
        figures,
        reproduce: {
          at: `${from}/${CLIENT}`,
          command: callCommand('tcp', first.address, PORTS.echo),
        },
      },
    );
  },
});
