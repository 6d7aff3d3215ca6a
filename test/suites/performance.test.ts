import t from 'tap';
import {
  latency,
  loss,
  serviceLatency,
  serviceThroughput,
  throughput,
  whatLimits,
} from '../../suites/performance.ts';
import { judge, outcomeOf } from './judging.ts';

const run = (megabits: number, more: object = {}) => ({
  outcome: 'measured',
  bitsPerSecond: megabits * 1e6,
  cpuBusy: 0.5,
  ...more,
});
const streams = (paths: number[], more: object = {}, baselines = [400, 400, 400]) => ({
  from: 'east',
  target: '10.16.0.2',
  streams: {
    paths: paths.map((path) => run(path, more)),
    baselines: baselines.map((baseline) => run(baseline)),
  },
});

t.test('performance.throughput', async (t) => {
  t.equal(outcomeOf(judge(throughput, streams([380, 390, 370]))), 'passed');
  t.equal(
    outcomeOf(judge(throughput, streams([380, 390, 370], {}, [400]))),
    'passed',
    'one baseline is enough for a pass',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([380, 390], {}, [400]))),
    'passed',
    'each of two holds its share',
  );
  t.equal(outcomeOf(judge(throughput, streams([380], {}, [400]))), 'inconclusive: probe-failed');
  t.equal(
    outcomeOf(judge(throughput, streams([900, 390, 320]))),
    'passed',
    'faster runs never fail: the gate is one-sided',
  );
  t.equal(outcomeOf(judge(throughput, streams([300, 310, 305]))), 'failed: throughput-low');
  t.equal(
    outcomeOf(judge(throughput, streams([100, 310, 305]))),
    'inconclusive: spread-too-wide',
    'one more run like the others might lift it',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([280, 318, 340, 300, 310, 345], {}, [380, 410, 400, 390, 420, 400]))),
    'inconclusive: spread-too-wide',
    'just below, and by less than the runs spread',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([270, 272, 280, 268, 270, 275], {}, [380, 410, 400, 390, 420, 400]))),
    'failed: throughput-low',
    'just below its budget, and by more than the runs spread',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([300, 310, 305], {}, [400, 700, 450]))),
    'inconclusive: spread-too-wide',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([300, 310, 305], { cpuBusy: 0.92 }))),
    'inconclusive: cpu-saturated',
    'a shaper leaves the machine idle, so what is slow on a busy machine may be the machine',
  );
  const paced = (paths: number[], before = [300, 310, 305]) => {
    const observed = streams(before, { cpuBusy: 0.92 });
    const runs = {
      paths: paths.map((path) => run(path)),
      baselines: [200, 199, 200].map((rate) => run(rate)),
    };
    return { ...observed, streams: { ...observed.streams, paced: { megabits: 200, ...runs } } };
  };
  t.match(judge(throughput, paced([199, 200, 198])), {
    status: 'passed',
    reason: /at a pace of 200; more is/,
  });
  t.equal(outcomeOf(judge(throughput, paced([140, 150, 145]))), 'inconclusive: cpu-saturated');
  t.equal(
    outcomeOf(judge(throughput, paced([199, 200], [300]))),
    'passed',
    'one run at full speed will do where a pace decides',
  );
  t.equal(
    outcomeOf(judge(throughput, paced([199, 200], [100, 102]))),
    'failed: throughput-low',
    'a busy CPU does not explain a quarter',
  );
  t.equal(
    outcomeOf(judge(throughput, streams([300, 310, 305], { outcome: 'error', detail: 'x' }))),
    'inconclusive: probe-failed',
  );
  t.equal(outcomeOf(judge(throughput, streams([]))), 'inconclusive: probe-failed');
  t.equal(outcomeOf(judge(throughput, streams([380, 390, 370], {}, []))), 'inconclusive: probe-failed');
  t.match(whatLimits([run(100, { cpuBusy: 0.99 }) as never]), /CPU/);
  t.match(whatLimits([run(100, { retransmits: 500 }) as never]), /loss/);
});

