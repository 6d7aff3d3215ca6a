import t from 'tap';
import { UserError } from '../../lib/model/errors.ts';
import type { Suite } from '../../lib/model/check.ts';
import { wayOf } from '../../lib/model/topology.ts';
import { type PlanInput, checkGlobs, planCases } from '../../lib/run/plan.ts';
import { checkOf, specOf, suiteOf, topologyOf } from './support.ts';

const plan = (suites: readonly Suite[], spec = specOf(), changes: Partial<PlanInput> = {}) =>
  planCases({
    suites,
    spec,
    class: 'underlay',
    features: ['l3.pod'],
    inexpressible: () => undefined,
    ...changes,
  });
const ids = (...args: Parameters<typeof plan>): string[] => plan(...args).cases.map(({ id }) => id);

const names = (count: number): string[] => ['east', 'west', 'north', 'south', 'c5', 'c6'].slice(0, count);

t.test('every scope becomes its subjects, in the order of suites and checks', (t) => {
  const suites = [
    suiteOf('b', checkOf('b.pair'), checkOf('b.cluster', { scope: 'cluster' })),
    suiteOf('a', checkOf('a.fleet', { scope: 'fleet' })),
  ];
  t.strictSame(ids(suites), [
    'b.pair[east->west]',
    'b.pair[west->east]',
    'b.cluster[east]',
    'b.cluster[west]',
    'a.fleet[fleet]',
  ]);
  t.end();
});

t.test('the family is a variant only when both run and the check varies with it', (t) => {
  const suites = [
    suiteOf('s', checkOf('s.a', { scope: 'fleet' }), checkOf('s.b', { scope: 'fleet', familyless: true })),
  ];
  t.strictSame(ids(suites, specOf({ families: ['ipv4', 'ipv6'] })), [
    's.a[fleet,ipv4]',
    's.a[fleet,ipv6]',
    's.b[fleet]',
  ]);
  const [only] = plan(suites, specOf({ families: ['ipv6'] })).cases;
  t.equal(only?.id, 's.a[fleet]');
  t.equal(only?.expectation.family, 'ipv6');
  t.end();
});

t.test('a forbidden pair appears only for checks that name it', (t) => {
  const topology = {
    ...topologyOf(['east', 'west']),
    members: [
      { name: 'east', segments: ['prod'] },
      { name: 'west', segments: ['test'] },
    ],
  };
  const suites = [suiteOf('s', checkOf('s.open'), checkOf('s.closed', { paths: ['forbidden'] }))];
  const { cases } = plan(suites, specOf({ topology }));
  t.strictSame(
    cases.map(({ id }) => id),
    ['s.closed[east->west]', 's.closed[west->east]'],
  );
  t.strictSame(cases[0]?.expectation.path, { kind: 'forbidden' });
  t.end();
});

t.test('selection: level, suite, check and case globs, skips', (t) => {
  const suites = [
    suiteOf('dns', checkOf('dns.answers'), checkOf('dns.truncation', { level: 'extended' })),
    suiteOf('mtu', checkOf('mtu.path')),
  ];
  t.strictSame(ids(suites, specOf({ level: 'extended' })), [
    'dns.truncation[east->west]',
    'dns.truncation[west->east]',
  ]);
  t.equal(ids(suites, specOf({ level: 'all' })).length, 6);
  t.strictSame(ids(suites, specOf({ suites: ['m*'] })), ['mtu.path[east->west]', 'mtu.path[west->east]']);
  t.strictSame(ids(suites, specOf({ checks: ['*[east->west]'] })), [
    'dns.answers[east->west]',
    'mtu.path[east->west]',
  ]);
  t.strictSame(ids(suites, specOf({ skips: ['dns', '*[west->*'] })), ['mtu.path[east->west]']);
  t.strictSame(plan(suites, specOf({ checks: ['mtu.path[east->west]'] })).unselected, [
    'dns.answers: not selected',
    'mtu.path: not selected (1 of 2 cases)',
  ]);
  t.end();
});

const thrownBy = (action: () => unknown): unknown => {
  try {
    return action();
  } catch (error) {
    return error;
  }
};

