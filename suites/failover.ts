import { BACKENDS, type Drill, backends, drillFixtures, drillService } from '../fixtures/backends.ts';
import { CLIENT, client } from '../fixtures/workloads.ts';
import {
  CONVERGENCE_MS,
  CONVERGENCE_SUCCESSES,
  FAILBACK_MS,
  FAILOVER_KEPT_ALIVE_MS,
  FAILOVER_NEW_MS,
  GATEWAY_BACK_MS,
} from '../lib/model/budgets.ts';
import type { FaultSpec } from '../lib/model/fault.ts';
import { type Excuses, startControl, unlessMachineIsBusy } from './support/busyMachine.ts';
import { CLUSTER_OUTAGE, GATEWAY_OUTAGE, TUNNEL_OUTAGE } from './support/outages.ts';
import { CALM_MS, answeringClusters, isGood, recoveryTime } from './support/samples.ts';
import { sameCalls, untilKnownAtHome, wayOfPair } from './support/services.ts';
import {
  type AnyCheck,
  type ClusterView,
  type PairContext,
  type Suite,
  defineCheck,
} from '../lib/model/check.ts';
import type { BackendEvent, Exchange, Sample, SampleRequest } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import type { ServiceSpec } from '../lib/model/workload.ts';

/** Fast enough to time recovery to a few hundredths of a second, slow enough to load nothing. */
const SAMPLES_PER_SECOND = 20;
const SAMPLE_TIMEOUT_MS = 500;
/** Where nothing falls silent, a call that is late is no loss: the first ones to another cluster open connections there. */
const PATIENT_TIMEOUT_MS = 2_000;
/** Clients run this long before the fault, so that the pool is filled and the control is more than luck. */
const STEADY_MS = 350;
/** Time between calls that look whether something has changed, and how many of them in a row are calm. */
const LOOK_MS = 50;
const CALM_CALLS = CALM_MS / LOOK_MS;
/** A client can take no part of a drill for longer than every budget together. */
const SAMPLING_LIMIT_MS = 300_000;

type Connections = SampleRequest['connections'];

/** What one client saw; times are milliseconds since its sampler started. */
interface ClientView {
  readonly connections: Connections;
  readonly samples: readonly Sample[];
  /** When the fault was injected, when it was mended, and when the drill ended, on the samplers' clock. */
  readonly faultAt: number;
  readonly mendAt: number;
}

/** What was seen during a drill. */
interface ClientViews {
  readonly clients: readonly ClientView[];
  /** Of calls inside the caller's own cluster at the same time. */
  readonly control: readonly Sample[];
}

/** Starts samplers, and reads the clock that their samples count by. */
async function startClients(
  context: PairContext,
  address: string,
  port: number,
  kinds: readonly Connections[],
  timeoutMs = SAMPLE_TIMEOUT_MS,
) {
  const caller = context.from.site(CLIENT);
  const limits = { timeoutMs, durationMs: SAMPLING_LIMIT_MS };
  const [controlId, ...ids] = await Promise.all([
    startControl(context.from, limits),
    ...kinds.map((connections) =>
      caller.startSampling({ address, port, connections, ratePerSecond: SAMPLES_PER_SECOND, ...limits }),
    ),
  ]);
  const startedAt = context.elapsed();
  return {
    now: () => context.elapsed() - startedAt,
    /** A moment on the clock of the toolkit, on that of the samples. */
    at: (elapsed: number) => elapsed - startedAt,
    async stop(faultAt: number, mendAt: number): Promise<ClientViews> {
      const [control, ...samplings] = await Promise.all(
        [controlId, ...ids].map((id) => caller.stopSampling(id)),
      );
      return {
        clients: samplings.map(({ samples }, index) => ({
          connections: kinds[index] as Connections,
          samples,
          faultAt,
          mendAt,
        })),
        control: control?.samples ?? [],
      };
    },
  };
}

/** That somebody answers who must not, no stall brings about; one loses requests, but recovery fails only where they go on. */
const EXCUSES: Excuses = {
  'control-failed': 0.05,
  'failover-loses-requests': 0,
  'no-failover': 0.05,
  'no-failback': 0.05,
};
const OUTAGE = { excuses: EXCUSES, timeoutMs: SAMPLE_TIMEOUT_MS };

