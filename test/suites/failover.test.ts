import t from 'tap';
import type { Sample } from '../../lib/model/probe.ts';
import { clusterGone, crash, graceful, tunnelDown } from '../../suites/failover.ts';
import { answeringClusters, recoveryTime } from '../../suites/support/samples.ts';
import { judge, outcomeOf } from './judging.ts';

/** `by`: the cluster that answered, or how the request failed. */
type Span = [from: number, until: number, by: string];
const FAILURES = ['timed-out', 'refused'];

/** A sample every 25 ms. */
const samples = (...spans: Span[]): Sample[] =>
  spans.flatMap(([from, until, by]) =>
    Array.from({ length: (until - from) / 25 }, (_, index) => ({
      at: from + index * 25,
      latencyMs: by === 'timed-out' ? 500 : 2,
      ...(FAILURES.includes(by)
        ? { outcome: by as 'refused' }
        : { outcome: 'answered' as const, cluster: by }),
    })),
  );

t.test('recovery is the end of the last failure before a calm', async (t) => {
  t.equal(recoveryTime(samples([0, 1000, 'east']), 200, 1000), 0);
  t.equal(
    recoveryTime(samples([0, 500, 'east'], [500, 700, 'refused'], [700, 2000, 'west']), 500, 2000),
    177,
  );
  t.equal(recoveryTime(samples([0, 500, 'east'], [500, 2000, 'timed-out']), 500, 2000), undefined);
  t.equal(recoveryTime([], 0, 1000), undefined, 'nothing seen is no recovery');
  const stalled: Span[] = [
    [500, 700, 'refused'],
    [700, 2000, 'west'],
    [2000, 2200, 'timed-out'],
  ];
  t.equal(recoveryTime(samples(...stalled), 500, 2200), 177, 'a stall after it is no failure to recover');
  t.equal(
    recoveryTime(samples([500, 1200, 'east'], [1200, 2200, 'timed-out']), 500, 2200),
    undefined,
    'a calm that does not last is none',
  );
  const partly = Array.from({ length: 20 }, (_, index): Span[] => [
    [500 + index * 75, 550 + index * 75, 'west'],
    [550 + index * 75, 575 + index * 75, 'timed-out'],
  ]).flat();
  t.equal(recoveryTime(samples(...partly), 500, 2000), undefined, 'one in three fails');
  t.same(answeringClusters(samples([0, 100, 'west'], [100, 200, 'refused'], [200, 300, 'east']), 0, 300), [
    'east',
    'west',
  ]);
  const underWay: Sample = { at: 290, latencyMs: 20, outcome: 'answered', cluster: 'west' };
  t.same(
    answeringClusters([...samples([0, 280, 'east']), underWay], 0, 300),
    ['east'],
    'what is under way at the end was answered by whoever was there later',
  );
});

const drill = (spans: Span[], more: object = {}) => ({
  from: 'east',
  to: 'west',
  address: '10.10.0.1',
  port: 9001,
  standby: true,
  ready: true,
  endedAt: 4_000,
  failback: { converged: true, elapsedMs: 300 },
  clients: ['new', 'keep-alive'].map((connections) => ({
    connections,
    samples: samples(...spans),
    faultAt: 500,
    mendAt: 3_000,
  })),
  ...more,
});
const HEALTHY: Span[] = [
  [0, 500, 'east'],
  [500, 800, 'refused'],
  [800, 3000, 'west'],
  [3000, 4000, 'east'],
];

t.test('drills of backends', async (t) => {
  t.equal(outcomeOf(judge(crash, drill(HEALTHY))), 'passed');
  const stalled: Span[] = [
    [0, 500, 'east'],
    [500, 800, 'refused'],
    [800, 2700, 'west'],
    [2700, 3100, 'timed-out'],
    [3100, 4000, 'east'],
  ];
  t.equal(outcomeOf(judge(crash, drill(stalled))), 'passed', 'a moment at the end takes no answer back');
  t.equal(outcomeOf(judge(graceful, drill(HEALTHY))), 'failed: failover-loses-requests');
  t.equal(
    outcomeOf(
      judge(
        graceful,
        drill([
          [0, 500, 'east'],
          [500, 3000, 'west'],
          [3000, 4000, 'east'],
        ]),
      ),
    ),
    'passed',
  );
  t.equal(
    outcomeOf(
      judge(
        crash,
        drill([
          [0, 500, 'east'],
          [500, 3000, 'timed-out'],
        ]),
      ),
    ),
    'failed: no-failover',
  );
  t.equal(
    outcomeOf(judge(crash, drill([[0, 4000, 'east']]))),
    'failed: no-failover',
    'a dead backend that still answers is not the drill',
  );
  t.equal(
    outcomeOf(judge(crash, drill([[0, 4000, 'west']]))),
    'inconclusive: control-failed',
    'the local backends never answered',
  );
  t.equal(
    outcomeOf(judge(crash, drill(HEALTHY, { failback: { converged: false, elapsedMs: 60_000 } }))),
    'failed: no-failback',
  );
  t.equal(outcomeOf(judge(crash, drill(HEALTHY, { ready: false }))), 'inconclusive: control-failed');
  t.equal(outcomeOf(judge(crash, drill([], { standby: false }))), 'failed: no-failover');
  t.equal(outcomeOf(judge(crash, drill([], { clients: [] }))), 'inconclusive: probe-failed');
});

