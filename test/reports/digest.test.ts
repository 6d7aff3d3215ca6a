import t from 'tap';
import { inconclusive, skipped } from '../../lib/model/verdict.ts';
import {
  countsOf,
  countsText,
  explain,
  headline,
  placesOf,
  problemsOf,
  remarks,
  runFailure,
  skipsByReason,
  slowSetUp,
} from '../../reports/digest.ts';
import {
  healthy,
  interrupted,
  lost,
  ninetyPairs,
  resultsOf,
  setUpDied,
  slowlySetUp,
  troubled,
} from './support.ts';

t.test('the headline says class, verdict and what was skipped of the core', async (t) => {
  t.equal(headline(healthy()), 'underlay: conformant · nothing of the core was skipped');
  const partial = resultsOf(({ suite }) =>
    suite === 'encryption' || suite === 'mtu' ? skipped('needs a tunnel') : undefined,
  );
  t.equal(
    headline(partial),
    'underlay: partial · skipped of the core: mtu.path (2 cases), encryption.wire (2 cases): needs a tunnel',
  );
  const whole = ['a', 'b', 'c'].map((check) => `policy.${check}: not selected`);
  const conformance = { ...healthy().conformance, skippedCore: [...whole, 'dns.local: not selected'] };
  t.match(headline({ ...healthy(), conformance }), /: policy \(3 checks\), dns\.local: not selected$/);
  const unselected = { ...healthy().conformance, skippedCore: ['dns.local: not selected', 'odd entry'] };
  t.match(headline({ ...healthy(), conformance: unselected }), /dns\.local: not selected; odd entry$/);
});

t.test('a set-up that took long says where its time went, of equal steps by the slowest', async (t) => {
  const slow = slowSetUp(slowlySetUp());
  t.equal(slow?.totalMs, 99_400, 'cases are no part of it');
  t.same(
    slow?.steps.map(({ phase, step, cluster, durationMs }) => [phase, step, cluster, durationMs]),
    [
      ['create', 'kind create cluster', 'west', 43_000],
      ['workloads', 'workload mcnet/client', 'west', 38_000],
      ['workloads', 'workload mcnet/echo-1', 'east', 12_000],
      ['create', 'images loaded', 'east', 10_100],
    ],
  );
  t.notOk(
    slow?.steps.some(({ step }) => step === 'networks'),
    'what was quick is not slow for want of anything slower',
  );
  t.equal(slowSetUp(healthy()), undefined, 'nobody told of its steps');
  const short = slowlySetUp().phases.map((phase) => ({ ...phase, endedMs: 9_000 }));
  t.equal(slowSetUp({ ...healthy(), phases: short }), undefined);
});

t.test('counts', async (t) => {
  t.equal(countsText(countsOf(troubled().cases)), '2 failed, 3 inconclusive, 2 skipped, 15 passed');
  t.equal(countsText(countsOf([])), 'no cases');
});

t.test('dependants stand with what they depend on, not on their own', async (t) => {
  const { roots } = problemsOf(troubled().cases);
  t.same(
    roots.map(({ check, status, cases, dependants }) => [check, status, cases.length, dependants.length]),
    [
      ['dns.shared', 'failed', 1, 1],
      ['mtu.path', 'failed', 1, 0],
      ['performance.throughput', 'inconclusive', 2, 0],
    ],
  );
});

t.test('identical failures of ninety pairs are one problem', async (t) => {
  const { cases } = ninetyPairs();
  const { roots } = problemsOf(cases);
  const [tcp] = roots;
  t.equal(roots.length, 2);
  t.match(tcp, { check: 'reachability.tcp', of: 90 });
  t.equal(tcp?.cases.length, 10);
  t.same(
    placesOf(
      tcp?.cases ?? [],
      cases.filter(({ check }) => check === 'reachability.tcp'),
    ),
    ['*->north', 'c5->c9'],
  );
  // Chains end at their root: what waits for dns.shared, which waits for reachability.tcp.
  t.ok(tcp?.dependants.some(({ check }) => check === 'failover.crash'));
});

t.test('nothing gets lost between the groups', async (t) => {
  for (const results of [troubled(), ninetyPairs(), setUpDied(), interrupted()]) {
    const { roots, notStarted } = problemsOf(results.cases);
    const grouped = [
      ...roots.flatMap(({ cases, dependants }) => [...cases, ...dependants]),
      ...notStarted.flatMap(({ cases }) => cases),
    ];
    const wrong = results.cases.filter(({ verdict }) => ['failed', 'inconclusive'].includes(verdict.status));
    t.same(grouped.map(({ id }) => id).toSorted(), wrong.map(({ id }) => id).toSorted());
  }
});

t.test('a dependant whose cause is not in the results stands for itself', async (t) => {
  const orphan = resultsOf(({ id }) =>
    id === 'mtu.path[east->west]' ? inconclusive('dependency-failed', 'gone failed') : undefined,
  );
  t.match(problemsOf(orphan.cases).roots, [{ check: 'mtu.path', status: 'inconclusive' }]);
});

t.test('dependencies in a circle, as only a damaged record has them, come to an end', async (t) => {
  const { cases } = resultsOf(({ suite }) =>
    suite === 'mtu' ? inconclusive('dependency-failed', 'round and round') : undefined,
  );
  const circle = cases.map((result) =>
    result.suite === 'mtu'
      ? { ...result, dependsOn: cases.filter(({ suite }) => suite === 'mtu').map(({ id }) => id) }
      : result,
  );
  const { roots } = problemsOf(circle);
  t.equal(roots.flatMap(({ cases: some, dependants }) => [...some, ...dependants]).length, 2);
});

t.test('a verdict is explained in the order in which it is needed', async (t) => {
  const results = resultsOf(({ id }) =>
    id === 'reachability.tcp[east->west]' ? lost('east', '10.16.0.3') : undefined,
  );
  const explained = explain(problemsOf(results.cases).roots[0]!.cases[0]);
  t.same(
    explained.map(({ label }) => label),
    ['expected', 'seen', 'cause', 'look at', 'reproduce', 'see'],
  );
  t.match(explained[2]?.text, /never reached the target.*\(request-lost\)$/);
});

t.test('what must be known before a result is trusted is said', async (t) => {
  t.same(remarks(healthy()), []);
  t.match(remarks(setUpDied()), [
    /^Clean-up failed; left behind: network namespace .*`mcnet-conformance clean k3x9ab`/,
  ]);
  t.match(remarks(interrupted()), [/interrupted/]);
  const subject = {
    ...healthy().subject,
    tuning: 'fast' as const,
    build: { kind: 'local' as const, differs: 'no filters' },
    changedBudgets: ['mtu.path.minimum'],
    remarks: ['It keeps what it knows for 15 s'],
  };
  t.match(remarks({ ...healthy(), subject }), [
    /not a production result/,
    /for 15 s$/,
    /no filters/,
    /mtu\.path\.minimum/,
  ]);
});

t.test('a run that died or executed nothing has failed by itself', async (t) => {
  t.equal(runFailure(healthy()), undefined);
  t.match(runFailure(setUpDied()), { id: 'run.set-up[fleet]', seen: /No space left/ });
  t.match(runFailure(resultsOf(() => skipped('not here'))), { id: 'run.executed[fleet]' });
  t.equal(runFailure(interrupted()), undefined);
});

t.test('skips are counted by reason', async (t) => {
  t.match(skipsByReason(ninetyPairs().cases), [{ reason: 'not sampled' }]);
});