/** The service of a drill that this pair may use: no other does at the same time. */
const serviceFor = (context: PairContext, drill: Drill): ServiceSpec =>
  drillService(drill, wayOfPair(context));

const backendsOf = (drill: Drill): string => `of drill ${drill}`;

/** One request by a connection of its own. */
const callOnce = async (context: PairContext, address: string, port: number): Promise<Exchange> =>
  (
    await context.from
      .site(CLIENT)
      .exchange([{ protocol: 'http', address, port, timeoutMs: SAMPLE_TIMEOUT_MS }])
  )[0] as Exchange;

/** Waits until requests are answered as they should be. */
const convergeWhen = (
  context: PairContext,
  address: string,
  port: number,
  options: { succeeded: (exchange: Exchange) => boolean; budgetMs: number; successes?: number },
) =>
  context.converge(() => callOnce(context, address, port), {
    successes: CONVERGENCE_SUCCESSES.value,
    intervalMs: LOOK_MS,
    ...options,
  });

/** Waits until requests are answered, by a given cluster where one is named. */
const convergeOn = (
  context: PairContext,
  address: string,
  port: number,
  { by, ...options }: { by?: string; budgetMs: number; successes?: number },
) =>
  convergeWhen(context, address, port, {
    succeeded: ({ outcome, answeredBy }) =>
      outcome === 'answered' && (by === undefined || answeredBy?.cluster === by),
    ...options,
  });

/** Waits until every backend of a cluster has answered, and nobody else, without a failure in between. */
function untilAllAnswer(context: PairContext, address: string, port: number, by: string) {
  const known = new Set<string>();
  return convergeWhen(context, address, port, {
    succeeded: ({ outcome, answeredBy }) => {
      if (outcome === 'answered' && answeredBy?.cluster === by) known.add(answeredBy.workload);
      else known.clear();
      return known.size === BACKENDS.length;
    },
    budgetMs: CONVERGENCE_MS.value,
  });
}

/**
 * Clients that have just started have filled their pools and had answers: on a busy machine their first calls are late, and
 * some that begin after these come back after them.
 */
async function untilSteady(context: PairContext, address: string, port: number, by?: string): Promise<void> {
  await context.sleep(STEADY_MS);
  await convergeOn(context, address, port, {
    ...(by !== undefined && { by }),
    budgetMs: CONVERGENCE_MS.value,
  });
}

async function startBackends(
  cluster: ClusterView,
  port: number,
  keys: readonly string[],
  inAgent: boolean,
): Promise<void> {
  await Promise.all(keys.map((key) => cluster.site(key).startBackend({ port, inAgent })));
}

const timeoutOf = (event: BackendEvent): number =>
  event === 'drain' ? PATIENT_TIMEOUT_MS : SAMPLE_TIMEOUT_MS;

/** What only a process can do. */
const TAKES_A_PROCESS: readonly BackendEvent[] = ['crash', 'freeze'];

interface DrillBudgets {
  readonly newConnections: number;
  readonly keptAlive: number;
  readonly failback: number;
}

interface DrillObservation extends ClientViews {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly port: number;
  /** Those of the other cluster answered while there were no others. */
  readonly standby: boolean;
  /** Local backends answered before the fault. */
  readonly ready: boolean;
  readonly endedAt: number;
  readonly failback: { readonly converged: boolean; readonly elapsedMs: number };
}

