import t from 'tap';
import type { RunSubject } from '../../lib/model/record.ts';
import type { RunResults } from '../../lib/model/results.ts';
import type { ClusterUsage, Moment } from '../../lib/model/usage.ts';
import { type Figures, failed, inconclusive, passed, skipped } from '../../lib/model/verdict.ts';
import {
  type Comparison,
  type Entrant,
  type Row,
  compareRuns,
  comparisonHeadline,
  isMeasured,
} from '../../reports/comparison.ts';
import { healthy, interrupted, resultsOf, setUpDied, troubled } from './support.ts';

const as = (profile: string, results: RunResults, subject: Partial<RunSubject> = {}): RunResults => ({
  ...results,
  subject: { ...results.subject, profile, ...subject },
});
const entrant = (name: string, ...runs: readonly RunResults[]): Entrant => ({ name, runs });

/** A run of which a check has these figures in each of its cases, in order. */
const withFigures = (check: string, ...figures: readonly Figures[]): RunResults => {
  let index = 0;
  return resultsOf((planned) =>
    planned.check === check ? passed('measured', figures[index++ % figures.length]) : undefined,
  );
};
const ratio = (value: number, spread?: number): Figures => ({
  ratio: { value, unit: 'of baseline' },
  baseline: { value: 700, unit: 'Mbit/s' },
  ...(spread !== undefined && { spread: { value: spread, unit: 'of the median' } }),
});

const rowOf = ({ groups }: Comparison, name: string): Row => {
  const row = groups.flatMap(({ rows }) => rows).find((one) => one.name === name);
  if (!row)
    throw new Error(
      `there is no row "${name}" among ${groups.flatMap((g) => g.rows.map((r) => r.name)).join(', ')}`,
    );
  return row;
};

void t.test('class, verdict, build and counts stand above each column', async (t) => {
  const local = { build: { kind: 'local', differs: 'built here' } } as const;
  const comparison = compareRuns([
    entrant('none', healthy()),
    entrant('istio', as('istio', troubled(), { class: 'mesh-flat', ...local })),
  ]);
  t.match(comparison.columns, [
    {
      name: 'none',
      class: 'underlay',
      verdict: 'conformant',
      build: { kind: 'vendor' },
      counts: { failed: 0 },
    },
    {
      name: 'istio',
      class: 'mesh-flat',
      verdict: 'not conformant',
      build: local.build,
      counts: { failed: 2 },
    },
  ]);
  t.same(comparison.columns[1]?.suites['mtu'], { failed: 1, inconclusive: 0, skipped: 0, passed: 1 });
  t.equal(
    compareRuns([entrant('none', healthy())]).on,
    'lab · wireguard · full-mesh of 2 · ipv4',
    'what all have in common',
  );
  t.strictSame(
    comparison.columns.map(({ heading }) => heading),
    ['none, vendor build', 'istio, local build'],
  );
  t.match(
    comparisonHeadline(comparison),
    /^none, vendor build: underlay, conformant; istio, local build: mesh-flat, not conformant · /,
  );
  t.strictSame(
    comparison.wrong.map(({ check, verdicts }) => [
      check,
      verdicts['none']?.status,
      verdicts['istio']?.status,
    ]),
    [
      ['dns.shared', 'passed', 'failed'],
      ['mtu.path', 'passed', 'failed'],
      ['failover.crash', 'passed', 'inconclusive'],
      ['performance.throughput', 'passed', 'inconclusive'],
    ],
  );
  t.strictSame(comparison.columns[1]?.cannot, [
    { reason: 'needs wan.capture, which nothing in this run offers', checks: ['encryption.wire'] },
  ]);
});

void t.test('who is ahead is said only where the spread allows it', async (t) => {
  const row = (a: RunResults, b: RunResults): Row =>
    rowOf(compareRuns([entrant('a', a), entrant('b', b)]), 'throughput');
  const check = 'performance.throughput';
  const clear = row(
    withFigures(check, ratio(0.95), ratio(0.97)),
    withFigures(check, ratio(0.3), ratio(0.32)),
  );
  t.strictSame(clear.ahead, ['a']);
  t.equal(clear.unranked, undefined);
  t.match(clear.cells, [
    { value: 96, low: 95, high: 97, samples: 2 },
    { value: 31, low: 30, high: 32, samples: 2 },
  ]);
  const near = row(withFigures(check, ratio(0.95), ratio(0.97)), withFigures(check, ratio(0.9), ratio(0.93)));
  t.strictSame(near.ahead, []);
  t.match(near.unranked, /no difference beyond the spread/);
  // The same values, but each from runs that lay far apart.
  const wide = row(
    withFigures(check, ratio(0.95, 1.2), ratio(0.97, 1.2)),
    withFigures(check, ratio(0.3, 1.2), ratio(0.32, 1.2)),
  );
  t.strictSame(wide.ahead, [], 'the spread of a case counts');
});

