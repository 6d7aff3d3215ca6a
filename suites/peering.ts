import {
  clientOf,
  nobody,
  offered,
  offeredService,
  permitted,
  permittedService,
} from '../fixtures/exports.ts';
import { CLIENT, client, shared } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS, DENY_HOLDS_MS, FAILOVER_KEPT_ALIVE_MS } from '../lib/model/budgets.ts';
import { type PairContext, type Suite, defineCheck } from '../lib/model/check.ts';
import type { BrokenLink, ConformanceClass } from '../lib/model/cluster.ts';
import type { Exchange, Sample } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS, type ServiceSpec } from '../lib/model/workload.ts';
import { callCommand, countOutcomes } from './support/calls.ts';
import { told } from './support/links.ts';
import { answerers, callUntilAllAnswer, callsToMeetAll, sameCalls } from './support/services.ts';

const CLASSES: readonly ConformanceClass[] = ['service-peering'];

const SAMPLES_PER_SECOND = 20;
const SAMPLE_TIMEOUT_MS = 2_000;
const SAMPLING_LIMIT_MS = 150_000;
/** A client on kept-alive connections runs this long while all is well, so that it has met the other cluster. */
const STEADY_MS = 1_500;
/** Of kept-alive connections: nothing of the other cluster for this long counts as closed. */
const CALM_MS = 1_000;

/** How a caller fares with the other cluster, by new connections. */
interface Look {
  readonly exchanges: readonly Exchange[];
  /** It came to be as expected in time; by itself, where nothing was expected to change. */
  readonly converged: boolean;
  readonly elapsedMs: number;
}

/** What the client of one cluster sees of a service of another, while this is closed, opened, and closed again. */
interface Passage {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Before it is opened: calls, held for a while. */
  readonly before: readonly Exchange[];
  readonly opened: Look;
  readonly closed: Look;
  readonly held: readonly Exchange[];
  /** On connections that were open all the time, and when on their clock it was closed. */
  readonly keptAlive: readonly Sample[];
  readonly closedAt: number;
  readonly endedAt: number;
  /** Why the other cluster may be out of reach altogether, when it never answered. */
  readonly links: readonly BrokenLink[];
}

