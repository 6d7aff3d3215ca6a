/** The check of the suite `policy` that watches workloads while they are new. */
import { GOVERNED_CALLER, GOVERNED_TARGET, governed, newcomerLike } from '../fixtures/policy.ts';
import { DENY_HOLDS_MS, DISCOVERY_MS } from '../lib/model/budgets.ts';
import { type PairContext, type Site, defineCheck } from '../lib/model/check.ts';
import { SERVICE_CLASSES } from '../lib/model/cluster.ts';
import { type CellExpectation, expectedOfPolicy } from '../lib/model/intent.ts';
import type { Outcome } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';
import { PORTS, type Protocol } from '../lib/model/workload.ts';
import { callCommand } from './support/calls.ts';
import { peerOf } from './support/cells.ts';

/** What is refused in silence costs this at every look; what is allowed may take its time on a busy machine. */
const TIMEOUT_MS: Readonly<Record<CellExpectation, number>> = { allow: 2_000, deny: 500, inexpressible: 500 };
const LOOK_MS = 100;

const FLOWS: readonly { readonly port: number; readonly protocol: Protocol }[] = [
  { port: PORTS.echo, protocol: 'tcp' },
  { port: PORTS.echoAlternate, protocol: 'udp' },
];

interface Flow {
  readonly port: number;
  readonly protocol: Protocol;
  readonly expected: CellExpectation;
}

/** Somebody new at one end of the same flows: pods cost more than calls, so one of them is at either end. */
interface Newcomer {
  readonly end: 'caller' | 'target';
  readonly source: string;
  /** Cluster of the target; absent in records of before it could be either. */
  readonly into?: string;
  readonly address: string;
  readonly flows: readonly Flow[];
  /** Each look: milliseconds since the newcomer was ready, and how each flow ended. */
  readonly looks: readonly { readonly atMs: number; readonly outcomes: readonly Outcome[] }[];
}

interface Newcomers {
  readonly from: string;
  readonly to: string;
  readonly newcomers: readonly Newcomer[];
}

async function watch(
  context: PairContext,
  end: Newcomer['end'],
  { caller, target }: { readonly caller: Site; readonly target: Site },
  budgets: { readonly known: number; readonly holds: number },
): Promise<Newcomer> {
  const { standingPolicies, policySemantics } = context;
  const flows = FLOWS.map((flow) => ({
    ...flow,
    expected: expectedOfPolicy(standingPolicies, policySemantics, {
      from: peerOf(caller),
      to: peerOf(target),
      ...flow,
    }),
  }));
  const calls = flows.map(({ port, protocol, expected }) => ({
    port,
    protocol,
    address: target.address,
    timeoutMs: TIMEOUT_MS[expected],
  }));
  const began = context.elapsed();
  const looks: { atMs: number; outcomes: Outcome[] }[] = [];
  let calmSince: number | undefined;
  await context.converge(
    async () => {
      const atMs = context.elapsed() - began;
      const outcomes = (await caller.exchange(calls)).map(({ outcome }) => outcome);
      looks.push({ atMs, outcomes });
      const isAsPoliciesSay = flows.every(
        ({ expected }, index) => (expected === 'allow') === (outcomes[index] === 'answered'),
      );
      calmSince = isAsPoliciesSay ? (calmSince ?? atMs) : undefined;
      return calmSince;
    },
    {
      succeeded: (since) => since !== undefined && context.elapsed() - began - since >= budgets.holds,
      budgetMs: budgets.known + budgets.holds,
      successes: 1,
      intervalMs: LOOK_MS,
    },
  );
  const source = `${caller.cluster}/${caller.key}`;
  return { end, source, into: target.cluster, address: target.address, flows, looks };
}

/** Milliseconds until the last look at which a flow that is allowed was refused; undefined: it never passed. */
export function passedAfter({ flows, looks }: Newcomer): number | undefined {
  const index = flows.findIndex(({ expected }) => expected === 'allow');
  const last = looks.findLastIndex(({ outcomes }) => outcomes[index] !== 'answered');
  return looks[last + 1]?.atMs;
}