t.test('performance.latency', async (t) => {
  const percentiles = (p99: number, more: object = {}) => ({
    samples: 525,
    failures: 0,
    p50: p99 / 4,
    p95: p99 / 2,
    p99,
    ...more,
  });
  const observed = (paths: number[], more: object = {}) => ({
    from: 'east',
    target: '10.16.0.2',
    rounds: paths.map((p99) => ({
      ratePerSecond: 500,
      path: percentiles(p99, more),
      gateways: percentiles(1),
      local: percentiles(0.5),
    })),
  });
  t.equal(outcomeOf(judge(latency, observed([4]))), 'passed');
  t.equal(outcomeOf(judge(latency, observed([50, 4, 4.5]))), 'passed', 'the median of three decides');
  t.equal(outcomeOf(judge(latency, observed([50, 40, 45]))), 'failed: latency-high');
  t.equal(
    outcomeOf(judge(latency, observed([50, 40, 4]))),
    'inconclusive: spread-too-wide',
    'a path that is slow is so in every run',
  );
  t.equal(
    outcomeOf(judge(latency, observed([50, 40, 4, 45, 60, 40, 42]))),
    'failed: latency-high',
    'one of seven may be luck',
  );
  t.equal(outcomeOf(judge(latency, observed([4], { failures: 10 }))), 'failed: requests-lost');
  const late = observed([60]);
  for (const round of late.rounds) round.gateways = { ...percentiles(200), p50: 2, p95: 100 };
  t.equal(
    outcomeOf(judge(latency, late)),
    'failed: latency-high',
    'all requests are late, whatever the worst between gateways',
  );
  const busy = { ...observed([4], { failures: 10 }) };
  for (const round of busy.rounds) round.local = percentiles(4, { failures: 10 });
  t.equal(
    outcomeOf(judge(latency, busy)),
    'inconclusive: cpu-saturated',
    'failures inside the cluster as well',
  );
  const noisy = observed([60]);
  for (const round of noisy.rounds) round.local = { ...percentiles(30), p50: 5 };
  t.equal(outcomeOf(judge(latency, noisy)), 'passed', 'calls inside the cluster have the same p99');
  const queueing = observed([500]);
  for (const round of queueing.rounds) round.local = percentiles(400);
  t.equal(outcomeOf(judge(latency, queueing)), 'inconclusive: cpu-saturated');
  t.equal(outcomeOf(judge(latency, observed([4], { samples: 450 }))), 'inconclusive: probe-failed');
  t.equal(outcomeOf(judge(latency, observed([]))), 'inconclusive: probe-failed');
});

t.test('performance.loss', async (t) => {
  const verdict = (change: object) =>
    outcomeOf(
      judge(loss, {
        from: 'east',
        target: '10.16.0.2',
        burst: { sent: 3_000, received: 3_000, duplicates: 0, reordered: 0, jitterMs: 0.1, ...change },
      }),
    );
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ received: 2_997 }), 'passed');
  t.equal(verdict({ received: 2_996 }), 'failed: packets-lost');
  t.equal(verdict({ jitterMs: 5.1 }), 'failed: jitter-high');
  t.equal(verdict({ sent: 100, received: 100 }), 'inconclusive: probe-failed');
  t.equal(verdict({ detail: 'the tally could not be fetched' }), 'inconclusive: probe-failed');
});

t.test('how often streams are measured', async (t) => {
  /** What was run, in turn: `path` or `baseline`, with the pace where there was one. */
  const runsOf = async (path: number, { cpuBusy }: { cpuBusy: number }): Promise<string[]> => {
    const order: string[] = [];
    const stream = (name: string, most: number) => ({
      address: name,
      serveThroughput: async () => undefined,
      throughput: async ({ megabits }: { megabits?: number }) => {
        order.push(megabits === undefined ? name : `${name} at ${megabits}`);
        return run(Math.min(most, megabits ?? Infinity), { cpuBusy });
      },
    });
    const cluster = { name: 'east', gateway: stream('baseline', 400), site: () => stream('path', path) };
    await throughput.observe({ from: cluster, to: cluster } as never, { share: 0.8 });
    return order;
  };
  t.strictSame(await runsOf(390, { cpuBusy: 0.3 }), ['path', 'baseline', 'path']);
  t.strictSame(
    await runsOf(300, { cpuBusy: 0.95 }),
    ['path', 'baseline', 'path at 200', 'baseline at 200', 'path at 200'],
    'where the machine is the limit a pace decides',
  );
  t.strictSame(
    (await runsOf(100, { cpuBusy: 0.95 })).slice(0, 4),
    ['path', 'baseline', 'path', 'baseline'],
    'unless the path is so far below that the machine explains it hardly',
  );
  const slow = await runsOf(300, { cpuBusy: 0.3 });
  t.equal(slow.filter((name) => name === 'path').length, 6, 'before anything is called slow');
});

