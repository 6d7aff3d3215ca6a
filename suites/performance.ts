import { CLIENT, ECHO, client, echo, echoService, sharedEcho } from '../fixtures/workloads.ts';
import {
  JITTER_MS,
  LATENCY_ALLOWANCE_MS,
  LATENCY_FACTOR,
  LOSS_PACKETS,
  LOSS_SHARE,
  SERVICE_LATENCY_ALLOWANCE_MS,
  THROUGHPUT_OF_SERVICE,
  THROUGHPUT_OF_TUNNEL,
} from '../lib/model/budgets.ts';
import { type PairContext, type Site, type Suite, defineCheck } from '../lib/model/check.ts';
import { SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { Exchange, Sampling, Throughput } from '../lib/model/probe.ts';
import { holdsShare, median, percentile, relativeSpread } from '../lib/model/statistics.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { callCommand } from './support/calls.ts';

const MEGABIT = 1e6;
const ROUNDS = 3;
/** Of the path, where each holds its share of every baseline: a third says no more. */
const FEWEST_ROUNDS = 2;
/** Of the path, while too few of them lie too far apart to say whether it holds its share. */
const MOST_ROUNDS = 4 * ROUNDS;
/** Before anything is called slow: what disturbed three runs may be over. */
const FEWEST_SLOW_ROUNDS = 2 * ROUNDS;
/** Length of one measured stream, whole seconds (iperf3 takes no fractions). */
const STREAM_SECONDS = 1;
/**
 * Share of all CPUs busy from which a low figure may be the machine's fault; a stream that takes all that it can get shows
 * no more, since its start and end count too.
 */
const SATURATED_CPU = 0.8;

const inMegabits = (bits: number) => ({ value: bits / MEGABIT, unit: 'Mbit/s' });

/** Of the baseline: what both are asked to carry where the CPU keeps them from showing what they can. */
const PACED_SHARE = 0.5;

interface Runs {
  readonly paths: readonly Throughput[];
  /** Gateway to gateway, between the runs of the path: a machine whose speed drifts drifts for both. */
  readonly baselines: readonly Throughput[];
}

interface Streams extends Runs {
  /** Both again at a pace, where the path did not hold its share and the CPU was busy. */
  readonly paced?: Runs & { readonly megabits: number };
}

const isMeasured = ({ outcome }: Throughput): boolean => outcome === 'measured';

const isSaturated = (paths: readonly Throughput[]): boolean =>
  median(paths.map(({ cpuBusy }) => cpuBusy ?? 0)) >= SATURATED_CPU;

const ratesOf = (runs: readonly { readonly bitsPerSecond: number }[]): number[] =>
  runs.map(({ bitsPerSecond }) => bitsPerSecond);
const rateOf = (runs: readonly { readonly bitsPerSecond: number }[]): number => median(ratesOf(runs));

/** Whether every run of the path, even the slowest, carries the share of every baseline. */
const allHold = ({ paths, baselines }: Runs, share: number): boolean =>
  baselines.length > 0 && Math.min(...ratesOf(paths)) >= share * Math.max(...ratesOf(baselines));

/** So low that a busy CPU, from which both suffer, hardly explains it. */
const isFarBelow = ({ paths, baselines }: Runs, share: number): boolean =>
  rateOf(paths) / rateOf(baselines) < share / 2;

async function measureStreams(context: PairContext, streams: number, share: number): Promise<Streams> {
  const { from, to } = context;
  const target = to.site(ECHO);
  await Promise.all([
    target.serveThroughput({ port: PORTS.iperf }),
    to.gateway.serveThroughput({ port: PORTS.iperf }),
  ]);
  const run = (caller: Site, address: string, megabits?: number) =>
    caller.throughput({
      address,
      port: PORTS.iperf,
      seconds: STREAM_SECONDS,
      streams,
      ...(megabits !== undefined && { megabits }),
    });
  const path = (megabits?: number) => run(from.site(CLIENT), target.address, megabits);
  const baseline = (megabits?: number) => run(from.gateway, to.gateway.address, megabits);
  const paths = [await path()];
  const baselines: Throughput[] = [];
  // A tool that hangs takes its whole time limit, and three that hang say no more than one.
  const usable = () => [...paths, ...baselines].every(isMeasured);
  const holds = () => holdsShare(ratesOf(paths), ratesOf(baselines), share);
  if (usable()) baselines.push(await baseline());
  // Where the machine itself is what slows both, more runs say no more: a pace will.
  const paceDecides = () => usable() && isSaturated(paths) && holds() !== 'yes';
  const atOnce = () => paceDecides() && !isFarBelow({ paths, baselines }, share);
  const enough = () => (allHold({ paths, baselines }, share) || isSaturated(paths) ? FEWEST_ROUNDS : ROUNDS);
  // While the path does not hold its share, each run of it has a baseline right after it: whatever slows the machine slows both.
  while (usable() && !atOnce() && paths.length < enough()) {
    paths.push(await path());
    if (usable() && holds() !== 'yes') baselines.push(await baseline());
  }
  // More of both, in turn.
  const undecided = () =>
    (holds() === 'no' && paths.length < FEWEST_SLOW_ROUNDS) ||
    (holds() === 'doubtful' && paths.length < MOST_ROUNDS);
  while (usable() && undecided() && !isSaturated(paths)) {
    paths.push(await path());
    if (usable()) baselines.push(await baseline());
  }
  if (!paceDecides()) return { paths, baselines };
  const megabits = Math.round((PACED_SHARE * rateOf(baselines)) / MEGABIT);
  const paced = { paths: [] as Throughput[], baselines: [] as Throughput[] };
  const stillUsable = () => [...paced.paths, ...paced.baselines].every(isMeasured);
  while (stillUsable() && paced.paths.length < (allHold(paced, share) ? FEWEST_ROUNDS : ROUNDS)) {
    paced.paths.push(await path(megabits));
    if (stillUsable() && !allHold(paced, share)) paced.baselines.push(await baseline(megabits));
  }
  return { paths, baselines, paced: { megabits, ...paced } };
}

/** In words: what kept the stream from being faster. */
export function whatLimits(paths: readonly Throughput[]): string {
  const busy = median(paths.map(({ cpuBusy }) => cpuBusy ?? 0));
  if (busy >= SATURATED_CPU) return `the CPU of this machine (${Math.round(busy * 100)} % busy)`;
  const gigabytes = paths.reduce((sum, { bitsPerSecond }) => sum + bitsPerSecond, 0) / 8e9;
  const retransmits = paths.reduce((sum, path) => sum + (path.retransmits ?? 0), 0);
  const segments = (gigabytes * 1e9) / 1_400;
  if (segments > 0 && retransmits / segments > LOSS_SHARE.value) {
    return `loss (${retransmits} retransmissions, ${((100 * retransmits) / segments).toFixed(2)} % of the segments)`;
  }
  return 'the path itself or the window';
}

const farApart = (paths: readonly unknown[], ratio: number, share: number): string =>
  `${paths.length} runs lie too far apart to tell ${(100 * ratio).toFixed(0)} % of the gateways' own from ${100 * share} %`;

function judgeThroughput(
  { paths, baselines, paced }: Streams,
  share: number,
  at: string,
  target: string,
): Verdict {
  const all = [...paths, ...baselines, ...(paced?.paths ?? []), ...(paced?.baselines ?? [])];
  const broken = all.find(({ outcome }) => outcome !== 'measured');
  if (paths.length < (paced ? 1 : FEWEST_ROUNDS) || baselines.length === 0 || broken) {
    return inconclusive(
      'probe-failed',
      `iperf3 gave no usable result: ${broken?.detail ?? 'it was not run often enough'}`,
    );
  }
  const throughput = rateOf(paths);
  const baseline = rateOf(baselines);
  const ratio = throughput / baseline;
  const limit = whatLimits(paths);
  const figures: Figures = {
    throughput: inMegabits(throughput),
    baseline: inMegabits(baseline),
    ratio: { value: ratio, unit: 'of baseline' },
    spread: {
      value: Math.max(...[paths, baselines].map((runs) => relativeSpread(ratesOf(runs)))),
      unit: 'of the median',
    },
  };
  const holds = holdsShare(ratesOf(paths), ratesOf(baselines), share);
  if (holds === 'yes') return passed(`limited by ${limit}`, figures);
  const beyondDoubt = holds === 'no' && isFarBelow({ paths, baselines }, share);
  if (!beyondDoubt && isSaturated(paths)) {
    if (paced && holdsShare(ratesOf(paced.paths), ratesOf(paced.baselines), share) === 'yes') {
      return passed(
        `carries ${(rateOf(paced.paths) / MEGABIT).toFixed(0)} Mbit/s at a pace of ${paced.megabits}; more is limited by ${limit}`,
        { ...figures, paced: inMegabits(rateOf(paced.paths)) },
      );
    }
    return inconclusive('cpu-saturated', 'Throughput is low, but the CPU of this machine was the limit', {
      figures,
    });
  }
  if (holds === 'doubtful') {
    return inconclusive('spread-too-wide', farApart(paths, ratio, share), { figures });
  }
  return failed('throughput-low', `Throughput is ${(100 * ratio).toFixed(0)} % of the gateways' own`, {
    expected: `at least ${share * 100} % of ${(baseline / MEGABIT).toFixed(0)} Mbit/s between the gateways`,
    seen: `${(throughput / MEGABIT).toFixed(0)} Mbit/s, limited by ${limit}`,
    figures,
    reproduce: { at, command: `iperf3 -c ${target} -p ${PORTS.iperf} -t 5` },
  });
}

const throughputCheck = (id: string, level: 'core' | 'extended', streams: number) =>
  defineCheck({
    id: `performance.${id}`,
    title: `TCP throughput with ${streams === 1 ? 'one stream' : `${streams} streams`}, relative to gateway to gateway`,
    level,
    scope: 'pair',
    requires: ['l3.pod', 'gateway.probe'],
    dependsOn: ['mtu.path'],
    uses: [client, echo],
    exclusive: 'fleet',
    together: { name: id, of: 'fleet', where: 'separateUplinks' },
    budgets: { share: THROUGHPUT_OF_TUNNEL },
    faults: [{ kind: 'rate-limited', cause: 'throughput-low' }],
    hint: 'Compare window, retransmissions and CPU of both runs; a shaper or a slow policy engine between workload and gateway shows here',
    reference: 'RFC 6349',
    timeoutMs: 60_000,
    async observe(context, { share }) {
      return {
        from: context.from.name,
        target: context.to.site(ECHO).address,
        streams: await measureStreams(context, streams, share),
      };
    },
    judge: ({ from, target, streams: measured }, budgets) =>
      judgeThroughput(measured, budgets.share, `${from}/${CLIENT}`, target),
  });

export const throughput = throughputCheck('throughput', 'core', 1);
export const streams = throughputCheck('streams', 'extended', 4);

/** Requests a second: what a small machine answers without queueing, and what is tried in turn where this one does not. */
const RATES = [500, 250, 100] as const;
/** Where calls inside a cluster take longer than this, they queue for processors: every second one, or one in twenty. */
const QUEUEING_MS = { p50: 20, p95: 100 } as const;
/** One in a hundred is above the p99: this many leave five there. */
const FEWEST_SAMPLES = 500;
/** A little more than that takes. */
const SAMPLES = 525;
/** One connection, a line per request: what is timed is the network and not an HTTP client. */
const CONNECTIONS = 'stream';
const REQUEST_TIMEOUT_MS = 1_000;

interface Percentiles {
  readonly samples: number;
  readonly failures: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** One run: the same load on the path, between the gateways, and inside the caller's own cluster, at the same time. */
interface Round {
  readonly path: Percentiles;
  readonly gateways: Percentiles;
  readonly local: Percentiles;
}

interface LatencyRound extends Round {
  readonly ratePerSecond: number;
}

function percentilesOf({ samples }: Pick<Sampling, 'samples'>): Percentiles {
  const answered = samples.filter(({ outcome }) => outcome === 'answered').map(({ latencyMs }) => latencyMs);
  const at = (rank: number) => (answered.length === 0 ? 0 : percentile(answered, rank));
  return {
    samples: samples.length,
    failures: samples.length - answered.length,
    p50: at(50),
    p95: at(95),
    p99: at(99),
  };
}

async function measureLatency(
  { from, to, sleep }: PairContext,
  ratePerSecond: number,
): Promise<LatencyRound> {
  const durationMs = (1_000 * SAMPLES) / ratePerSecond;
  const clients = [
    { caller: from.site(CLIENT), address: to.site(ECHO).address },
    { caller: from.gateway, address: to.gateway.address },
    { caller: from.site(CLIENT), address: from.site(ECHO).address },
  ];
  const ids = await Promise.all(
    clients.map(({ caller, address }) =>
      caller.startSampling({
        address,
        port: PORTS.http,
        ratePerSecond,
        connections: CONNECTIONS,
        timeoutMs: REQUEST_TIMEOUT_MS,
        durationMs,
      }),
    ),
  );
  await sleep(durationMs);
  const [path, gateways, local] = await Promise.all(
    clients.map(async ({ caller }, index) => percentilesOf(await caller.stopSampling(ids[index] as string))),
  );
  return { ratePerSecond, path, gateways, local } as LatencyRound;
}

/** The agent of a gateway starts when it is first asked for something; one that is only called would not be there. */
const wake = (gateway: Site): Promise<unknown> => gateway.received([]);

type Rank = 'p50' | 'p95' | 'p99';

type BaselineOf = (round: Round, rank: Rank) => number;

/** Whatever slows the calls between gateways, or inside the caller's own cluster, slows those between clusters too. */
const baselineOf: BaselineOf = ({ gateways, local }, rank) => Math.max(gateways[rank], local[rank]);

/** What a path may take, of its baseline and beside it. */
interface Allowed {
  readonly ranks: readonly Rank[];
  readonly baselineOf: BaselineOf;
  readonly factor: number;
  readonly allowance: number;
}

const OF_PODS: Pick<Allowed, 'ranks' | 'baselineOf'> = {
  // By the median as well: where the machine makes every p99 large, a path that is slow for all still shows.
  ranks: ['p99', 'p50'],
  baselineOf,
};

const isSlow = (round: Round, { ranks, factor, allowance, ...allowed }: Allowed): boolean =>
  ranks.some((rank) => round.path[rank] > factor * allowed.baselineOf(round, rank) + allowance);

/** While runs disagree whether the path is slow: a path that is slow is so in every run, a machine that is busy calms down. */
const MOST_LATENCY_ROUNDS = 7;
/** Share of the runs within the budget from which they disagree. */
const DISAGREEING = 0.25;

/** The rank at which the runs taken together are too slow, and what was seen and allowed there in milliseconds. */
function slowRank(rounds: readonly Round[], { ranks, factor, allowance, ...allowed }: Allowed) {
  return ranks
    .map((rank) => ({
      rank,
      here: median(rounds.map(({ path }) => path[rank])),
      baseline: median(rounds.map((round) => allowed.baselineOf(round, rank))),
    }))
    .find(({ here, baseline }) => here > factor * baseline + allowance);
}

const disagree = (rounds: readonly Round[], allowed: Allowed): boolean =>
  slowRank(rounds, allowed) !== undefined && rounds.some((round) => !isSlow(round, allowed));

/** Undefined when they are within the budget. @param baseline in words: what the path is compared with */
function judgeSlowness(
  rounds: readonly Round[],
  allowed: Allowed,
  details: {
    readonly baseline: string;
    readonly figures: Figures;
    readonly reproduce: NonNullable<Verdict['reproduce']>;
  },
): Verdict | undefined {
  const slow = slowRank(rounds, allowed);
  if (!slow) return undefined;
  const { baseline, figures, reproduce } = details;
  const within = rounds.filter((round) => !isSlow(round, allowed)).length;
  const seen = `${slow.here.toFixed(1)} ms${rounds.length > 1 ? `, the median of ${rounds.length} runs` : ''}`;
  if (within >= DISAGREEING * rounds.length) {
    return inconclusive(
      'spread-too-wide',
      `${slow.rank} of ${seen}, but ${within} of them ${within === 1 ? 'is' : 'are'} within the budget`,
      { figures },
    );
  }
  return failed('latency-high', `${slow.rank} of ${slow.here.toFixed(1)} ms`, {
    expected: `at most ${allowed.factor} × ${slow.baseline.toFixed(1)} ms (${baseline}) + ${allowed.allowance} ms`,
    seen,
    figures,
    reproduce,
  });
}

const milliseconds = (value: number) => ({ value, unit: 'ms' });

const isQueueing = ({ local }: Pick<Round, 'local'>): boolean =>
  local.p50 > QUEUEING_MS.p50 || local.p95 > QUEUEING_MS.p95;

const losesRequests = ({ failures, samples }: Percentiles): boolean => failures > LOSS_SHARE.value * samples;

export const latency = defineCheck({
  id: 'performance.latency',
  title: 'Request latency at a fixed rate, relative to gateway to gateway and inside the cluster',
  level: 'core',
  scope: 'pair',
  requires: ['l3.pod', 'gateway.probe'],
  dependsOn: ['reachability.http'],
  uses: [client, echo],
  exclusive: 'fleet',
  // A light load: both directions at once are no more than what full-duplex links carry anyway.
  together: { name: 'latency', of: 'pair' },
  budgets: { factor: LATENCY_FACTOR, allowance: LATENCY_ALLOWANCE_MS },
  faults: [{ kind: 'delayed', cause: 'latency-high' }],
  hint: 'Compare the percentiles: a high median is distance or a proxy, a high p99 alone is queueing or a busy CPU',
  reference: 'RFC 2544, section 26.2',
  judgeVersion: 2,
  timeoutMs: 60_000,

  async observe(context, budgets) {
    const allowed = { ...OF_PODS, ...budgets };
    await wake(context.to.gateway);
    const [most, ...less] = RATES;
    let first = await measureLatency(context, most);
    for (const rate of less) {
      if (!isQueueing(first)) break;
      first = await measureLatency(context, rate);
    }
    const rounds = [first];
    // One run within the budget is enough; a slow one may be a neighbour on this machine, so three decide by their median.
    while (rounds.length < ROUNDS && (isSlow(first, allowed) || losesRequests(first.path))) {
      rounds.push(await measureLatency(context, first.ratePerSecond));
    }
    while (rounds.length < MOST_LATENCY_ROUNDS && disagree(rounds, allowed)) {
      rounds.push(await measureLatency(context, first.ratePerSecond));
    }
    return { from: context.from.name, target: context.to.site(ECHO).address, rounds };
  },

  judge({ from, target, rounds }, budgets) {
    const [first] = rounds;
    if (!first) return inconclusive('probe-failed', 'Nothing was measured');
    const thin = rounds
      .flatMap(({ path, gateways, local }) => [path, gateways, local])
      .find(({ samples }) => !(samples >= FEWEST_SAMPLES));
    if (thin)
      return inconclusive(
        'probe-failed',
        `Only ${thin.samples} samples of at least ${FEWEST_SAMPLES} were taken`,
      );
    const lost = rounds.reduce((sum, { path }) => sum + path.failures, 0);
    const sent = rounds.reduce((sum, { path }) => sum + path.samples, 0);
    const p99 = median(rounds.map(({ path }) => path.p99));
    const figures: Figures = {
      p50: milliseconds(median(rounds.map(({ path }) => path.p50))),
      'p50 baseline': milliseconds(median(rounds.map((round) => baselineOf(round, 'p50')))),
      p95: milliseconds(median(rounds.map(({ path }) => path.p95))),
      p99: milliseconds(p99),
      'p99 gateway to gateway': milliseconds(median(rounds.map(({ gateways }) => gateways.p99))),
      'p99 inside the cluster': milliseconds(median(rounds.map(({ local }) => local.p99))),
    };
    const reproduce = { at: `${from}/${CLIENT}`, command: `ping -i 0.2 -c 50 ${target}` };
    const lossy = rounds.filter(({ path }) => losesRequests(path));
    if (lossy.length > rounds.length / 2) {
      if (lossy.some(({ local }) => losesRequests(local))) {
        return inconclusive(
          'cpu-saturated',
          'Requests fail inside the cluster as well: this machine is too busy',
          { figures },
        );
      }
      return failed('requests-lost', 'Requests fail under a light load', {
        expected: `at most ${100 * LOSS_SHARE.value} % of the requests fail`,
        seen: `${lost} of ${sent} failed`,
        figures,
        reproduce,
      });
    }
    if (rounds.filter(isQueueing).length > rounds.length / 2) {
      return inconclusive(
        'cpu-saturated',
        `Of the calls inside ${from} every second one takes more than ${QUEUEING_MS.p50} ms at ${first.ratePerSecond}/s, or one in twenty more than ${QUEUEING_MS.p95} ms: this machine is too busy`,
        { figures },
      );
    }
    const baseline = `gateway to gateway, or inside ${from}`;
    const slow = judgeSlowness(rounds, { ...OF_PODS, ...budgets }, { baseline, figures, reproduce });
    return slow ?? passed(`${sent} requests at ${first.ratePerSecond}/s`, figures);
  },
});

const PACKETS_PER_SECOND = 1_500;
/** Fits into the smallest MTU that IPv6 allows, headers included. */
const PACKET_PAYLOAD = 1_000;

export const loss = defineCheck({
  id: 'performance.loss',
  title: 'UDP loss and jitter at a set rate',
  level: 'extended',
  scope: 'pair',
  requires: ['l4.udp'],
  dependsOn: ['reachability.udp'],
  uses: [client, echo],
  exclusive: 'fleet',
  budgets: { share: LOSS_SHARE, packets: LOSS_PACKETS, jitter: JITTER_MS },
  faults: [{ kind: 'wan-loss', cause: 'packets-lost' }],
  hint: 'Look at drops of interfaces and queues on the way: `ip -s link`, `nstat`, `tc -s qdisc`',
  reference: 'RFC 3550, section 6.4.1; RFC 7680',
  timeoutMs: 30_000,

  async observe({ from, to }, { packets }) {
    const burst = await from.site(CLIENT).burst({
      address: to.site(ECHO).address,
      port: PORTS.echo,
      count: packets,
      packetsPerSecond: PACKETS_PER_SECOND,
      payload: PACKET_PAYLOAD,
    });
    return { from: from.name, target: to.site(ECHO).address, burst };
  },

  judge({ from, target, burst }, { share, packets, jitter }) {
    if (!(burst.sent >= packets) || burst.detail) {
      return inconclusive(
        'probe-failed',
        `${burst.sent} of ${packets} packets were sent${burst.detail ? `: ${burst.detail}` : ''}`,
      );
    }
    const lost = burst.sent - burst.received;
    const figures: Figures = {
      loss: { value: (100 * lost) / burst.sent, unit: '%' },
      jitter: { value: burst.jitterMs, unit: 'ms' },
    };
    const reproduce = { at: `${from}/${CLIENT}`, command: `ping -i 0.002 -c 3000 -q ${target}` };
    if (lost > share * burst.sent) {
      return failed('packets-lost', `${((100 * lost) / burst.sent).toFixed(2)} % of the packets are lost`, {
        expected: `at most ${100 * share} % of ${burst.sent}`,
        seen: `${lost} lost`,
        figures,
        reproduce,
      });
    }
    if (burst.jitterMs > jitter) {
      return failed('jitter-high', `Jitter of ${burst.jitterMs.toFixed(1)} ms`, {
        expected: `at most ${jitter} ms`,
        seen: `${burst.jitterMs.toFixed(1)} ms`,
        figures,
        reproduce,
      });
    }
    return passed(`${lost} of ${burst.sent} packets lost at ${PACKETS_PER_SECOND}/s`, figures);
  },
});

/** Of each call, there and back: the larger, unless a few of them already take longer than a call should. */
const BULK_PAYLOADS = [512 * 1024, 64 * 1024] as const;
const BULK_CALLS = 40;
/** A few at once, as a client with a pool has them. */
const BULK_AT_ONCE = 4;
const BULK_TIMEOUT_MS = 10_000;
/** A call that takes longer moves too much for what is there. */
const BULK_CALL_MS = 1_000;
/** The first calls of all find neither connections nor code ready; of so many hardly all go to one of several clusters. */
const BULK_WARM_UPS = 2;
const WARMING_CALLS = 2 * BULK_AT_ONCE;
/** What is slow needs fewer calls to show it. */
const BULK_RUN_MS = 5_000;
const FEWEST_BULK_CALLS = 20;
/** While they lie too far apart to say whether the service holds its share. */
const MOST_BULK_ROUNDS = 2 * ROUNDS;

/** One run of calls. What others than the intended cluster answer is neither carried nor lost. */
interface Bulk {
  readonly calls: number;
  readonly answered: number;
  /** Answered by nobody, or in part. */
  readonly lost: number;
  /** How the first of those ended. */
  readonly detail?: string;
  /** Bits a second of what was answered as intended. */
  readonly bitsPerSecond: number;
}

interface Bulks {
  readonly caller: Site;
  readonly target: { readonly address: string; readonly port: number };
  /** The cluster whose answers count; all do when nobody is named. */
  readonly by?: string;
  readonly payload: number;
  readonly calls: number;
}

async function callInBulk({ caller, target, payload, calls }: Bulks): Promise<readonly Exchange[]> {
  const request = { protocol: 'http' as const, ...target, payload, timeoutMs: BULK_TIMEOUT_MS };
  return caller.exchange(
    Array.from({ length: calls }, () => request),
    { concurrency: BULK_AT_ONCE },
  );
}

const isAnswered = ({ outcome }: Exchange): boolean => outcome === 'answered';

async function carryBulk(bulks: Bulks): Promise<Bulk> {
  const { by, payload } = bulks;
  const exchanges = await callInBulk(bulks);
  const carried = exchanges.filter(
    (exchange) => isAnswered(exchange) && (by === undefined || exchange.answeredBy?.cluster === by),
  );
  const lost = exchanges.filter((exchange) => !isAnswered(exchange));
  // There and back again, and several at a time: so long as all of them are, what each took can be added.
  const busyMs = carried.reduce((sum, { durationMs }) => sum + durationMs, 0) / BULK_AT_ONCE;
  const bits = carried.length * 2 * payload * 8;
  return {
    calls: exchanges.length,
    answered: carried.length,
    lost: lost.length,
    ...(lost[0] && { detail: `${lost[0].outcome}${lost[0].detail ? ` (${lost[0].detail})` : ''}` }),
    bitsPerSecond: busyMs > 0 ? (bits / busyMs) * 1_000 : 0,
  };
}

/** Makes connections and code warm, and finds out what calls may carry, and how many of them a run can have. */
async function sizeOfBulk(way: Pick<Bulks, 'caller' | 'target'>): Promise<Pick<Bulks, 'payload' | 'calls'>> {
  let size = { payload: 0, calls: FEWEST_BULK_CALLS };
  for (const payload of BULK_PAYLOADS) {
    for (let attempt = 1; attempt <= BULK_WARM_UPS; attempt++) {
      const exchanges = await callInBulk({ ...way, payload, calls: WARMING_CALLS });
      const slowest = Math.max(...exchanges.map(({ durationMs }) => durationMs));
      const inTime = Math.floor((BULK_AT_ONCE * BULK_RUN_MS) / slowest);
      size = { payload, calls: Math.min(BULK_CALLS, Math.max(FEWEST_BULK_CALLS, inTime)) };
      if (exchanges.every(isAnswered) && slowest <= BULK_CALL_MS) return size;
      // What is lost at once would not get through by being smaller, and must not be hidden by that.
      if (attempt === BULK_WARM_UPS && exchanges.some(isLostAtOnce)) return size;
    }
  }
  return size;
}

const isLostAtOnce = ({ outcome }: Exchange): boolean => outcome !== 'answered' && outcome !== 'timed-out';

const losesCalls = (runs: readonly Bulk[]): boolean =>
  lostOf(runs) > LOSS_SHARE.value * runs.reduce((sum, { calls }) => sum + calls, 0);
const lostOf = (runs: readonly Bulk[]): number => runs.reduce((sum, { lost }) => sum + lost, 0);

/** Below it the answers of one cluster among several are too few to measure. */
const FEWEST_CARRIED = 5;

/** From a workload to the service that clusters share. */
function serviceWay({ from, family }: PairContext) {
  const address = from.sharedService(echoService).addresses[family] ?? '';
  return { address, way: { caller: from.site(CLIENT), target: { address, port: PORTS.service } } };
}

export const serviceThroughput = defineCheck({
  id: 'performance.service-throughput',
  title:
    'Throughput of a shared service through what carries it, relative to the same calls between the gateways',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['share-service', 'l7.service', 'gateway.probe'],
  uses: [client, sharedEcho],
  exclusive: 'fleet',
  budgets: { share: THROUGHPUT_OF_SERVICE },
  faults: [{ kind: 'rate-limited', cause: 'throughput-low' }],
  hint: 'Compare the CPU of both proxies with what they carry: their limits, or one that has too few threads; of calls that are lost proxies say why',
  reference: 'RFC 6349',
  judgeVersion: 2,
  timeoutMs: 120_000,

  async observe(context, { share }) {
    const { from, to } = context;
    const { address, way: service } = serviceWay(context);
    const gateways = { caller: from.gateway, target: { address: to.gateway.address, port: PORTS.http } };
    await wake(to.gateway);
    const { payload, calls } = await sizeOfBulk(service);
    await callInBulk({ ...gateways, payload, calls: BULK_AT_ONCE });
    const path = () => carryBulk({ ...service, by: to.name, payload, calls });
    const baseline = () => carryBulk({ ...gateways, payload, calls: BULK_CALLS / 2 });
    const paths = [await path()];
    const baselines = [await baseline()];
    const holds = () => holdsShare(ratesOf(paths), ratesOf(baselines), share);
    const enough = () => holds() === 'yes' || losesCalls(paths) || losesCalls(baselines);
    while (!enough() && paths.length < (holds() === 'doubtful' ? MOST_BULK_ROUNDS : ROUNDS)) {
      paths.push(await path());
      baselines.push(await baseline());
    }
    return { from: from.name, to: to.name, address, payload, paths, baselines };
  },

  judge({ from, to, address, paths, baselines }, { share }) {
    const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
    if (baselines.length === 0 || losesCalls(baselines)) {
      return inconclusive('control-failed', 'Calls between the gateways were lost, so there is no baseline');
    }
    if (losesCalls(paths)) {
      const [calls, lost] = [paths.reduce((sum, run) => sum + run.calls, 0), lostOf(paths)];
      const first = paths.find(({ detail }) => detail !== undefined);
      return failed('requests-lost', `${lost} of ${calls} calls of the service are lost under a light load`, {
        expected: `at most ${100 * LOSS_SHARE.value} % of the calls fail, as between the gateways`,
        seen: `${lost} of ${calls} failed, the first: ${first?.detail ?? 'unknown'}`,
        figures: { lost: { value: lost, unit: 'calls' }, calls: { value: calls, unit: 'calls' } },
        reproduce,
      });
    }
    const thin = paths.find(({ answered }) => answered < FEWEST_CARRIED);
    if (paths.length === 0 || thin) {
      return inconclusive(
        'control-failed',
        `${to} answered ${thin?.answered ?? 0} of ${thin?.calls ?? 0} calls, other clusters the rest`,
      );
    }
    const [rate, baseline] = [rateOf(paths), rateOf(baselines)];
    const ratio = rate / baseline;
    const figures: Figures = {
      throughput: inMegabits(rate),
      baseline: inMegabits(baseline),
      ratio: { value: ratio, unit: 'of baseline' },
    };
    const holds = holdsShare(ratesOf(paths), ratesOf(baselines), share);
    if (holds === 'yes')
      return passed(`${(100 * ratio).toFixed(0)} % of the same calls between the gateways`, figures);
    if (holds === 'doubtful') {
      return inconclusive('spread-too-wide', farApart(paths, ratio, share), { figures });
    }
    return failed(
      'throughput-low',
      `The service carries ${(100 * ratio).toFixed(0)} % of the gateways' own`,
      {
        expected: `at least ${100 * share} % of ${(baseline / MEGABIT).toFixed(0)} Mbit/s between the gateways`,
        seen: `${(rate / MEGABIT).toFixed(0)} Mbit/s`,
        figures,
        reproduce,
      },
    );
  },
});

/** Requests a second: so few that each proxy on the way has ended with one before the next comes; or half of that. */
const SERVICE_RATES = [100, 50] as const;
/** Of each cluster that may answer: two in forty are above the p95. */
const SERVICE_SAMPLES = 80;
const FEWEST_SERVICE_SAMPLES = 40;
/**
 * Kept alive: what a call takes once its connection stands, which of a service through proxies and of one without is the same
 * way there and back. Where connections rather than requests are balanced, so many meet each of the clusters.
 */
const POOL_PER_CLUSTER = 6;
/** Each connection has carried a request or two by then, and whoever passes them on has made his own. */
const SERVICE_WARM_MS = 250;

const OF_SERVICES: Pick<Allowed, 'ranks' | 'baselineOf'> = {
  ranks: ['p95', 'p50'],
  // Every second one tells of the way; of one in twenty a busy machine tells as much, and the caller's own cluster with it.
  baselineOf: (round, rank) => (rank === 'p50' ? round.gateways[rank] : baselineOf(round, rank)),
};

interface ServiceRound extends Round {
  readonly ratePerSecond: number;
  /** Of the path, by the cluster that is meant; its percentiles are of these. Those of others are not lost. */
  readonly answered: number;
  /** What the caller's own cluster answered of the same requests. */
  readonly local: Percentiles;
}

async function measureService(context: PairContext, ratePerSecond: number): Promise<ServiceRound> {
  const { from, to, clusters, sleep } = context;
  const { way: service } = serviceWay(context);
  const pool = POOL_PER_CLUSTER * clusters.length;
  const warmMs = Math.max(SERVICE_WARM_MS, (2 * 1_000 * pool) / ratePerSecond);
  const durationMs = warmMs + (1_000 * SERVICE_SAMPLES * clusters.length) / ratePerSecond;
  const gateways = { caller: from.gateway, target: { address: to.gateway.address, port: PORTS.http } };
  const ways = [service, gateways];
  const ids = await Promise.all(
    ways.map(({ caller, target }) =>
      caller.startSampling({
        ...target,
        ratePerSecond,
        connections: 'keep-alive',
        pool,
        timeoutMs: REQUEST_TIMEOUT_MS,
        durationMs,
      }),
    ),
  );
  await sleep(durationMs);
  const [path = [], baseline = []] = await Promise.all(
    ways.map(async ({ caller }, index) => {
      const { samples } = await caller.stopSampling(ids[index] as string);
      return samples.filter(({ at }) => at >= warmMs);
    }),
  );
  const local = path.filter(({ outcome, cluster }) => outcome === 'answered' && cluster === from.name);
  const meant = path.filter(({ outcome, cluster }) => outcome !== 'answered' || cluster === to.name);
  const { samples, failures, ...percentiles } = percentilesOf({ samples: meant });
  return {
    ratePerSecond,
    path: { samples: path.length, failures, ...percentiles },
    answered: samples - failures,
    gateways: percentilesOf({ samples: baseline }),
    local: percentilesOf({ samples: local }),
  };
}

/** Where connections are balanced, all of a run may lead elsewhere: those of the next are others. */
const measuredOf = (rounds: readonly ServiceRound[]): readonly ServiceRound[] =>
  rounds.filter(({ answered }) => answered >= FEWEST_SERVICE_SAMPLES);

const lossyOf = <R extends Round>(rounds: readonly R[]): readonly R[] =>
  rounds.filter(({ path }) => losesRequests(path));

export const serviceLatency = defineCheck({
  id: 'performance.service-latency',
  title:
    'Latency of requests to a shared service over kept-alive connections, relative to the same requests between the gateways',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['share-service', 'l7.service', 'gateway.probe'],
  uses: [client, sharedEcho],
  exclusive: 'fleet',
  budgets: { factor: LATENCY_FACTOR, allowance: SERVICE_LATENCY_ALLOWANCE_MS },
  faults: [{ kind: 'delayed', cause: 'latency-high' }],
  hint: 'Compare the percentiles: a high median is distance, or a proxy too many; a high p95 alone is queueing, or a proxy whose CPU is limited',
  reference: 'RFC 2544, section 26.2',
  timeoutMs: 60_000,

  async observe(context, budgets) {
    const { from, to } = context;
    const allowed = { ...OF_SERVICES, ...budgets };
    await wake(to.gateway);
    const [most, ...less] = SERVICE_RATES;
    let first = await measureService(context, most);
    for (const rate of less) {
      if (!isQueueing(first)) break;
      first = await measureService(context, rate);
    }
    const rounds = [first];
    // One run within the budget is enough, whichever: what a busy machine adds, four proxies add several times over.
    const enough = (): boolean =>
      lossyOf(rounds).length > 0
        ? rounds.length >= ROUNDS
        : measuredOf(rounds).some((round) => !isSlow(round, allowed));
    while (rounds.length < MOST_LATENCY_ROUNDS && !enough()) {
      rounds.push(await measureService(context, first.ratePerSecond));
    }
    return { from: from.name, to: to.name, address: serviceWay(context).address, rounds };
  },

  judge({ from, to, address, rounds }, budgets) {
    if (rounds.length === 0) return inconclusive('probe-failed', 'Nothing was measured');
    const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
    const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
    const sent = total(rounds.map(({ path }) => path.samples));
    const lossy = lossyOf(rounds);
    if (lossy.length > rounds.length / 2) {
      if (lossy.some(({ gateways }) => losesRequests(gateways))) {
        return inconclusive('control-failed', 'Requests between the gateways fail as well');
      }
      return failed('requests-lost', 'Requests to the service fail under a light load', {
        expected: `at most ${100 * LOSS_SHARE.value} % of the requests fail`,
        seen: `${total(rounds.map(({ path }) => path.failures))} of ${sent} failed`,
        reproduce,
      });
    }
    const measured = measuredOf(rounds);
    const answered = total(measured.map((round) => round.answered));
    if (measured.length === 0) {
      return inconclusive(
        'control-failed',
        `${to} answered ${Math.max(...rounds.map((round) => round.answered))} of ${rounds[0]?.path.samples ?? 0} requests, and ${FEWEST_SERVICE_SAMPLES} are needed`,
      );
    }
    const silent = measured.find(
      ({ gateways }) => gateways.samples - gateways.failures < FEWEST_SERVICE_SAMPLES,
    );
    if (silent) {
      return inconclusive(
        'control-failed',
        `Between the gateways ${silent.gateways.failures} of ${silent.gateways.samples} requests fail, so there is no baseline`,
      );
    }
    const allowed = { ...OF_SERVICES, ...budgets };
    const calm = measured.filter((round) => !isSlow(round, allowed));
    const shown = calm.length > 0 ? calm : measured;
    const middle = (read: (round: ServiceRound) => number) => milliseconds(median(shown.map(read)));
    const figures: Figures = {
      p50: middle(({ path }) => path.p50),
      'p50 baseline': middle(({ gateways }) => gateways.p50),
      p95: middle(({ path }) => path.p95),
      'p95 gateway to gateway': middle(({ gateways }) => gateways.p95),
      ...(shown.every(({ local }) => local.samples > 0) && {
        'p95 inside the cluster': middle(({ local }) => local.p95),
      }),
    };
    if (calm.length > 0) {
      const runs =
        measured.length === 1 ? '' : `, within the budget in ${calm.length} of ${measured.length} runs`;
      return passed(`${answered} requests answered by ${to}${runs}`, figures);
    }
    if (measured.filter(isQueueing).length > measured.length / 2) {
      return inconclusive(
        'cpu-saturated',
        `What ${from} answers itself queues as well: every second request takes more than ${QUEUEING_MS.p50} ms, or one in twenty more than ${QUEUEING_MS.p95} ms`,
        { figures },
      );
    }
    const baseline = `gateway to gateway, or of one in twenty inside ${from}`;
    const slow =
      measured.length < ROUNDS
        ? undefined
        : judgeSlowness(measured, allowed, { baseline, figures, reproduce });
    return (
      slow ??
      inconclusive(
        'spread-too-wide',
        `Each of ${measured.length} runs is too slow, but not by as much as they lie apart`,
        { figures },
      )
    );
  },
});

export const performance: Suite = {
  id: 'performance',
  title: 'Workloads get their share of what the path between the gateways can do',
  checks: [throughput, streams, latency, loss, serviceThroughput, serviceLatency],
};