/** Backends in both clusters behind one name; all local ones are disturbed at once, then brought back. */
async function drillBackends(
  context: PairContext,
  drill: Drill,
  event: BackendEvent,
  budgets: DrillBudgets,
  kinds: readonly Connections[],
): Promise<DrillObservation> {
  const { from, to } = context;
  const service = serviceFor(context, drill);
  const port = service.healthPort;
  const address = from.sharedService(service).addresses[context.family] as string;
  // While those of the other cluster are the only ones, callers here show that they know them.
  await startBackends(to, port, BACKENDS, true);
  const standby = await untilAllAnswer(context, address, port, to.name);
  await startBackends(from, port, BACKENDS, !TAKES_A_PROCESS.includes(event));
  // Endpoints become known one by one, and until all local ones are, a proxy sends some requests elsewhere.
  const ready = await untilAllAnswer(context, address, port, from.name);
  const facts = {
    from: from.name,
    to: to.name,
    address,
    port,
    standby: standby.converged,
    ready: ready.converged,
  };
  if (!standby.converged || !ready.converged)
    return { ...facts, clients: [], control: [], endedAt: 0, failback: { converged: false, elapsedMs: 0 } };

  const clients = await startClients(context, address, port, kinds, timeoutOf(event));
  await untilSteady(context, address, port, from.name);
  const faultAt = clients.now();
  await Promise.all(BACKENDS.map((key) => from.site(key).disturbBackend(port, event)));
  await convergeOn(context, address, port, {
    by: to.name,
    budgetMs: Math.max(budgets.newConnections, budgets.keptAlive),
    successes: CALM_CALLS,
  });
  // The pool's connections may take longer to die than a new connection takes to succeed.
  await context.sleep(event === 'freeze' ? SAMPLE_TIMEOUT_MS : CALM_MS / 2);
  const mendAt = clients.now();
  if (event === 'freeze')
    await Promise.all(BACKENDS.map((key) => from.site(key).disturbBackend(port, 'thaw')));
  else {
    await Promise.all(BACKENDS.map((key) => from.site(key).stopBackend(port)));
    await startBackends(from, port, BACKENDS, true);
  }
  const failback = await convergeOn(context, address, port, { by: from.name, budgetMs: budgets.failback });
  const endedAt = clients.now();
  const views = await clients.stop(faultAt, mendAt);
  return {
    ...facts,
    ...views,
    endedAt,
    failback: { converged: failback.converged, elapsedMs: failback.elapsedMs },
  };
}

/** One call to the service of a drill, by hand. */
const reproduceOf = ({ from, address, port }: Pick<DrillObservation, 'from' | 'address' | 'port'>) => ({
  at: `${from}/${CLIENT}`,
  command: `curl -sS -m 1 http://${address}:${port}/echo`,
});

const NAME_OF: Record<Connections, string> = {
  new: 'new connections',
  'keep-alive': 'kept-alive connections',
  stream: 'long stream',
};

interface ClientJudgement {
  readonly figures: Figures;
  readonly problem?: Verdict;
}

/** One client's way through a drill: who answered before, how long until the other cluster did, what was lost. */
function judgeClient(
  view: ClientView,
  drill: Pick<DrillObservation, 'from' | 'to' | 'address' | 'port'>,
  budgetMs: number,
  lostShare: number | undefined,
): ClientJudgement {
  const name = NAME_OF[view.connections];
  const during = view.samples.filter(({ at }) => at >= view.faultAt && at < view.mendAt);
  const lost = during.filter((sample) => !isGood(sample)).length;
  const recovery = recoveryTime(view.samples, view.faultAt, view.mendAt);
  const figures: Figures = {
    ...(recovery !== undefined && { [`recovery, ${name}`]: { value: recovery, unit: 'ms' } }),
    [`lost, ${name}`]: { value: lost, unit: `of ${during.length} requests` },
  };
  const before = answeringClusters(view.samples, 0, view.faultAt);
  if (before.join() !== drill.from) {
    return {
      figures,
      problem: inconclusive(
        'control-failed',
        `Before the fault ${name} were answered by ${before.join(', ') || 'nobody'} instead of ${drill.from} alone`,
        { figures },
      ),
    };
  }
  const details = {
    figures,
    reproduce: reproduceOf(drill),
  };
  const after = answeringClusters(view.samples, view.faultAt + (recovery ?? 0), view.mendAt);
  if (recovery === undefined || recovery > budgetMs || !after.includes(drill.to)) {
    return {
      figures,
      problem: failed('no-failover', `${name} do not fail over from ${drill.from} to ${drill.to} in time`, {
        expected: `answers from ${drill.to} within ${budgetMs / 1_000} s`,
        seen:
          recovery === undefined
            ? `still failing ${Math.round(view.mendAt - view.faultAt)} ms after the fault`
            : `recovered after ${Math.round(recovery)} ms, then answered by ${after.join(', ') || 'nobody'}`,
        ...details,
      }),
    };
  }
  if (lostShare !== undefined && lost > Math.ceil(lostShare * during.length)) {
    return {
      figures,
      problem: failed('failover-loses-requests', `${name} lose requests while backends are drained`, {
        expected: `at most ${lostShare * 100} % of the requests fail`,
        seen: `${lost} of ${during.length} failed`,
        ...details,
      }),
    };
  }
  return { figures };
}