t.test('a whole cluster gone', async (t) => {
  const observed = {
    ...drill([
      [0, 500, 'west'],
      [500, 900, 'timed-out'],
      [900, 3000, 'east'],
    ]),
    before: ['east', 'west'],
    held: true,
  };
  t.equal(outcomeOf(judge(clusterGone, observed)), 'passed');
  t.equal(outcomeOf(judge(clusterGone, { ...observed, before: ['east'] })), 'inconclusive: control-failed');
  t.equal(outcomeOf(judge(clusterGone, { ...observed, held: false })), 'inconclusive: fault-did-not-hold');
  t.equal(
    outcomeOf(judge(clusterGone, { ...observed, failback: { converged: false, elapsedMs: 1 } })),
    'failed: no-failback',
  );
  t.equal(
    outcomeOf(
      judge(clusterGone, {
        ...drill([
          [0, 500, 'east'],
          [500, 3000, 'timed-out'],
        ]),
        before: ['east', 'west'],
        held: true,
      }),
    ),
    'failed: no-failover',
  );
  const kept = judge(clusterGone, {
    ...drill([
      [0, 500, 'east'],
      [500, 3000, 'timed-out'],
    ]),
    before: ['east', 'west'],
    held: true,
    kept: 'it is never forgotten',
  });
  t.equal(outcomeOf(kept), 'failed: no-failover');
  t.match(kept, { reason: /as configured: it is never forgotten/ });
  const halves = Array.from({ length: 25 }, (_, index): Span[] => [
    [500 + index * 100, 550 + index * 100, 'timed-out'],
    [550 + index * 100, 600 + index * 100, 'east'],
  ]);
  const shared = {
    ...drill([[0, 500, 'east'], ...halves.flat()]),
    before: ['east', 'west'],
    held: true,
    kept: 'it is never forgotten',
    failback: { converged: true, elapsedMs: 1 },
  };
  t.equal(
    outcomeOf(judge(clusterGone, { ...shared, served: false })),
    'failed: no-failover',
    'that the last call was answered is chance, where half of them are',
  );
  t.equal(
    outcomeOf(judge(clusterGone, { ...observed, kept: 'it is never forgotten', served: true })),
    'passed',
    'what traffic shows counts, whatever is configured',
  );
});

t.test('the tunnel down', async (t) => {
  const observed = (spans: Span[]) => ({ ...drill(spans), held: true, heldAt: 1_600, back: true });
  const healthy: Span[] = [
    [0, 500, 'west'],
    [500, 3100, 'refused'],
    [3100, 4000, 'west'],
  ];
  t.equal(outcomeOf(judge(tunnelDown, observed(healthy))), 'passed');
  t.equal(outcomeOf(judge(tunnelDown, observed([[0, 4000, 'west']]))), 'failed: wrong-path');
  const slowlyDown: Span[] = [
    [0, 1500, 'west'],
    [1500, 3100, 'refused'],
    [3100, 4000, 'west'],
  ];
  t.equal(
    outcomeOf(judge(tunnelDown, observed(slowlyDown))),
    'passed',
    'a fault may take its time to be in place',
  );
  const late = observed(healthy);
  for (const { samples: all } of late.clients) {
    all.push({ at: 2_990, latencyMs: 40, outcome: 'answered', cluster: 'west' });
    all.sort((a, b) => a.at - b.at);
  }
  t.equal(
    outcomeOf(judge(tunnelDown, late)),
    'passed',
    'what is sent at the end is answered when it is back',
  );
  t.equal(
    outcomeOf(
      judge(
        tunnelDown,
        observed([
          [0, 500, 'west'],
          [500, 4000, 'timed-out'],
        ]),
      ),
    ),
    'failed: no-failover',
  );
  t.equal(outcomeOf(judge(tunnelDown, observed([[0, 4000, 'east']]))), 'inconclusive: control-failed');
  t.equal(
    outcomeOf(judge(tunnelDown, { ...observed(healthy), held: false })),
    'inconclusive: fault-did-not-hold',
  );
});

t.test('what fails while calls inside the cluster fail too is the fault of the machine', async (t) => {
  const slow = { control: samples([0, 800, 'east'], [800, 1200, 'timed-out'], [1200, 4000, 'east']) };
  const stall = { control: samples([0, 800, 'east'], [800, 825, 'timed-out'], [825, 4000, 'east']) };
  const calm = { control: samples([0, 4000, 'east']) };
  const dead: Span[] = [
    [0, 500, 'east'],
    [500, 3000, 'timed-out'],
  ];
  t.equal(outcomeOf(judge(crash, drill(dead, calm))), 'failed: no-failover');
  t.equal(outcomeOf(judge(crash, drill(dead, slow))), 'inconclusive: cpu-saturated');
  t.equal(
    outcomeOf(judge(crash, drill(dead, stall))),
    'failed: no-failover',
    'one stall keeps nobody from recovering',
  );
  t.equal(outcomeOf(judge(crash, drill(dead, { ...calm, ready: false }))), 'inconclusive: control-failed');
  t.equal(outcomeOf(judge(crash, drill(HEALTHY, slow))), 'passed', 'a pass needs no excuse');
  t.equal(
    outcomeOf(judge(crash, drill(dead, { ...slow, ready: false }))),
    'inconclusive: cpu-saturated',
    'a control is as late as what it is for',
  );
  const gone = { ...drill(dead), before: ['east', 'west'], held: true };
  t.equal(outcomeOf(judge(clusterGone, { ...gone, ...calm })), 'failed: no-failover');
  t.equal(outcomeOf(judge(clusterGone, { ...gone, ...slow })), 'inconclusive: cpu-saturated');
  const open = { ...drill([[0, 4000, 'west']]), held: true, heldAt: 600, back: true };
  t.equal(
    outcomeOf(judge(tunnelDown, { ...open, ...slow })),
    'failed: wrong-path',
    'no excuse for an answer',
  );
});