t.test('globs that match nothing name the nearest, and nothing selected is an error', (t) => {
  const suites = [suiteOf('dns', checkOf('dns.answers')), suiteOf('mtu', checkOf('mtu.path'))];
  t.match(
    thrownBy(() => checkGlobs(suites, specOf({ suites: ['dsn'] }))),
    { where: '--suite', remedy: /"dns"/ },
  );
  t.match(
    thrownBy(() => checkGlobs(suites, specOf({ checks: ['mtu.pth'] }))),
    {
      where: '--check',
      remedy: /"mtu\.path"/,
    },
  );
  t.match(
    thrownBy(() => checkGlobs(suites, specOf({ skips: ['mtu.path[east->wst]'] }))),
    {
      remedy: /mtu\.path\[east->west\]/,
    },
  );
  t.doesNotThrow(() => checkGlobs(suites, specOf({ suites: ['*'], checks: ['*.path'], skips: ['dns'] })));
  t.throws(() => plan(suites, specOf({ suites: ['dns'], checks: ['mtu.path'] })), UserError);
  t.throws(() => plan(suites, specOf({ skips: ['*'] })), UserError);
  t.end();
});

t.test('what cannot or need not run is skipped with its reason', (t) => {
  const uses = [
    {
      name: 'odd',
      workloads: [],
      intents: [{ kind: 'share-service', namespace: 'n', service: 's', preference: 'spread' }],
    },
  ] as const;
  const suites = [
    suiteOf(
      's',
      checkOf('s.feature', { scope: 'fleet', requires: ['l3.pod', 'wan.capture'] }),
      checkOf('s.class', { scope: 'fleet', classes: ['mesh-flat'] }),
      checkOf('s.intent', { scope: 'fleet', uses }),
      checkOf('s.fine', { scope: 'fleet', requires: ['l3.pod'] }),
    ),
  ];
  const inexpressible = () => 'nobody shares';
  const unasked = plan(suites, specOf(), { inexpressible }).cases.map(({ check }) => check);
  t.strictSame(unasked, ['s.feature', 's.intent', 's.fine'], 'another class is no matter of this run');
  const { cases } = plan(suites, specOf({ suites: ['s'] }), { inexpressible });
  const lacking = { 'wan.capture': 'this machine has no eyes' };
  t.match(
    plan(suites, specOf({ lacking }), { inexpressible }).cases[0]?.skip,
    /^needs wan\.capture: this machine/,
  );
  t.match(cases[0]?.skip, /wan\.capture/);
  t.notMatch(cases[0]?.skip, /l3\.pod/);
  t.match(cases[1], { skip: /underlay/, outsideClass: true });
  t.equal(cases[2]?.skip, 'nobody shares');
  t.equal(cases[3]?.skip, undefined);
  t.end();
});

t.test('a quick look leaves out what the technology takes its time for', (t) => {
  const suites = [
    suiteOf('s', checkOf('s.long', { scope: 'fleet' }), checkOf('s.longer', { scope: 'fleet' })),
  ];
  const budgets = { 's.long.recovery': { value: 161_000, reason: 'two heartbeats' } };
  const skipsOf = (changes: Parameters<typeof specOf>[0]): (string | undefined)[] =>
    plan(suites, specOf(changes), { budgets }).cases.map(({ skip }) => skip);
  const [left, run] = skipsOf({ tuning: 'fast' });
  t.match(left, /161 s.*--check s\.long/);
  t.equal(run, undefined, 'a name that begins alike is another check');
  t.equal(skipsOf({ tuning: 'as-configured' })[0], undefined);
  t.equal(skipsOf({ tuning: 'fast', level: 'all' })[0], undefined);
  t.equal(skipsOf({ tuning: 'fast', patient: true })[0], undefined);
  t.equal(skipsOf({ tuning: 'fast', checks: ['s.l*'] })[0], undefined);
  const short = { 's.long.recovery': { value: 60_000, reason: 'one' } };
  t.equal(plan(suites, specOf({ tuning: 'fast' }), { budgets: short }).cases[0]?.skip, undefined);
  t.end();
});