function judgeDrill(drill: DrillObservation, budgets: DrillBudgets, lostShare?: number): Verdict {
  if (!drill.standby) {
    return failed(
      'no-failover',
      `${drill.to} does not answer callers of ${drill.from}, though nobody else could`,
      {
        expected: `answers from ${drill.to} while only it has backends`,
        seen: 'none in time',
        reproduce: reproduceOf(drill),
      },
    );
  }
  if (!drill.ready)
    return inconclusive('control-failed', `The service was not answered by ${drill.from} before the fault`);
  if (drill.clients.length === 0) return inconclusive('probe-failed', 'No client was observed');
  const judgements = drill.clients.map((view) =>
    judgeClient(
      view,
      drill,
      view.connections === 'new' ? budgets.newConnections : budgets.keptAlive,
      lostShare,
    ),
  );
  const problems = judgements.flatMap(({ problem }) => problem ?? []);
  const worst = problems.find(({ status }) => status === 'failed') ?? problems[0];
  if (worst) return worst;
  const figures: Figures = {
    ...Object.assign({}, ...judgements.map((judgement) => judgement.figures)),
    'fail-back': { value: drill.failback.elapsedMs, unit: 'ms' },
  };
  if (!drill.failback.converged) {
    return failed('no-failback', `Traffic does not return to ${drill.from} after its backends are back`, {
      expected: `answers from ${drill.from} within ${budgets.failback / 1_000} s`,
      seen: `answered by ${answeringClusters(drill.clients[0]?.samples ?? [], drill.endedAt - CALM_MS, drill.endedAt).join(', ') || 'nobody'}`,
      figures,
    });
  }
  return passed(`${drill.to} took over, ${drill.from} took back`, figures);
}

const DRILL_BUDGETS = {
  newConnections: FAILOVER_NEW_MS,
  keptAlive: FAILOVER_KEPT_ALIVE_MS,
  failback: FAILBACK_MS,
};
/** Local and remote backends of the two clusters only: others would take over as well. */
const DRILL_TIMEOUT_MS = 240_000;

interface BackendDrill {
  readonly id: string;
  readonly title: string;
  readonly drill: Drill;
  readonly event: BackendEvent;
  readonly level: 'core' | 'extended';
  readonly connections: readonly Connections[];
  /** Share of requests that may be lost; any number where absent. */
  readonly lostShare?: number;
  readonly together?: AnyCheck['together'];
}

/**
 * Each has backends of its own, and both wait for most of their time until callers have given up on those. A third kind
 * beside them is too much for two processors where every backend has a proxy that starts with it: calls were seconds late.
 */
const SUDDEN_FAILURES: AnyCheck['together'] & object = {
  name: 'sudden failures of backends',
  of: 'pair',
  where: 'casesAtOnce',
};

const backendDrill = ({ id, title, drill, event, level, connections, lostShare, together }: BackendDrill) =>
  defineCheck({
    id: `failover.${id}`,
    title,
    level,
    scope: 'pair',
    requires: ['share-service', 'l7.service'],
    dependsOn: ['reachability.http'],
    uses: [client, backends, ...drillFixtures(drill, 'prefer-local')],
    budgets: DRILL_BUDGETS,
    exclusive: 'none',
    oneAtATime: 'each way',
    backends: backendsOf(drill),
    ...(together && { together }),
    mostlyWaits: true,
    timed: true,
    faults: [{ kind: 'service-not-shared', cause: 'no-failover' }],
    judgeVersion: 5,
    hint: 'Is the service shared by the other cluster, does anything check the health of its backends, and how often?',
    reference: 'https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination',
    timeoutMs: DRILL_TIMEOUT_MS,
    observe: (context, budgets) => drillBackends(context, drill, event, budgets, connections),
    judge: (observed, budgets) =>
      unlessMachineIsBusy(judgeDrill(observed, budgets, lostShare), observed, {
        excuses: EXCUSES,
        timeoutMs: timeoutOf(event),
      }),
  });

