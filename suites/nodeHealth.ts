/** What a technology says of nodes of other clusters, beside what workloads on them find. */
import { APP_NAMESPACE, CLIENT, ECHO, client, echo } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS } from '../lib/model/budgets.ts';
import { type PairContext, type Site, defineCheck } from '../lib/model/check.ts';
import { type NodePath, SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { CALL_TIMEOUT_MS, callCommand, countOutcomes, malformed } from './support/calls.ts';

/** Of the called cluster, in the order of its API server; the figures say of how many. */
const MOST_NODES = 8;
const TRIES = 3;
const LOOK_MS = 2_000;
/** A node may have been probed just before something changed, and the next probe takes its time. */
const ROUNDS = 2;
/** Large fleets are probed so rarely that nobody would wait for it. */
const LONGEST_WAIT_MS = 270_000;

/** A workload on a node of the called cluster. */
interface Called {
  readonly node: string;
  readonly address: string;
  readonly exchanges: readonly Exchange[];
}

interface HealthSeen {
  readonly from: string;
  readonly to: string;
  /** Where the caller runs. */
  readonly node: string;
  /** Of the called cluster, that take workloads. */
  readonly nodes: number;
  readonly called: readonly Called[];
  /** What the caller's node says. */
  readonly said: readonly NodePath[];
  readonly everyMs?: number;
  readonly off?: string;
  /** Until words and traffic were the same, or the observation ended. */
  readonly elapsedMs: number;
}

type State = 'alive' | 'dead' | 'between';

function stateOf({ exchanges }: Called): State {
  const answered = exchanges.filter(({ outcome }) => outcome === 'answered').length;
  if (answered === exchanges.length) return 'alive';
  return answered === 0 ? 'dead' : 'between';
}

const saidOf = (node: string, said: readonly NodePath[]): NodePath | undefined =>
  said.find(({ to }) => to === node);

/** A node of which nothing is said does not count as reachable, nor do workloads on it as lost. */
function agrees(called: Called, said: readonly NodePath[]): boolean {
  const reachable = saidOf(called.node, said)?.reachable;
  const state = stateOf(called);
  return state === 'alive' ? reachable === true : state === 'dead' && reachable !== true;
}

/** Whether what is said to be lost was found so after it was first looked at: it may be a word on something older. */
function isAnew(called: Called, said: readonly NodePath[], first: readonly NodePath[]): boolean {
  if (stateOf(called) === 'alive') return true;
  const [now, then] = [said, first].map((paths) => saidOf(called.node, paths)?.probedAt);
  return now === undefined || then === undefined || now > then;
}

/** One workload on each node of the called cluster; that of the fixtures counts for its own. */
async function placed(context: PairContext): Promise<{ sites: readonly Site[]; nodes: number }> {
  const { from, to } = context;
  const standing = to.site(ECHO);
  const all = await context.nodes(to.name);
  const others = all.slice(0, MOST_NODES).filter((node) => node !== standing.node);
  const started = await Promise.all(
    others.map((node, index) => {
      const name = `seen-by-${from.name}-${index + 1}`;
      return context.startWorkload({ namespace: APP_NAMESPACE, name, labels: { app: name }, node }, to.name);
    }),
  );
  return { sites: [standing, ...started], nodes: all.length };
}

export const nodeHealth = defineCheck({
  id: 'discovery.nodes',
  title: 'What nodes say of the nodes of another cluster is what traffic shows',
  level: 'extended',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['l3.pod', 'nodes', 'node-health'],
  dependsOn: ['reachability.tcp'],
  uses: [client, echo],
  budgets: { convergence: CONVERGENCE_MS },
  faults: [
    { kind: 'wan-drop', cause: 'request-lost' },
    { kind: 'workload-cut', cause: 'status-contradicts-traffic' },
    { kind: 'health-probes-refused', cause: 'status-contradicts-traffic' },
  ],
  hint: 'Trust the traffic: then look at what probes of health need (their port, ICMP, policies for their endpoints), and when they were last made',
  reference:
    'https://docs.cilium.io/en/stable/operations/troubleshooting/#checking-cluster-connectivity-health',
  timeoutMs: 360_000,

  async observe(context, { convergence }): Promise<HealthSeen> {
    const { from, to } = context;
    const caller = from.site(CLIENT);
    const { sites, nodes } = await placed(context);
    const began = context.elapsed();
    const look = async () => {
      const called = await Promise.all(
        sites.map(async ({ node = '', address }): Promise<Called> => {
          const call = { protocol: 'tcp' as const, address, port: PORTS.echo, timeoutMs: CALL_TIMEOUT_MS };
          return {
            node,
            address,
            exchanges: await caller.exchange(Array.from({ length: TRIES }, () => call)),
          };
        }),
      );
      const { paths, ...how } = await context.nodeHealth(from.name, to.name);
      return { called, said: paths.filter((path) => path.from === caller.node), ...how };
    };
    const first = await look();
    let seen = first;
    const same = ({ called, said, off }: typeof first): boolean =>
      off !== undefined || called.every((one) => agrees(one, said) && isAnew(one, said, first.said));
    if (!same(seen)) {
      const budgetMs = Math.min(convergence + ROUNDS * (seen.everyMs ?? 0), LONGEST_WAIT_MS);
      const options = { succeeded: same, budgetMs, successes: 1, intervalMs: LOOK_MS };
      ({ last: seen } = await context.converge(look, options));
    }
    const facts = { from: from.name, to: to.name, node: caller.node ?? '', nodes };
    return { ...facts, ...seen, elapsedMs: context.elapsed() - began };
  },

  judge({ from, to, node, nodes, called, said, everyMs, off, elapsedMs }): Verdict {
    if (off !== undefined) return skipped(off);
    const broken = malformed(
      called.flatMap(({ exchanges }) => exchanges),
      Math.max(1, called.length * TRIES),
    );
    if (broken) return broken;
    if (!node || called.some((one) => !one.node)) {
      return inconclusive('probe-failed', 'Nobody knows on which node a workload runs');
    }
    const figures: Figures = {
      'nodes that are called': { value: called.length, unit: `of ${nodes}` },
      ...(everyMs !== undefined && { 'probed every': { value: everyMs, unit: 'ms' } }),
    };
    const wordsOf = (one: Called): string => {
      const { reachable, said: words } = saidOf(one.node, said) ?? {};
      if (words === undefined) return `nothing of ${one.node}`;
      const short = reachable === undefined ? 'not probed' : reachable ? 'reachable' : 'not reachable';
      return `${one.node}: ${short}${words ? ` (${words})` : ''}`;
    };
    const shown = (some: readonly Called[]) => ({
      seen: some
        .map(
          (one) => `${node} says ${wordsOf(one)}; ${countOutcomes(one.exchanges) || 'every call answered'}`,
        )
        .join('; '),
      figures: { ...figures, 'looked for': { value: elapsedMs, unit: 'ms' } },
      reproduce: {
        at: `${from}/${CLIENT}`,
        command: callCommand('tcp', (some[0] as Called).address, PORTS.echo),
      },
    });
    const between = called.filter((one) => stateOf(one) === 'between');
    if (between.length > 0) {
      return failed('packets-lost', `Some calls of ${from} to ${to} were lost, others not`, {
        expected: 'all calls to a workload are answered',
        ...shown(between),
      });
    }
    const contradicted = called.filter((one) => !agrees(one, said));
    const [first] = contradicted;
    if (first) {
      return failed(
        'status-contradicts-traffic',
        stateOf(first) === 'alive'
          ? `Nodes of ${from} do not say that ${first.node} of ${to} is reachable, though a workload on it answers`
          : `Nodes of ${from} say that ${first.node} of ${to} is reachable, though a workload on it never answers`,
        { expected: 'the same from both: reachable and answering, or neither', ...shown(contradicted) },
      );
    }
    const dead = called.filter((one) => stateOf(one) === 'dead');
    if (dead.length > 0) {
      return failed(
        dead.length < called.length ? 'node-cut' : 'request-lost',
        `${dead.map((one) => one.node).join(', ')} of ${to} cannot be reached from ${from}, in words and in traffic`,
        { expected: `workloads on every node of ${to} answer ${from}`, ...shown(dead) },
      );
    }
    return passed(
      `${called.length} nodes of ${to} are reachable from ${from}, in words and in traffic`,
      figures,
    );
  },
});