/** Milliseconds from the first to the last look at which a flow that is refused passed; undefined: it never did. */
export function openFor({ flows, looks }: Newcomer): number | undefined {
  const refused = flows.flatMap(({ expected }, index) => (expected === 'deny' ? [index] : []));
  const open = looks.filter(({ outcomes }) => refused.some((index) => outcomes[index] === 'answered'));
  const [first, last] = [open[0], open.at(-1)];
  return first && last && last.atMs - first.atMs;
}

const END = { caller: 'a new caller', target: 'a new target' } as const;

export const ofNewcomers = defineCheck({
  id: 'policy.newcomers',
  title: 'Policies hold for a workload from its first moment, and other clusters soon know who it is',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['l3.pod', 'l4.udp', 'policy', 'endpoint-discovery'],
  dependsOn: ['policy.truth-table'],
  uses: [governed],
  mostlyWaits: true,
  budgets: { known: DISCOVERY_MS, holds: DENY_HOLDS_MS },
  faults: [
    { kind: 'policy-ignored', cause: 'policy-not-enforced' },
    { kind: 'policy-added', cause: 'policy-too-strict' },
  ],
  hint: 'How long does the CNI take to give a new pod its rules, and its identity to the other clusters?',
  reference: 'Kubernetes, Network Policies: "Pod lifecycle"',
  timeoutMs: 180_000,

  async observe(context, budgets): Promise<Newcomers> {
    const { from, to } = context;
    const site = await context.startWorkload(newcomerLike(GOVERNED_TARGET, from.name), to.name);
    const newcomers = await Promise.all([
      watch(context, 'target', { caller: from.site(GOVERNED_CALLER), target: site }, budgets),
      watch(context, 'caller', { caller: site, target: from.site(GOVERNED_TARGET) }, budgets),
    ]);
    return { from: from.name, to: to.name, newcomers };
  },

  judge({ to, newcomers }, { known }): Verdict {
    if (newcomers.length < 2 || newcomers.some(({ looks }) => looks.length === 0)) {
      return inconclusive('probe-failed', 'The newcomer was not watched at both ends');
    }
    const wanted = newcomers.flatMap(({ flows }) => flows.map(({ expected }) => expected));
    if (wanted.includes('inexpressible')) return skipped('This technology cannot express such a policy');
    if (!wanted.includes('allow') || !wanted.includes('deny')) {
      return inconclusive(
        'control-failed',
        'The policies that stand allow or refuse everything, so they prove nothing',
      );
    }
    const figures: Figures = Object.fromEntries(
      newcomers.flatMap((newcomer) => {
        const after = passedAfter(newcomer);
        return after === undefined ? [] : [[`${newcomer.end} known after`, { value: after, unit: 'ms' }]];
      }),
    );
    for (const newcomer of newcomers) {
      const { end, source, into = to, address, flows } = newcomer;
      const way = `from ${source.split('/')[0]} to ${into}`;
      const reproduce = (kind: CellExpectation) => {
        const flow = flows.find(({ expected }) => expected === kind) as Flow;
        return { at: source, command: callCommand(flow.protocol, address, flow.port) };
      };
      const open = openFor(newcomer);
      if (open !== undefined) {
        return failed('policy-not-enforced', `What policies forbid ${END[end]} passes while it is new`, {
          expected: `refused ${way} from the first moment`,
          seen: `answered for ${Math.round(open)} ms`,
          figures,
          reproduce: reproduce('deny'),
        });
      }
      const after = passedAfter(newcomer);
      if (after === undefined || after > known) {
        return failed('policy-too-strict', `What policies allow ${END[end]} is refused`, {
          expected: `answered ${way} within ${known / 1_000} s`,
          seen: after === undefined ? 'never answered' : `after ${Math.round(after)} ms`,
          figures,
          reproduce: reproduce('allow'),
        });
      }
    }
    return passed('policies held from the first moment', figures);
  },
});