/** A drained backend finishes what it has; only a request that races its very end may be lost. */
const GRACEFUL_LOSS_SHARE = 0.01;

export const graceful = backendDrill({
  id: 'graceful-delete',
  title: 'Local backends are deleted gracefully: the other cluster takes over without loss',
  drill: 'takeover',
  event: 'drain',
  level: 'core',
  connections: ['new', 'keep-alive'],
  lostShare: GRACEFUL_LOSS_SHARE,
});
export const crash = backendDrill({
  id: 'crash',
  title: 'Local backends crash (connections reset): the other cluster takes over',
  drill: 'takeover',
  event: 'crash',
  level: 'core',
  connections: ['new', 'keep-alive'],
  together: SUDDEN_FAILURES,
});
export const freeze = backendDrill({
  id: 'freeze',
  title: 'Local backends freeze (accept and stay silent): the other cluster takes over',
  drill: 'freeze',
  event: 'freeze',
  level: 'core',
  connections: ['new', 'keep-alive'],
  together: SUDDEN_FAILURES,
});
export const errors = backendDrill({
  id: 'server-errors',
  title: 'Local backends answer 503: the other cluster takes over',
  drill: 'errors',
  event: 'fail',
  level: 'extended',
  // Who balances connections and not requests leaves a kept-alive one with the backend that it has.
  connections: ['new'],
});
export const stream = backendDrill({
  id: 'stream',
  title: 'A long-lived stream to a frozen backend finds its way to the other cluster',
  drill: 'stream',
  event: 'freeze',
  level: 'extended',
  connections: ['stream'],
});

/** Some technologies take minutes until a cluster counts as lost. */
const GONE_TIMEOUT_MS = 420_000;

/** Looked at for so long where endpoints of a cluster that is gone are kept for as long as it is: waiting would change nothing. */
const KEPT_LOOK_MS = 10_000;

/** Requests that prove that a service is answered by every cluster it should be. */
const SET_CALLS = 24;

const callsAtOnce = (context: PairContext, address: string, port: number): Promise<readonly Exchange[]> =>
  context.from
    .site(CLIENT)
    .exchange(sameCalls({ protocol: 'http', address, port }, SET_CALLS, SAMPLE_TIMEOUT_MS));

/** Rounds of such calls, all answered and a calm apart, after which a cluster that is gone is called no more. */
const GONE_ROUNDS = 3;
const ROUND_MS = 300;

async function clustersOf(context: PairContext, address: string, port: number): Promise<string[]> {
  const exchanges = await callsAtOnce(context, address, port);
  return [...new Set(exchanges.flatMap(({ answeredBy }) => answeredBy?.cluster ?? []))].toSorted();
}