void t.test('of three, those are ahead than which nobody is better', async (t) => {
  const of = (...values: readonly [number, number]): RunResults =>
    withFigures('performance.throughput', ratio(values[0]), ratio(values[1]));
  const comparison = compareRuns([
    entrant('a', of(0.95, 0.97)),
    entrant('b', of(0.2, 0.21)),
    entrant('c', of(0.9, 0.93)),
  ]);
  t.strictSame(rowOf(comparison, 'throughput').ahead, ['a', 'c']);
  t.equal(rowOf(comparison, "throughput: the underlay's own").better, undefined, 'a baseline is no contest');
});

void t.test('latency is compared with the slower of what is named after it', async (t) => {
  const ms = (value: number) => ({ value, unit: 'ms' });
  const figures: Figures = {
    p50: ms(3),
    'p50 baseline': ms(2),
    p95: ms(9),
    p99: ms(12),
    'p99 gateway to gateway': ms(6),
    'p99 inside the cluster': ms(3),
  };
  const comparison = compareRuns([entrant('a', withFigures('performance.latency', figures))]);
  t.match(rowOf(comparison, 'latency, p50').cells, [{ value: 1.5 }]);
  t.match(rowOf(comparison, 'latency, p99').cells, [{ value: 2 }]);
  t.match(rowOf(comparison, "latency, p99: the underlay's own").cells, [{ value: 6 }]);
  t.notOk(
    comparison.groups[0]?.rows.some(({ name }) => name.includes('p95')),
    'without a baseline it is no ratio',
  );
});

void t.test('latency of pods and of services has rows of its own', async (t) => {
  const ms = (value: number) => ({ value, unit: 'ms' });
  const pods = withFigures('performance.latency', { p50: ms(3), 'p50 baseline': ms(2) });
  const both: RunResults = {
    ...pods,
    cases: pods.cases.flatMap((one) =>
      one.check === 'performance.latency'
        ? [
            one,
            {
              ...one,
              id: one.id.replace('latency', 'service-latency'),
              check: 'performance.service-latency',
              verdict: passed('measured', {
                ...{ p50: ms(5), 'p50 baseline': ms(2) },
                ...{ p95: ms(9), 'p95 baseline': ms(3) },
              }),
            },
          ]
        : [one],
    ),
  };
  const services = { ...both, cases: both.cases.filter(({ check }) => check !== 'performance.latency') };
  const comparison = compareRuns([entrant('both', both), entrant('services', services)]);
  t.match(rowOf(comparison, 'latency, p50').cells, [{ value: 1.5 }, { reason: /does not count for/ }]);
  t.match(rowOf(comparison, 'service latency, p50').cells, [{ value: 2.5 }, { value: 2.5 }]);
  t.match(rowOf(comparison, 'service latency, p95').cells, [{ value: 3 }, { value: 3 }]);
  t.match(rowOf(comparison, "service latency, p95: the underlay's own").cells, [{ value: 3 }, { value: 3 }]);
});

void t.test('a drill takes as long as the slower kind of connection', async (t) => {
  const comparison = compareRuns([entrant('a', healthy())]);
  const [cell] = rowOf(comparison, 'crash').cells;
  const slower = healthy()
    .cases.filter(({ check }) => check === 'failover.crash')
    .map(({ verdict }) => verdict.figures?.['recovery, kept-alive']?.value ?? 0);
  t.ok(cell && isMeasured(cell));
  t.match(cell, { low: Math.min(...slower), high: Math.max(...slower), samples: 2 });
  t.match(rowOf(comparison, 'crash: back again').cells, [{ samples: 2 }]);
});

void t.test('what was measured once is shown, and not ranked until there are several runs', async (t) => {
  const installed = (durationMs: number): RunResults => ({
    ...healthy(),
    phases: [
      { phase: 'install', durationMs },
      { phase: 'intents', durationMs: 10, endedMs: 90_000 },
    ],
  });
  const once = compareRuns([entrant('a', installed(1_000)), entrant('b', installed(30_000))]);
  const row = rowOf(once, 'technology installed');
  t.match(row, {
    ahead: [],
    unranked: /measured once/,
    cells: [{ value: 1_000, samples: 1 }, { value: 30_000 }],
  });
  t.match(rowOf(once, 'ready for the first case').cells, [{ value: 90_000 }, { value: 90_000 }]);
  const twice = compareRuns([
    entrant('a', installed(1_000), installed(1_100)),
    entrant('b', installed(30_000), installed(31_000)),
  ]);
  t.match(rowOf(twice, 'technology installed'), { ahead: ['a'], cells: [{ samples: 2 }, { samples: 2 }] });
});