interface Door {
  readonly service: ServiceSpec;
  /** Makes sure that it is shut, as nobody has opened it. */
  prepare(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

/** By this many calls chance can no longer explain that the other cluster never answered. */
const CALLS = callsToMeetAll(2);

async function passThrough(
  context: PairContext,
  { service, prepare, open, close }: Door,
  { convergence, holds }: { convergence: number; holds: number },
): Promise<Passage> {
  const { from, to, family } = context;
  const caller = from.site(CLIENT);
  const address = from.sharedService(service).addresses[family] ?? '';
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  const many = () => caller.exchange(sameCalls(call, CALLS), { concurrency: 8 });
  const isAnswered = (exchanges: readonly Exchange[]) => answerers(exchanges).includes(to.name);
  const until = async (wanted: boolean): Promise<Look> => {
    const look = await context.converge(wanted ? () => callUntilAllAnswer(caller, call, [to.name]) : many, {
      succeeded: (exchanges) => isAnswered(exchanges) === wanted,
      budgetMs: convergence,
      successes: 1,
    });
    return { exchanges: look.last, converged: look.converged, elapsedMs: look.elapsedMs };
  };
  await prepare();
  // It may have been open for somebody else a moment ago.
  await until(false);
  const early = await many();
  await context.sleep(holds);
  const before = [...early, ...(await many())];
  await open();
  const opened = await until(true);
  const facts = { from: from.name, to: to.name, address, before, opened };
  if (!opened.converged) {
    const links = await context.brokenLinks(from.name, to.name);
    const closed = { exchanges: [], converged: false, elapsedMs: 0 };
    return { ...facts, closed, held: [], keptAlive: [], closedAt: 0, endedAt: 0, links };
  }
  const sampler = await caller.startSampling({
    address,
    port: PORTS.service,
    ratePerSecond: SAMPLES_PER_SECOND,
    connections: 'keep-alive',
    timeoutMs: SAMPLE_TIMEOUT_MS,
    durationMs: SAMPLING_LIMIT_MS,
  });
  const began = context.elapsed();
  await context.sleep(STEADY_MS);
  const closedAt = context.elapsed() - began;
  await close();
  const closed = await until(false);
  await context.sleep(holds);
  const held = await many();
  const endedAt = context.elapsed() - began;
  const { samples } = await caller.stopSampling(sampler);
  return { ...facts, closed, held, keptAlive: samples, closedAt, endedAt, links: [] };
}

interface Words {
  /** What the caller gets while it is shut, for people: `before it is exported`. */
  readonly before: string;
  readonly open: string;
  readonly after: string;
  readonly early: 'not-shared-but-answered' | 'identity-not-enforced';
}

function judgePassage(
  { from, to, address, before, opened, closed, held, keptAlive, closedAt, endedAt, links }: Passage,
  { before: whenBefore, open: whenOpen, after: whenAfter, early }: Words,
  { keptAlive: budgetMs, convergence }: { keptAlive: number; convergence: number },
): Verdict {
  if (!address) return inconclusive('control-failed', 'The service has no address that could be called');
  if (before.length < 2 * CALLS) {
    return inconclusive('probe-failed', `${before.length} of ${2 * CALLS} calls were reported`);
  }
  const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
  const shown = (exchanges: readonly Exchange[]): string =>
    `answered by ${answerers(exchanges).join(', ') || 'nobody'}${countOutcomes(exchanges) && `, ${countOutcomes(exchanges)}`}`;
  if (answerers(before).includes(to)) {
    return failed(early, `${to} answers ${from} ${whenBefore}`, {
      expected: `no answer of ${to} in ${before.length} calls`,
      seen: shown(before),
      reproduce,
    });
  }
  if (!opened.converged) {
    const [likeliest] = told(links);
    return failed(
      likeliest?.cause ?? 'remote-endpoints-missing',
      likeliest?.what ?? `${to} does not answer ${from} ${whenOpen}`,
      {
        expected: `an answer of ${to} within ${convergence / 1_000} s`,
        seen: `${shown(opened.exchanges)}${links.map(({ what }) => `; ${what}`).join('')}`,
        reproduce,
      },
    );
  }
  const figures: Figures = {
    'until answered': { value: opened.elapsedMs, unit: 'ms' },
    'until refused': { value: closed.elapsedMs, unit: 'ms' },
  };
  if (!closed.converged || answerers(held).includes(to)) {
    return failed(early, `${to} still answers ${from} ${whenAfter}`, {
      expected: `no answer of ${to} any more`,
      seen: closed.converged ? `refused, then ${shown(held)}` : shown(closed.exchanges),
      figures,
      reproduce,
    });
  }
  const answered = keptAlive.filter(({ outcome, cluster }) => outcome === 'answered' && cluster === to);
  if (!answered.some(({ at }) => at < closedAt)) {
    return inconclusive(
      'control-failed',
      `On kept-alive connections ${to} did not answer while it was open either`,
      { figures },
    );
  }
  const last = answered.at(-1) as Sample;
  const afterMs = Math.max(0, last.at + last.latencyMs - closedAt);
  const withLast: Figures = { ...figures, 'until refused, kept-alive': { value: afterMs, unit: 'ms' } };
  if (last.at > endedAt - CALM_MS || afterMs > budgetMs) {
    return failed(early, `${to} still answers ${from} on kept-alive connections ${whenAfter}`, {
      expected: `no answer of ${to} after ${budgetMs / 1_000} s`,
      seen: `answers until ${Math.round(afterMs)} ms after it was closed`,
      figures: withLast,
      reproduce,
    });
  }
  return passed(`nothing of ${to} ${whenBefore}, answers ${whenOpen}, nothing again ${whenAfter}`, withLast);
}

const BUDGETS = { convergence: CONVERGENCE_MS, holds: DENY_HOLDS_MS, keptAlive: FAILOVER_KEPT_ALIVE_MS };

export const exported = defineCheck({
  id: 'peering.export',
  title: 'A service answers another cluster from when its own exports it until that is withdrawn',
  level: 'core',
  scope: 'pair',
  classes: CLASSES,
  requires: ['explicit-export', 'share-service'],
  dependsOn: ['discovery.answers'],
  uses: [client, offered],
  // Whoever calls exports to its callers as well.
  oneAtATime: 'of all',
  budgets: BUDGETS,
  faults: [
    { kind: 'everything-exported', cause: 'not-shared-but-answered' },
    { kind: 'peering-deleted', cause: 'peering-missing' },
  ],
  hint: 'Look at what the called cluster exports to this peer, and at who wrote it; callers may hold connections from before',
  reference: 'https://developer.hashicorp.com/consul/docs/connect/config-entries/exported-services',
  timeoutMs: 240_000,

  async observe(context, budgets) {
    const { from, to } = context;
    const intent = shared(offeredService);
    return passThrough(
      context,
      {
        service: offeredService,
        // Callers are led to every cluster, whether or not it has anything for them.
        prepare: () => context.apply(intent, from.name),
        open: () => context.apply(intent, to.name),
        close: () => context.withdraw(intent, to.name),
      },
      budgets,
    );
  },

  judge: (observed, budgets) =>
    judgePassage(
      observed,
      {
        before: 'before it exports the service',
        open: 'after it has exported the service',
        after: 'after it has withdrawn the export',
        early: 'not-shared-but-answered',
      },
      budgets,
    ),
});

export const permission = defineCheck({
  id: 'peering.permission',
  title: 'An exported service answers a caller of another cluster while a policy names it, and only then',
  level: 'core',
  scope: 'pair',
  classes: CLASSES,
  requires: ['explicit-export', 'share-service', 'mtls'],
  dependsOn: ['discovery.answers'],
  uses: [client, permitted],
  oneAtATime: 'of all',
  budgets: BUDGETS,
  faults: [{ kind: 'peering-deleted', cause: 'peering-missing' }],
  hint: 'Compare the policies of the called cluster with who calls: the same name in another cluster is somebody else',
  reference: 'https://developer.hashicorp.com/consul/docs/connect/config-entries/service-intentions',
  timeoutMs: 240_000,

  async observe(context, budgets) {
    const { from, to } = context;
    const allowed = clientOf(from.name);
    return passThrough(
      context,
      {
        service: permittedService,
        prepare: () => context.apply(nobody, to.name),
        open: async () => {
          await context.withdraw(nobody, to.name);
          await context.apply(allowed, to.name);
        },
        close: async () => {
          await context.withdraw(allowed, to.name);
          await context.apply(nobody, to.name);
        },
      },
      budgets,
    );
  },

  judge: (observed, budgets) =>
    judgePassage(
      observed,
      {
        before: 'before a policy names it',
        open: 'after a policy has named it',
        after: 'after the policy names nobody any more',
        early: 'identity-not-enforced',
      },
      budgets,
    ),
});

export const peering: Suite = {
  id: 'peering',
  title: 'Clusters that are peers give each other what was agreed upon, and nothing else',
  checks: [exported, permission],
};