export const clusterGone = defineCheck({
  id: 'failover.cluster-gone',
  title:
    'A whole cluster goes: callers elsewhere are served by the others, and it is used again when it is back',
  level: 'core',
  scope: 'pair',
  requires: ['share-service', 'l7.service'],
  dependsOn: ['reachability.http'],
  uses: [client, backends, ...drillFixtures('gone', 'spread')],
  budgets: DRILL_BUDGETS,
  exclusive: 'target',
  together: CLUSTER_OUTAGE,
  oneAtATime: 'each way',
  mostlyWaits: true,
  timed: true,
  faults: [],
  judgeVersion: 4,
  withoutFaults: 'It injects its own: all links of the cluster go down',
  hint: 'Endpoints of a cluster that nobody can reach must be withdrawn: look at how the control planes notice each other',
  reference:
    'https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api',
  timeoutMs: GONE_TIMEOUT_MS,

  async observe(context, budgets) {
    const { from, to } = context;
    const service = serviceFor(context, 'gone');
    const port = service.healthPort;
    await Promise.all([from, to].map((cluster) => startBackends(cluster, port, BACKENDS, true)));
    await untilKnownAtHome(context, to, service);
    const address = from.sharedService(service).addresses[context.family] as string;
    const clustersIn = (wanted: (names: string[]) => boolean, budgetMs: number) =>
      context.converge(() => clustersOf(context, address, port), {
        succeeded: wanted,
        budgetMs,
        successes: 1,
        intervalMs: LOOK_MS,
      });
    // Whoever called before all were ready leaves the others alone for as long as after a failure.
    const before = await clustersIn(
      (names) => names.includes(from.name) && names.includes(to.name),
      Math.max(CONVERGENCE_MS.value, budgets.failback),
    );
    const clients = await startClients(context, address, port, ['new', 'keep-alive']);
    await untilSteady(context, address, port);
    const faultAt = clients.now();
    const fault = await context.disturb({ kind: 'cluster-gone', cluster: to.name });
    const kept = context.keepsLost(from.name);
    // While every other call fails, a few in a row succeed by chance: all of many at once do not. Who is given up for a moment
    // is tried again, and the pool's connections may take longer to die than a new connection takes to succeed.
    const served = await context.converge(() => callsAtOnce(context, address, port), {
      succeeded: (exchanges) => exchanges.every(({ outcome }) => outcome === 'answered'),
      budgetMs: kept === undefined ? Math.max(budgets.newConnections, budgets.keptAlive) : KEPT_LOOK_MS,
      successes: GONE_ROUNDS,
      intervalMs: ROUND_MS,
    });
    const mendAt = clients.now();
    await fault.mend();
    const failback = await clustersIn((names) => names.includes(to.name), budgets.failback);
    const views = await clients.stop(faultAt, mendAt);
    return {
      from: from.name,
      to: to.name,
      address,
      port,
      before: before.last,
      held: fault.held,
      ...(kept !== undefined && { kept, served: served.converged }),
      ...views,
      failback: { converged: failback.converged, elapsedMs: failback.elapsedMs },
    };
  },

  judge: (observed, budgets) => unlessMachineIsBusy(judgeClusterGone(observed, budgets), observed, OUTAGE),
});

interface GoneObservation extends ClientViews {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly port: number;
  /** Clusters that answered before the fault. */
  readonly before: readonly string[];
  readonly held: boolean;
  /** Why endpoints of a cluster that is gone stay, as the technology is configured. */
  readonly kept?: string;
  /** Whether all of many calls at once were answered all the same, in the moment that was looked at. */
  readonly served?: boolean;
  readonly failback: DrillObservation['failback'];
}

function judgeClusterGone(
  { from, to, address, port, before, held, kept, served, clients, failback }: GoneObservation,
  budgets: DrillBudgets,
): Verdict {
  if (!before.includes(to) || !before.includes(from)) {
    return inconclusive(
      'control-failed',
      `Before the fault ${before.join(', ') || 'nobody'} answered, not both ${from} and ${to}`,
    );
  }
  if (!held) return inconclusive('fault-did-not-hold', `${to} could not be cut off`);
  if (clients.length === 0) return inconclusive('probe-failed', 'No client was observed');
  let figures: Figures = { 'fail-back': { value: failback.elapsedMs, unit: 'ms' } };
  for (const { connections, samples, faultAt, mendAt } of clients) {
    const budgetMs = connections === 'new' ? budgets.newConnections : budgets.keptAlive;
    // What succeeds by chance as the moment ends is no recovery.
    const stays = kept !== undefined && !served;
    const recovery = stays ? undefined : recoveryTime(samples, faultAt, mendAt);
    const during = samples.filter(({ at }) => at >= faultAt && at < mendAt);
    figures = {
      ...figures,
      ...(recovery !== undefined && {
        [`recovery, ${NAME_OF[connections]}`]: { value: recovery, unit: 'ms' },
      }),
      [`lost, ${NAME_OF[connections]}`]: {
        value: during.filter((sample) => !isGood(sample)).length,
        unit: `of ${during.length} requests`,
      },
    };
    if (recovery === undefined || recovery > budgetMs) {
      const what = `${NAME_OF[connections]} from ${from} keep failing after ${to} is gone`;
      return failed('no-failover', kept === undefined ? what : `${what}, as configured: ${kept}`, {
        expected: `only answers from other clusters within ${budgetMs / 1_000} s`,
        seen:
          recovery === undefined
            ? `still failing after ${Math.round(mendAt - faultAt)} ms`
            : `${Math.round(recovery)} ms`,
        figures,
        reproduce: reproduceOf({ from, address, port }),
      });
    }
  }
  if (!failback.converged) {
    return failed('no-failback', `${to} is back but not used again by ${from}`, {
      expected: `answers from ${to} within ${budgets.failback / 1_000} s`,
      seen: `none from ${to}`,
      figures,
    });
  }
  return passed(`the others served while ${to} was gone`, figures);
}