t.test('sampling is seeded, stable, and the same pairs for every check', (t) => {
  const suites = [
    suiteOf('performance', checkOf('performance.a'), checkOf('performance.b')),
    suiteOf('failover', checkOf('failover.a')),
    suiteOf('mtu', checkOf('mtu.path')),
  ];
  const pairsRun = (check: string, changes: Parameters<typeof specOf>[0]): string[] =>
    plan(suites, specOf(changes))
      .cases.filter((planned) => planned.check === check && planned.skip === undefined)
      .map(({ id }) => id.slice(id.indexOf('[')));
  const four = { names: names(4) };
  t.equal(pairsRun('performance.a', four).length, 6);
  t.strictSame(pairsRun('performance.a', four), pairsRun('performance.a', four));
  t.strictSame(pairsRun('performance.a', four), pairsRun('performance.b', four));
  t.strictSame(pairsRun('performance.a', four), pairsRun('failover.a', four));
  const seeds = ['a', 'b', 'c', 'd'].map((seed) => pairsRun('performance.a', { ...four, seed }).join());
  t.ok(new Set(seeds).size > 1, 'another seed draws other pairs');
  const met = pairsRun('performance.a', { names: names(6) }).flatMap((pair) => pair.match(/\w+/g));
  t.equal(new Set(met).size, 6, 'a few pairs meet all clusters');
  const six = names(6);
  const ways = pairsRun('performance.a', { names: six }).map((pair) => {
    const [from, to] = pair.match(/\w+/g) as [string, string];
    return wayOf(six, { from, to });
  });
  t.strictSame(
    ways.toSorted(),
    ['across', 'across', 'back', 'back', 'there', 'there'],
    'as many of each way, since those of one way wait for each other',
  );
  t.equal(pairsRun('mtu.path', four).length, 12);
  t.equal(pairsRun('performance.a', { names: names(3) }).length, 6, 'six pairs are not sampled');
  t.equal(pairsRun('performance.a', { ...four, pairs: { kind: 'all', explicit: true } }).length, 12);
  t.equal(pairsRun('performance.a', { ...four, pairs: { kind: 'sample', count: 2 } }).length, 2);
  const left = plan(suites, specOf(four)).cases.filter(({ skip }) => skip !== undefined);
  t.ok(left.every(({ skip }) => skip === 'not sampled'));
  t.end();
});

t.test('dependencies follow subject and variant, across scopes too', (t) => {
  const suites = [
    suiteOf(
      's',
      checkOf('s.pair'),
      checkOf('s.cluster', { scope: 'cluster' }),
      checkOf('s.fleet', { scope: 'fleet', familyless: true }),
      checkOf('s.absent', { requires: ['icmp'] }),
      checkOf('s.last', { dependsOn: ['s.pair', 's.cluster', 's.fleet', 's.absent'] }),
      checkOf('s.lastCluster', { scope: 'cluster', dependsOn: ['s.pair'] }),
      checkOf('s.lastFleet', { scope: 'fleet', familyless: true, dependsOn: ['s.cluster'] }),
    ),
  ];
  const { cases } = plan(suites, specOf({ names: names(3) }));
  const dependenciesOf = (id: string) => cases.find((planned) => planned.id === id)?.dependsOn;
  t.strictSame(dependenciesOf('s.last[east->west]'), [
    's.pair[east->west]',
    's.cluster[east]',
    's.cluster[west]',
    's.fleet[fleet]',
  ]);
  t.strictSame(dependenciesOf('s.lastCluster[north]'), [
    's.pair[east->north]',
    's.pair[west->north]',
    's.pair[north->east]',
    's.pair[north->west]',
  ]);
  t.equal(dependenciesOf('s.lastFleet[fleet]')?.length, 3);
  const dual = plan(suites, specOf({ families: ['ipv4', 'ipv6'] })).cases;
  t.strictSame(dual.find(({ id }) => id === 's.last[east->west,ipv6]')?.dependsOn, [
    's.pair[east->west,ipv6]',
    's.cluster[east,ipv6]',
    's.cluster[west,ipv6]',
    's.fleet[fleet]',
  ]);
  t.end();
});

t.test('defects of suites are found', (t) => {
  t.throws(() => plan([suiteOf('s', checkOf('s.a', { dependsOn: ['s.b'] }))]), /s\.b, which does not exist/);
  const circle = suiteOf('s', checkOf('s.a', { dependsOn: ['s.b'] }), checkOf('s.b', { dependsOn: ['s.a'] }));
  t.throws(() => plan([circle]), /depend on each other/);
  t.end();
});

t.test('configured budgets replace the defaults', (t) => {
  const budgets = {
    limit: { value: 1, unit: 'ms', reason: 'a test' },
    other: { value: 2, unit: 'ms', reason: 'a test' },
  };
  const [planned] = plan(
    [suiteOf('s', checkOf('s.a', { budgets }))],
    specOf({ budgets: { 's.a.limit': 9 } }),
  ).cases;
  t.strictSame(planned?.budgets, { limit: 9, other: 2 });
  t.end();
});

t.test('a hundred clusters are planned', (t) => {
  const many = Array.from({ length: 100 }, (_, index) => `c${index}`);
  const checks = ['s.a', 's.b', 's.c'].map((id, index, all) =>
    checkOf(id, { dependsOn: all.slice(0, index) }),
  );
  t.equal(ids([suiteOf('s', ...checks)], specOf({ names: many })).length, 3 * 100 * 99);
  t.end();
});