const carried = (megabits: number, more: object = {}) => ({
  calls: 40,
  answered: 20,
  lost: 0,
  bitsPerSecond: megabits * 1e6,
  ...more,
});

t.test('performance.service-throughput', async (t) => {
  const verdict = (paths: object[], baselines = [400, 400, 400].map((rate) => carried(rate))) =>
    judge(serviceThroughput, {
      ...{ from: 'east', to: 'west', address: '10.8.0.1', payload: 524_288 },
      ...{ paths, baselines },
    });
  const outcome = (...given: Parameters<typeof verdict>) => outcomeOf(verdict(...given));
  t.equal(outcome([carried(120)]), 'passed', 'half of the calls are answered by others, and not lost');
  t.equal(outcome([50, 51, 49].map((rate) => carried(rate))), 'failed: throughput-low');
  t.equal(outcome([50, 110, 49].map((rate) => carried(rate))), 'inconclusive: spread-too-wide');
  const detail = 'garbled (HTTP 503)';
  t.match(verdict([carried(400, { answered: 6, lost: 34, detail })]), {
    status: 'failed',
    cause: 'requests-lost',
    seen: /34 of 40 failed, the first: garbled \(HTTP 503\)/,
  });
  t.equal(
    outcome([carried(400), carried(400, { lost: 1, detail })]),
    'failed: requests-lost',
    'one of eighty is far above one in a thousand',
  );
  t.equal(
    outcome([carried(0, { answered: 0, lost: 40, detail })]),
    'failed: requests-lost',
    'all of them, though nothing is left to measure',
  );
  t.equal(
    outcome([carried(0, { answered: 0, lost: 40, detail })], [carried(400, { lost: 2, detail })]),
    'inconclusive: control-failed',
    'between the gateways as well',
  );
  t.equal(outcome([carried(0, { answered: 0 })]), 'inconclusive: control-failed', 'only others answered');
  t.equal(outcome([]), 'inconclusive: control-failed');
  t.equal(outcome([carried(120)], []), 'inconclusive: control-failed');
});

t.test('how a service is measured', async (t) => {
  type Answer = { outcome: string; durationMs: number; detail?: string; answeredBy?: { cluster: string } };
  /** @param answer of the service, by the size of the call and how many came before it */
  const observe = async (answer: (payload: number, before: number) => Answer) => {
    const asked: { payload: number; calls: number }[] = [];
    let before = 0;
    const answering = (reply: typeof answer) => async (requests: { payload: number }[]) =>
      requests.map(({ payload }) => ({ protocol: 'http', ...reply(payload, before++) }));
    const service = answering(answer);
    const client = {
      exchange: (requests: { payload: number }[]) => {
        asked.push({ payload: requests[0]?.payload ?? 0, calls: requests.length });
        return service(requests);
      },
    };
    const gateway = {
      address: '198.18.0.2',
      received: async () => [],
      exchange: answering(() => ({ outcome: 'answered', durationMs: 20 })),
    };
    const cluster = (name: string) => ({
      name,
      gateway,
      site: () => client,
      sharedService: () => ({ addresses: { ipv4: '10.8.0.1' } }),
    });
    const context = { from: cluster('east'), to: cluster('west'), family: 'ipv4' };
    const observed = await serviceThroughput.observe(context as never, { share: 0.25 });
    return { asked, observed, verdict: outcomeOf(judge(serviceThroughput, observed)) };
  };
  const answeredIn = (durationMs: number, before = 0): Answer => ({
    outcome: 'answered',
    durationMs,
    answeredBy: { cluster: before % 2 === 0 ? 'west' : 'east' },
  });

  const healthy = await observe((_payload, before) => answeredIn(40, before));
  t.strictSame(
    healthy.asked.map(({ calls }) => calls),
    [8, 40],
    'warm, and one run',
  );
  t.match(healthy.observed, { payload: 524_288, paths: [{ calls: 40, answered: 20, lost: 0 }] });
  t.equal(healthy.verdict, 'passed');

  const cold = await observe((_payload, before) => answeredIn(before < 8 ? 3_000 : 40, before));
  t.equal(cold.observed.payload, 524_288, 'what is slow at first only is not slow');

  const slow = await observe((payload, before) => answeredIn(payload / 100, before));
  t.equal(slow.observed.payload, 65_536, 'a slow path is asked for less');
  t.equal(slow.observed.paths[0]?.calls, 30, 'and less often');
  t.equal(slow.verdict, 'failed: throughput-low');

  const refusing = await observe((payload, before) =>
    payload > 100_000 ? { outcome: 'garbled', durationMs: 5, detail: 'HTTP 413' } : answeredIn(40, before),
  );
  t.equal(refusing.verdict, 'failed: requests-lost', 'what is refused for its size is not made smaller');
  t.equal(refusing.observed.paths.length, 1, 'one run is enough');

  const silent = await observe(() => ({ outcome: 'timed-out', durationMs: 10_000 }));
  t.match(silent.asked, [{ calls: 8 }, { calls: 8 }, { calls: 8 }, { calls: 8 }, { calls: 20 }]);
  t.equal(silent.verdict, 'failed: requests-lost');
});