/** Longer than the common technologies need to withdraw an endpoint would make the drill slow and prove no more. */
const OUTAGE_MS = 750;

/** What is taken away while all backends are remote, and what it is called. */
interface Outage {
  readonly drill: Drill;
  readonly what: string;
  readonly faultOf: (context: PairContext) => FaultSpec;
}

async function observeOutage(
  context: PairContext,
  budgets: DrillBudgets,
  { drill, what, faultOf }: Outage,
): Promise<OutageObservation> {
  const { from, to } = context;
  const service = serviceFor(context, drill);
  const port = service.healthPort;
  await startBackends(to, port, BACKENDS, true);
  const address = from.sharedService(service).addresses[context.family] as string;
  const ready = await convergeOn(context, address, port, { by: to.name, budgetMs: CONVERGENCE_MS.value });
  const facts = { what, from: from.name, to: to.name, address, port, ready: ready.converged };
  // Nobody who shares the outage is to wait for a control that has failed.
  if (!ready.converged)
    return { ...facts, held: false, heldAt: 0, clients: [], control: [], endedAt: 0, back: false };
  const clients = await startClients(context, address, port, ['new', 'keep-alive']);
  await untilSteady(context, address, port, to.name);
  const faultAt = clients.now();
  const fault = await context.disturb(faultOf(context));
  const heldAt = clients.now();
  await context.sleep(OUTAGE_MS);
  const mendAt = clients.at(await fault.mend());
  const back = await convergeOn(context, address, port, {
    by: to.name,
    budgetMs: Math.max(budgets.newConnections, budgets.keptAlive),
    successes: CALM_CALLS,
  });
  const endedAt = clients.now();
  const views = await clients.stop(faultAt, mendAt);
  return { ...facts, held: fault.held, heldAt, ...views, endedAt, back: back.converged };
}

export const tunnelDown = defineCheck({
  id: 'failover.tunnel-down',
  title: 'The tunnel goes while all backends are remote: callers recover when it is back',
  level: 'core',
  scope: 'pair',
  requires: ['share-service', 'l7.service', 'tunnel.encrypted'],
  dependsOn: ['reachability.http'],
  uses: [client, backends, ...drillFixtures('takeover', 'prefer-local')],
  budgets: DRILL_BUDGETS,
  // A gateway has one interface for all its tunnels.
  exclusive: 'caller',
  together: TUNNEL_OUTAGE,
  oneAtATime: 'each way',
  backends: backendsOf('takeover'),
  mostlyWaits: true,
  timed: true,
  faults: [],
  withoutFaults: 'It injects its own: the first tunnel of the path goes down',
  hint: 'After a tunnel comes back, handshake and health checks must start by themselves: look at keepalive and at back-off timers',
  judgeVersion: 5,
  timeoutMs: DRILL_TIMEOUT_MS,

  observe: (context, budgets) =>
    observeOutage(context, budgets, {
      drill: 'takeover',
      what: 'tunnel',
      faultOf: ({ from, to, path }) => ({
        kind: 'tunnel-down',
        between: [from.name, path.kind === 'via' ? (path.hops[0] as string) : to.name],
      }),
    }),

  judge: (observed, budgets) => unlessMachineIsBusy(judgeOutage(observed, budgets), observed, OUTAGE),
});