void t.test('a run that died, was cut short, or never began says so in every cell', async (t) => {
  const comparison = compareRuns([
    entrant('none', healthy()),
    entrant('istio', as('istio', setUpDied())),
    entrant('cut', as('istio', interrupted())),
    { name: 'cilium', runs: [], notRun: 'the comparison was interrupted before its turn' },
  ]);
  t.match(comparison.columns, [
    { failure: undefined },
    { failure: /set-up failed: .*No space left/ },
    { failure: 'the run was interrupted' },
    { failure: /before its turn/, runs: [] },
  ]);
  for (const { name, cells } of comparison.groups.flatMap(({ rows }) => rows)) {
    const [measured, died, , never] = cells;
    t.ok(measured && (isMeasured(measured) || measured.reason.length > 0), name);
    t.match(died, { reason: /set-up failed|./ }, name);
    t.match(never, { reason: /before its turn/ }, name);
  }
  t.match(rowOf(comparison, 'throughput').cells[2], {
    reason: /was interrupted before/,
    status: 'inconclusive',
  });
  t.match(
    rowOf(comparison, 'technology installed').cells[2],
    { value: 0 },
    'what was measured before is there',
  );
  t.match(comparisonHeadline(comparison), /istio: not measured/);
  t.match(comparison.remarks.join('\n'), /istio: Clean-up failed/);
});

void t.test('cells carry the verdict of their cases, and an inconclusive one is not ranked', async (t) => {
  const check = 'performance.throughput';
  const doubtful = resultsOf((planned) =>
    planned.check === check
      ? inconclusive('spread-too-wide', 'too wide', { figures: ratio(0.5) })
      : undefined,
  );
  const low = resultsOf((planned) =>
    planned.check === check
      ? failed('throughput-low', 'low', { expected: 'more', seen: 'less', figures: ratio(0.2) })
      : undefined,
  );
  const bare = resultsOf((planned) =>
    planned.check === check ? failed('throughput-low', 'low', { expected: 'more', seen: 'less' }) : undefined,
  );
  const good = withFigures(check, ratio(0.95), ratio(0.97));
  const comparison = compareRuns([
    entrant('good', good),
    entrant('doubtful', doubtful),
    entrant('low', low),
    entrant('bare', bare),
  ]);
  t.match(rowOf(comparison, 'throughput'), {
    cells: [
      { value: 96 },
      { value: 50, status: 'inconclusive' },
      { value: 20, status: 'failed' },
      { reason: 'performance.throughput failed: low', status: 'failed' },
    ],
    ahead: ['good'],
  });
  const alone = rowOf(compareRuns([entrant('good', good), entrant('doubtful', doubtful)]), 'throughput');
  t.match(alone, { ahead: [], unranked: /could not be judged/ });
});

void t.test('a check that a class does not have is told from one that was not selected', async (t) => {
  const mesh = resultsOf();
  const without = (reason: readonly string[]): RunResults => ({
    ...mesh,
    cases: mesh.cases.filter(({ check }) => check !== 'performance.throughput'),
    conformance: { ...mesh.conformance, skippedCore: reason },
  });
  const comparison = compareRuns([
    entrant('all', mesh),
    entrant('class', without([])),
    entrant('selection', without(['performance.throughput: not selected (2 of 2 cases)'])),
    entrant(
      'skipped',
      resultsOf(({ check }) => (check === 'performance.throughput' ? skipped('needs l3.pod') : undefined)),
    ),
  ]);
  t.match(rowOf(comparison, 'throughput').cells, [
    { value: Number },
    { reason: 'does not count for the class underlay' },
    { reason: 'not selected' },
    { reason: 'needs l3.pod' },
  ]);
  t.match(comparison.columns[1]?.cannot, [{ checks: ['performance.throughput'] }]);
});

void t.test('runs that were not made alike are shown, and nobody is ahead', async (t) => {
  const check = 'performance.throughput';
  const a = withFigures(check, ratio(0.95), ratio(0.97));
  const b = withFigures(check, ratio(0.3), ratio(0.32));
  const changes: [Partial<RunSubject>, RegExp][] = [
    [{ provider: 'kind' }, /provider \(a: lab; b: kind\)/],
    [{ underlay: 'direct' }, /underlay \(a: wireguard; b: direct\)/],
    [{ clusters: ['east', 'west', 'north'] }, /clusters \(a: 2; b: 3\)/],
    [{ tuning: 'fast' }, /timers \(a: as-configured; b: fast\)/],
    [{ ipFamilies: ['ipv6'] }, /IP families \(a: ipv4; b: ipv6\)/],
    [{ seed: 'other' }, /seed/],
    [
      { build: { kind: 'local', differs: 'a: not observed: x' } },
      /build \(a: vendor build; b: build not observed\)/,
    ],
    [{ build: { kind: 'local', differs: 'built here' } }, /build \(a: vendor build; b: local build\)/],
  ];
  for (const [change, remark] of changes) {
    const comparison = compareRuns([entrant('a', a), entrant('b', as('none', b, change))]);
    t.match(comparison.remarks[0], remark);
    t.match(rowOf(comparison, 'throughput'), { ahead: [], unranked: /not made alike/ });
  }
  const processors = (count: string) => ({ versions: { processors: count } });
  const machines = compareRuns([
    entrant('a', as('none', a, processors('2'))),
    entrant('b', as('istio', b, processors('8'))),
  ]);
  t.match(machines.remarks[0], /processors \(a: 2; b: 8\)/);
  const died = compareRuns([entrant('a', a), entrant('b', as('istio', setUpDied(), { provider: 'kind' }))]);
  t.notOk(
    died.remarks.some((remark) => /Not the same/.test(remark)),
    'a run without figures disturbs nothing',
  );
});