t.test('performance.service-latency', async (t) => {
  const percentiles = (p95: number, more: object = {}) => ({
    samples: 160,
    failures: 0,
    p50: p95 / 2,
    p95,
    p99: 2 * p95,
    ...more,
  });
  const round = (p95: number, more: object = {}) => ({
    ratePerSecond: 200,
    path: percentiles(p95, more),
    answered: 80,
    gateways: percentiles(2),
    local: percentiles(1, { samples: 80 }),
  });
  const verdict = (rounds: object[]) =>
    judge(serviceLatency, { from: 'east', to: 'west', address: '10.8.0.1', rounds });
  const outcome = (rounds: object[]) => outcomeOf(verdict(rounds));
  t.equal(outcome([round(11)]), 'passed', '3 × 2 ms + 5 ms');
  t.match(verdict([round(8)]).figures, {
    p50: { value: 4, unit: 'ms' },
    'p50 baseline': { value: 1 },
    p95: { value: 8 },
    'p95 gateway to gateway': { value: 2 },
    'p95 inside the cluster': { value: 1 },
  });
  t.equal(outcome([round(50), round(60), round(55)]), 'failed: latency-high');
  t.match(
    verdict([round(50), round(60), round(8)]),
    { status: 'passed', reason: /in 1 of 3 runs/, figures: { p95: { value: 8 } } },
    'what is slow is so in every run, and figures are those of the calm ones',
  );
  t.equal(outcome([round(50), round(60)]), 'inconclusive: spread-too-wide', 'two runs are too few');
  t.match(
    verdict([30, 31, 32].map((p95) => round(p95, { p95: 11 }))),
    { status: 'failed', cause: 'latency-high', reason: /^p50/ },
    'all are late, whatever the slowest are',
  );
  const busy = (more: object) => ({ ...round(30, more), local: percentiles(10) });
  t.equal(outcome([busy({ p50: 4 })]), 'passed', 'one in twenty inside the cluster is as late');
  t.equal(
    outcome([12, 13, 14].map((p50) => busy({ p50 }))),
    'failed: latency-high',
    'a proxy of the caller slows all of them',
  );
  const queueing = { ...round(300, { p50: 90 }), local: percentiles(120) };
  t.equal(outcome([queueing, queueing, queueing]), 'inconclusive: cpu-saturated', 'within the cluster too');
  t.equal(outcome([queueing, round(50), round(60)]), 'failed: latency-high', 'not in most runs');
  t.equal(outcome([{ ...round(8), local: percentiles(120) }]), 'passed', 'whoever is fast all the same');
  const lossy = round(8, { failures: 3 });
  t.match(verdict([lossy, lossy, round(8)]), {
    status: 'failed',
    cause: 'requests-lost',
    seen: '6 of 480 failed',
  });
  t.equal(outcome([lossy, round(8), round(8)]), 'passed', 'in one run of three');
  t.equal(
    outcome([{ ...lossy, gateways: percentiles(2, { failures: 80 }) }]),
    'inconclusive: control-failed',
    'between the gateways too',
  );
  t.equal(
    outcome([{ ...round(8), gateways: percentiles(0, { failures: 160 }) }]),
    'inconclusive: control-failed',
    'no baseline',
  );
  const elsewhere = { ...round(8), answered: 12 };
  t.equal(outcome([elsewhere, elsewhere, elsewhere]), 'inconclusive: control-failed', 'others answered');
  t.equal(outcome([elsewhere, round(8)]), 'passed', 'connections of the next run led there');
  t.equal(outcome([]), 'inconclusive: probe-failed');
});