export const gatewayDown = defineCheck({
  id: 'failover.gateway-down',
  title:
    'The gateway of the other cluster goes while all backends are there: callers recover when it is back',
  level: 'extended',
  scope: 'pair',
  classes: ['service-peering'],
  requires: ['share-service', 'l7.service', 'service-gateway'],
  dependsOn: ['discovery.answers'],
  uses: [client, backends, ...drillFixtures('gateway', 'prefer-local')],
  budgets: { ...DRILL_BUDGETS, newConnections: GATEWAY_BACK_MS, keptAlive: GATEWAY_BACK_MS },
  exclusive: 'target',
  together: GATEWAY_OUTAGE,
  oneAtATime: 'each way',
  mostlyWaits: true,
  timed: true,
  faults: [],
  withoutFaults: 'It injects its own: the gateway of the called cluster stops',
  hint: 'After a gateway comes back, perhaps under another address, its peers and callers must learn of it: look at how long each keeps the old one, and whether it was ejected',
  timeoutMs: DRILL_TIMEOUT_MS,

  observe: (context, budgets) =>
    observeOutage(context, budgets, {
      drill: 'gateway',
      what: 'gateway',
      faultOf: ({ to }) => ({ kind: 'gateway-stopped', cluster: to.name }),
    }),

  judge: (observed, budgets) => unlessMachineIsBusy(judgeOutage(observed, budgets), observed, OUTAGE),
});

interface OutageObservation extends ClientViews {
  /** Absent in records of before there was more than one: the tunnel. */
  readonly what?: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly port: number;
  readonly ready: boolean;
  readonly held: boolean;
  /** When it was seen to be down, on the samplers' clock. */
  readonly heldAt: number;
  readonly endedAt: number;
  readonly back: boolean;
}

function judgeOutage(
  {
    what = 'tunnel',
    from,
    to,
    address,
    port,
    ready,
    held,
    heldAt,
    clients,
    endedAt,
    back,
  }: OutageObservation,
  budgets: DrillBudgets,
): Verdict {
  if (!ready)
    return inconclusive('control-failed', `${to} did not answer through the service before the fault`);
  if (!held) return inconclusive('fault-did-not-hold', `The ${what} could not be taken down`);
  if (clients.length === 0) return inconclusive('probe-failed', 'No client was observed');
  const reproduce = reproduceOf({ from, address, port });
  let figures: Figures = {};
  for (const { connections, samples, faultAt, mendAt } of clients) {
    const name = NAME_OF[connections];
    const budgetMs = connections === 'new' ? budgets.newConnections : budgets.keptAlive;
    if (answeringClusters(samples, 0, faultAt).join() !== to) {
      return inconclusive('control-failed', `Before the fault ${name} were not answered by ${to} alone`);
    }
    const through = answeringClusters(samples, heldAt, mendAt);
    if (through.length > 0) {
      return failed('wrong-path', `Requests are answered though the ${what} is down`, {
        expected: 'no answers while the only path is down',
        seen: `answers from ${through.join(', ')} over ${name}`,
        reproduce,
      });
    }
    const recovery = recoveryTime(samples, mendAt, endedAt);
    figures = {
      ...figures,
      ...(recovery !== undefined && { [`recovery, ${name}`]: { value: recovery, unit: 'ms' } }),
    };
    if (!back || recovery === undefined || recovery > budgetMs) {
      return failed('no-failover', `${name} do not recover after the ${what} is back`, {
        expected: `answers from ${to} within ${budgetMs / 1_000} s`,
        seen:
          recovery === undefined
            ? `still failing after ${Math.round(endedAt - mendAt)} ms`
            : `${Math.round(recovery)} ms`,
        figures,
        reproduce,
      });
    }
  }
  return passed('callers recover by themselves', figures);
}

export const failover: Suite = {
  id: 'failover',
  title: 'When backends, clusters or tunnels go, callers are served again in time',
  // Gateways before all that cuts clusters off: control planes may wait longer each time that they have lost each other.
  checks: [graceful, crash, freeze, errors, stream, gatewayDown, clusterGone, tunnelDown],
};