void t.test('versions that all have in common stand once', async (t) => {
  const versions = (own: Record<string, string>) => ({ versions: { kernel: '6.1', ...own } });
  const comparison = compareRuns([
    entrant('a', as('a', healthy(), versions({}))),
    entrant('b', as('b', healthy(), versions({ 'Istio control plane': '1.31.0' }))),
  ]);
  t.strictSame(comparison.versions, { kernel: '6.1' });
  t.strictSame(
    comparison.columns.map((column) => column.versions),
    [{}, { 'Istio control plane': '1.31.0' }],
  );
});

const usageOf = (
  moment: Moment,
  cluster: string,
  planes: Partial<Record<'control plane' | 'data plane', number>>,
): ClusterUsage => ({
  cluster,
  moment,
  windowMs: 30_000,
  containers: [
    ...Object.entries(planes).map(([part, scale]) => ({
      namespace: 'system',
      pod: part,
      container: part,
      part: part as 'control plane',
      memoryBytes: 100e6 * scale,
      cores: 0.1 * scale,
    })),
    {
      namespace: 'kube-system',
      pod: 'etcd',
      container: 'etcd',
      part: 'kubernetes',
      memoryBytes: 50e6,
      cores: 0.02,
    },
    {
      namespace: 'mcnet',
      pod: 'client',
      container: 'agent',
      part: 'workloads',
      memoryBytes: 9e6,
      cores: 0.3,
    },
  ],
});

void t.test('memory and processors are those of each cluster, by plane', async (t) => {
  const using = (...usage: readonly ClusterUsage[]): RunResults => ({ ...healthy(), usage });
  const mesh = (scale: number): ClusterUsage[] =>
    (['idle', 'load'] as const).flatMap((moment) =>
      ['east', 'west'].map((cluster) =>
        usageOf(moment, cluster, { 'control plane': scale, 'data plane': 2 * scale }),
      ),
    );
  const none = using(...['east', 'west'].map((cluster) => usageOf('idle', cluster, {})));
  const comparison = compareRuns([
    entrant('none', none),
    entrant('small', using(...mesh(1))),
    entrant('large', using(...mesh(4))),
    entrant(
      'unread',
      using({ cluster: 'east', moment: 'idle', windowMs: 0, containers: [], reason: 'forbidden' }),
    ),
    entrant('plain run', healthy()),
  ]);
  const rows = comparison.groups
    .filter(({ title }) => /of each cluster/.test(title))
    .flatMap((group) => group.rows);
  t.equal(rows.length, 12, 'three parts, at two moments, by memory and by processors');
  const [memory] = rows;
  t.match(memory, {
    name: 'control plane, idle',
    unit: 'bytes',
    cells: [
      { none: true, reason: /no control plane/ },
      { value: 100e6, samples: 2 },
      { value: 400e6 },
      { reason: 'forbidden' },
      { reason: /a plain run does not/ },
    ],
    ahead: ['small'],
  });
  const loaded = rows.find(({ name, unit }) => name === 'data plane, loaded' && unit === 'CPU');
  t.match(loaded?.cells, [{ reason: /performance did not run/ }, { value: 0.2 }, { value: 0.8 }]);
  t.match(rows.find(({ name }) => name === 'Kubernetes, CNI, idle')?.cells[0], { value: 50e6 });
  t.notOk(
    compareRuns([entrant('a', healthy())]).groups.some(({ title }) => /of each cluster/.test(title)),
    'nobody looked: no rows',
  );
});

void t.test('records that say nothing make no table of zeros', async (t) => {
  const comparison = compareRuns([
    { name: 'a', runs: [], notRun: 'no' },
    { name: 'b', runs: [], notRun: 'no' },
  ]);
  t.strictSame(comparison.groups, []);
  t.match(comparison.columns, [{ failure: 'no' }, { failure: 'no' }]);
});