t.test('how the latency of a service is measured', async (t) => {
  type Answer = { latencyMs: number; cluster?: string; outcome?: string };
  /** @param answer by the run and the number of the request within it */
  const observe = async (answer: (run: number, index: number) => Answer) => {
    const asked: object[] = [];
    let runs = 0;
    const sampling = (reply: (index: number) => Answer) => ({
      samples: Array.from({ length: 210 }, (_, index) => ({
        at: index * 5,
        outcome: 'answered',
        cluster: index % 2 === 0 ? 'west' : 'east',
        ...reply(index),
      })),
    });
    const client = {
      startSampling: async (request: object) => {
        asked.push(request);
        return String(runs++);
      },
      stopSampling: async (id: string) => sampling((index) => answer(Number(id), index)),
    };
    const gateway = {
      address: '198.18.0.2',
      received: async () => [],
      startSampling: async () => 'baseline',
      stopSampling: async () => sampling(() => ({ latencyMs: 2 })),
    };
    const cluster = (name: string) => ({
      name,
      gateway,
      site: () => client,
      sharedService: () => ({ addresses: { ipv4: '10.8.0.1' } }),
    });
    const [from, to] = [cluster('east'), cluster('west')];
    const context = { from, to, clusters: [from, to], family: 'ipv4', sleep: async () => undefined };
    const observed = await serviceLatency.observe(context as never, { factor: 3, allowance: 5 });
    return { asked, observed, verdict: outcomeOf(judge(serviceLatency, observed)) };
  };

  const healthy = await observe(() => ({ latencyMs: 6 }));
  t.match(healthy.asked, [{ connections: 'keep-alive', pool: 12 }], 'one run');
  t.match(healthy.observed.rounds, [
    { path: { samples: 160, failures: 0, p50: 6 }, answered: 80, local: { samples: 80 } },
  ]);
  t.equal(healthy.verdict, 'passed');

  const mixed = await observe((_run, index) => ({ latencyMs: index % 2 === 0 ? 30 : 1 }));
  t.equal(mixed.verdict, 'failed: latency-high', 'what others answer at once hides nothing');
  t.equal(mixed.observed.rounds.length, 7, 'before anything is called slow');

  const cold = await observe((_run, index) => ({ latencyMs: index < 50 ? 300 : 6 }));
  t.equal(cold.verdict, 'passed', 'first requests of connections do not count');
  t.equal(cold.asked.length, 1);

  const once = await observe((run, index) => ({
    latencyMs: run === 0 && index % 2 === 0 ? 300 : 6,
  }));
  t.equal(once.verdict, 'passed', 'a neighbour on this machine, once');
  t.equal(once.observed.rounds.length, 2);

  const busy = await observe((run) => ({ latencyMs: run === 0 ? 60 : 6 }));
  t.match(busy.asked, [{ ratePerSecond: 100 }, { ratePerSecond: 50 }], 'a busy machine is asked for less');
  t.equal(busy.observed.rounds.length, 1);
  t.equal(busy.verdict, 'passed');

  const elsewhere = await observe((run) => ({ latencyMs: 6, ...(run === 0 && { cluster: 'east' }) }));
  t.equal(elsewhere.asked.length, 2, 'connections that all lead elsewhere are made anew');
  t.equal(elsewhere.verdict, 'passed');

  const losing = await observe((_run, index) =>
    index % 9 === 0 ? { latencyMs: 1, outcome: 'server-error' } : { latencyMs: 6 },
  );
  t.equal(losing.observed.rounds.length, 3);
  t.equal(losing.verdict, 'failed: requests-lost');
});
