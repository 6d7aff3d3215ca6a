import t from 'tap';
import type { AnyCheck, Exclusive } from '../../lib/model/check.ts';
import { InternalError } from '../../lib/model/errors.ts';
import type { Subject } from '../../lib/model/ids.ts';
import type { PlannedCase } from '../../lib/model/record.ts';
import { directedPairs } from '../../lib/model/topology.ts';
import { type Verdict, failed, passed } from '../../lib/model/verdict.ts';
import { Company } from '../../lib/run/company.ts';
import {
  type Locks,
  companyOf,
  concurrencyFor,
  inStartOrder,
  locksOf,
  mayRepeat,
  runSchedule,
} from '../../lib/run/schedule.ts';
import { plannedCase, topologyOf } from './support.ts';

const NAMES = ['east', 'west', 'north', 'south'];
const lost = failed('request-lost', 'lost', { expected: 'an answer', seen: 'silence' });

/** A small generator with a seed: the same schedule each time (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const conflict = (a: Locks, b: Locks): boolean =>
  a.alone.some((name) => b.alone.includes(name) || b.shared.includes(name)) ||
  b.alone.some((name) => a.shared.includes(name)) ||
  (a.own ?? []).some((name) => b.own?.includes(name));

interface Run {
  readonly started: string[];
  readonly verdicts: Map<string, Verdict>;
  readonly unstarted: PlannedCase[];
  readonly mostAtOnce: number;
  readonly overlaps: string[];
}

async function schedule(
  cases: readonly PlannedCase[],
  locks: (planned: PlannedCase) => Locks,
  options: {
    verdict?: (planned: PlannedCase) => Verdict;
    concurrency?: number;
    mostlyWaits?: () => boolean;
    random?: () => number;
    bail?: boolean;
    signal?: AbortSignal;
    onStart?: (planned: PlannedCase) => void;
  } = {},
): Promise<Run> {
  const started: string[] = [];
  const verdicts = new Map<string, Verdict>();
  const running = new Map<string, Locks>();
  const overlaps: string[] = [];
  let mostAtOnce = 0;
  const unstarted = await runSchedule({
    cases,
    locks,
    concurrency: options.concurrency ?? 16,
    ...(options.mostlyWaits && { mostlyWaits: options.mostlyWaits }),
    known: new Map(),
    signal: options.signal ?? new AbortController().signal,
    settle: (planned, verdict) => verdicts.set(planned.id, verdict),
    execute: async (planned) => {
      const mine = locks(planned);
      for (const [id, other] of running)
        if (conflict(mine, other)) overlaps.push(`${planned.id} beside ${id}`);
      running.set(planned.id, mine);
      mostAtOnce = Math.max(mostAtOnce, running.size);
      started.push(planned.id);
      options.onStart?.(planned);
      const turns = Math.floor((options.random?.() ?? 0) * 5);
      for (let turn = 0; turn <= turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
      running.delete(planned.id);
      const verdict = options.verdict?.(planned) ?? passed('fine');
      verdicts.set(planned.id, verdict);
      return verdict;
    },
    ...(options.bail && { stopAfter: ({ status }: Verdict) => status === 'failed' }),
  });
  return { started, verdicts, unstarted, mostAtOnce, overlaps };
}

t.test('cases that would disturb each other never overlap, and all of them run', async (t) => {
  const kinds: Exclusive[] = ['none', 'none', 'none', 'pair', 'caller', 'target', 'cluster', 'fleet'];
  const subjects: Subject[] = [
    { scope: 'fleet' },
    ...NAMES.map((cluster) => ({ scope: 'cluster', cluster }) as const),
    ...directedPairs(NAMES).map((pair) => ({ scope: 'pair', ...pair }) as const),
  ];
  for (const kind of ['full-mesh', 'hub-and-spoke', 'tree'] as const) {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomOf(seed);
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
      const exclusives = new Map<string, Exclusive>();
      const cases = Array.from({ length: 60 }, (_, index) => {
        const id = `case ${index}`;
        const subject = pick(subjects);
        const exclusive = pick(kinds);
        const ofPairs = exclusive === 'caller' || exclusive === 'target';
        exclusives.set(id, ofPairs && subject.scope !== 'pair' ? 'cluster' : exclusive);
        const dependsOn = index > 0 && random() < 0.3 ? [`case ${Math.floor(random() * index)}`] : [];
        return plannedCase({ id, subject, dependsOn });
      });
      const topology = topologyOf(NAMES, kind);
      const locks = ({ id, subject }: PlannedCase): Locks =>
        locksOf({ id: 'a.check', exclusive: exclusives.get(id)! }, subject, topology);
      const run = await schedule(cases, locks, { random });
      t.strictSame(run.overlaps, [], `${kind}, seed ${seed}`);
      t.equal(run.started.length, cases.length);
      t.strictSame(run.unstarted, []);
      for (const planned of cases) {
        for (const dependency of planned.dependsOn) {
          if (run.started.indexOf(dependency) > run.started.indexOf(planned.id)) {
            t.fail(`${planned.id} started before ${dependency}`);
          }
        }
      }
    }
  }
});

t.test('what each kind takes', (t) => {
  const topology = topologyOf(['hub', 'a', 'b'], 'hub-and-spoke');
  const pair: Subject = { scope: 'pair', from: 'a', to: 'b' };
  t.strictSame(locksOf({ id: 'x', exclusive: 'none' }, pair, topology), {
    shared: ['fleet', 'cluster a', 'cluster hub', 'cluster b', 'link a|hub', 'link b|hub'],
    alone: [],
  });
  t.strictSame(locksOf({ id: 'x', exclusive: 'pair' }, pair, topology).alone, ['link a|hub', 'link b|hub']);
  const onA = locksOf({ id: 'x', exclusive: 'cluster' }, { scope: 'cluster', cluster: 'a' }, topology);
  t.strictSame(onA.alone, ['cluster a']);
  const onHub = locksOf({ id: 'x', exclusive: 'cluster' }, { scope: 'cluster', cluster: 'hub' }, topology);
  t.ok(conflict(onHub, locksOf({ id: 'x' }, pair, topology)), 'transit traffic never meets a disturbed hub');
  t.ok(conflict(onA, locksOf({ id: 'x' }, { scope: 'cluster', cluster: 'b' }, topology)));
  t.strictSame(locksOf({ id: 'x', exclusive: 'fleet' }, pair, topology), { shared: [], alone: ['fleet'] });
  const together = { name: 'streams', of: 'fleet', where: 'separateUplinks' } as const;
  t.strictSame(locksOf({ id: 'x', exclusive: 'fleet', together }, pair, topology).own, [
    'uplink a',
    'uplink hub',
    'downlink b',
  ]);
  const [clusterA, clusterB] = (['a', 'b'] as const).map(
    (cluster) => ({ scope: 'cluster', cluster }) as const,
  );
  const single = { id: 's.one', oneAtATime: 'of all' as const };
  t.ok(conflict(locksOf(single, clusterA!, topology), locksOf(single, clusterB!, topology)));

  const eachWay = { id: 's.way', oneAtATime: 'each way' } as const;
  const ends = { from: 'hub', to: 'a' };
  const [there, again, onBack] = [ends, { from: 'hub', to: 'b' }, { from: 'a', to: 'hub' }].map((each) =>
    locksOf(eachWay, { scope: 'pair', ...each }, topology),
  );
  t.ok(conflict(there!, again!));
  t.notOk(conflict(there!, onBack!), 'each way has backends of its own');
  const bothWays = { id: 's.both', oneAtATime: 'both ways' } as const;
  const [one, sameAgain] = [ends, { from: 'a', to: 'hub' }].map((each) =>
    locksOf(bothWays, { scope: 'pair', ...each }, topology),
  );
  t.strictSame(
    one!.alone,
    sameAgain!.alone,
    'both directions share with each other what they have for themselves',
  );
  t.ok(conflict(one!, locksOf(bothWays, { scope: 'pair', from: 'hub', to: 'b' }, topology)));
  const [used, usedByAnother] = ['s.few', 's.many'].map((id) =>
    locksOf({ ...eachWay, id, backends: 'theirs' }, { scope: 'pair', ...ends }, topology),
  );
  t.ok(conflict(used!, usedByAnother!), 'checks have backends in common');

  const caller = locksOf({ id: 'x', exclusive: 'caller' }, pair, topology);
  t.strictSame(caller.alone, ['cluster a']);
  t.ok(caller.shared.includes('cluster b') && caller.shared.includes('cluster hub'));
  const back: Subject = { scope: 'pair', from: 'b', to: 'a' };
  t.strictSame(locksOf({ id: 'x', exclusive: 'target' }, back, topology), {
    shared: ['fleet', 'cluster b', 'cluster hub', 'link b|hub', 'link a|hub'],
    alone: ['cluster a'],
  });
  t.throws(() => locksOf({ id: 'x', exclusive: 'target' }, clusterA!, topology), InternalError);

  const inside = { id: 'x', staysInside: true };
  t.notOk(
    conflict(caller, locksOf(inside, clusterB!, topology)),
    'what stays inside is not disturbed elsewhere',
  );
  t.ok(conflict(caller, locksOf(inside, clusterA!, topology)));
  t.end();
});

const share = (): Locks => ({ shared: ['fleet'], alone: [] });

t.test('the order is that of the plan, at most so many at once', async (t) => {
  const cases = Array.from({ length: 40 }, (_, index) => plannedCase({ id: `case ${index}` }));
  const run = await schedule(cases, share, { concurrency: 5 });
  t.strictSame(
    run.started,
    cases.map(({ id }) => id),
  );
  t.equal(run.mostAtOnce, 5);
});

t.test('an exclusive case does not starve behind an endless row of others', async (t) => {
  const cases = Array.from({ length: 30 }, (_, index) => plannedCase({ id: `case ${index}` }));
  cases.splice(4, 0, plannedCase({ id: 'alone' }));
  const locks = ({ id }: PlannedCase): Locks => (id === 'alone' ? { shared: [], alone: ['fleet'] } : share());
  const run = await schedule(cases, locks, { concurrency: 3 });
  t.equal(run.started.indexOf('alone'), 4);
  t.strictSame(run.overlaps, []);
});

t.test('nor one that wants a cluster for itself behind those that come after it', async (t) => {
  // Three that use the cluster end at different times, so that it is never free by chance.
  const before = Array.from({ length: 3 }, (_, index) => plannedCase({ id: `before ${index}` }));
  const after = Array.from({ length: 30 }, (_, index) => plannedCase({ id: `after ${index}` }));
  const elsewhere = plannedCase({ id: 'elsewhere' });
  const locks = ({ id }: PlannedCase): Locks => {
    if (id === 'alone') return { shared: ['fleet'], alone: ['cluster east'] };
    if (id === 'elsewhere') return { shared: ['fleet'], alone: ['link north|west'] };
    return { shared: ['fleet', 'cluster east'], alone: [`link ${id}`] };
  };
  const cases = [...before, plannedCase({ id: 'alone' }), ...after, elsewhere];
  const run = await schedule(cases, locks, { concurrency: 40, random: randomOf(7) });
  t.strictSame(run.started.slice(0, 5), [...before.map(({ id }) => id), 'elsewhere', 'alone']);
  t.strictSame(run.overlaps, []);
});

t.test('one that waits for its like keeps nobody waiting', async (t) => {
  const locks = ({ id }: PlannedCase): Locks => {
    const alone = id === 'elsewhere' ? 'cluster west' : 'cluster east';
    return { shared: ['fleet'], alone: [alone], own: [id === 'first' ? 'way back' : 'way there'] };
  };
  const cases = ['first', 'second', 'elsewhere'].map((id) => plannedCase({ id }));
  const run = await schedule(cases, locks, { random: () => 0.9 });
  t.strictSame(run.started, ['first', 'elsewhere', 'second']);
  t.strictSame(run.overlaps, []);
});

t.test('dependants of what did not pass are inconclusive and name the root', async (t) => {
  const cases = [
    plannedCase({ id: 'root' }),
    plannedCase({ id: 'second', dependsOn: ['root'] }),
    plannedCase({ id: 'third', dependsOn: ['second'] }),
    plannedCase({ id: 'other' }),
    plannedCase({ id: 'free', dependsOn: ['other', 'never planned'] }),
  ];
  const run = await schedule(cases, share, { verdict: ({ id }) => (id === 'root' ? lost : passed('fine')) });
  t.match(run.verdicts.get('second'), { status: 'inconclusive', cause: 'dependency-failed', reason: /root/ });
  t.match(run.verdicts.get('third'), {
    cause: 'dependency-failed',
    reason: /root, which is failed \(request-lost\)/,
  });
  t.equal(run.verdicts.get('free')?.status, 'passed');
  t.strictSame(run.started.toSorted(), ['free', 'other', 'root']);
});

t.test('bail stops what has not started; so does an abort', async (t) => {
  const cases = Array.from({ length: 10 }, (_, index) => plannedCase({ id: `case ${index}` }));
  const bailed = await schedule(cases, share, {
    concurrency: 1,
    bail: true,
    verdict: ({ id }) => (id === 'case 2' ? lost : passed('')),
  });
  t.equal(bailed.started.length, 3);
  t.equal(bailed.unstarted.length, 7);
  const controller = new AbortController();
  const aborted = await schedule(cases, share, {
    concurrency: 2,
    signal: controller.signal,
    onStart: ({ id }) => id === 'case 3' && controller.abort(),
  });
  t.equal(aborted.started.length, 4);
  t.equal(aborted.unstarted.length, 6);
});

t.test(
  'what shares starts before what wants everything for itself, each in the order of the plan',
  async (t) => {
    const checks: Record<string, Pick<AnyCheck, 'exclusive' | 'oneAtATime' | 'timed' | 'timeoutMs'>> = {
      a: { exclusive: 'fleet' },
      b: {},
      c: { exclusive: 'pair' },
      d: { exclusive: 'none' },
      e: { exclusive: 'cluster' },
      f: { oneAtATime: 'of all' },
      g: { oneAtATime: 'each way', timed: true },
      h: { timeoutMs: 180_000 },
      i: { timeoutMs: 180_000, oneAtATime: 'of all' },
    };
    const cases = Object.keys(checks).map((id) => plannedCase({ id }));
    const orderOf = (limits: { casesAtOnce?: number }): string[] =>
      inStartOrder(cases, ({ id }) => checks[id]!, limits).map(({ id }) => id);
    t.strictSame(orderOf({}), ['i', 'h', 'f', 'g', 'b', 'd', 'c', 'e', 'a']);
    t.strictSame(
      orderOf({ casesAtOnce: 2 }),
      ['i', 'h', 'f', 'b', 'd', 'c', 'e', 'g', 'a'],
      'what looks at the time is late',
    );
    const chain = [
      plannedCase({ id: 'd' }),
      plannedCase({ id: 'b' }),
      plannedCase({ id: 'root' }),
      plannedCase({ id: 'middle', dependsOn: ['root'] }),
      plannedCase({ id: 'f', dependsOn: ['middle', 'ended before'] }),
    ];
    t.strictSame(
      inStartOrder(chain, ({ id }) => checks[id] ?? {}).map(({ id }) => id),
      ['root', 'middle', 'f', 'd', 'b'],
      'what others rest on starts first',
    );
    const long = [
      plannedCase({ id: 'first' }),
      plannedCase({ id: 'root' }),
      plannedCase({ id: 'd', dependsOn: ['first'] }),
      plannedCase({ id: 'middle', dependsOn: ['root'] }),
      plannedCase({ id: 'h', dependsOn: ['middle'] }),
    ];
    t.strictSame(
      inStartOrder(long, ({ id }) => checks[id] ?? {}).map(({ id }) => id),
      ['root', 'middle', 'first', 'h', 'd'],
      'and of that first what the longest rests on',
    );
    const late = [...long.slice(0, 3), plannedCase({ id: 'e', dependsOn: ['root'] })];
    t.strictSame(
      inStartOrder(late, ({ id }) => (id === 'e' ? { ...checks['e'], timeoutMs: 240_000 } : {})).map(
        ({ id }) => id,
      ),
      ['first', 'root', 'd', 'e'],
      'unless that cannot start as early',
    );
    const round = [plannedCase({ id: 'a', dependsOn: ['b'] }), plannedCase({ id: 'b', dependsOn: ['a'] })];
    t.equal(inStartOrder(round, () => ({})).length, 2, 'those that wait for each other are not its business');
  },
);

t.test('more cases that mostly wait than others run at once', async (t) => {
  const cases = Array.from({ length: 40 }, (_, index) => plannedCase({ id: `case ${index}` }));
  t.equal((await schedule(cases, share, { concurrency: 2, mostlyWaits: () => true })).mostAtOnce, 12);
  t.equal((await schedule(cases, share, { concurrency: 2, mostlyWaits: () => false })).mostAtOnce, 2);
});

t.test('neither cases that work nor cases that wait keep all places from the other kind', async (t) => {
  const mostAtOnce = async (order: readonly string[]) => {
    const cases = order.map((kind, index) => plannedCase({ id: `${kind} ${index}` }));
    const running = { works: 0, waits: 0 };
    const most = { works: 0, waits: 0, together: 0 };
    await runSchedule({
      cases,
      locks: () => share(),
      mostlyWaits: ({ id }) => id.startsWith('waits'),
      concurrency: 2,
      known: new Map(),
      signal: new AbortController().signal,
      settle: () => undefined,
      execute: async ({ id }) => {
        const kind = id.startsWith('waits') ? 'waits' : 'works';
        running[kind]++;
        most[kind] = Math.max(most[kind], running[kind]);
        if (running.works > 0) most.together = Math.max(most.together, running.waits);
        await new Promise<void>((resolve) => setImmediate(resolve));
        running[kind]--;
        return passed('fine');
      },
    });
    return most;
  };
  const [some, many] = [Array<string>(4).fill('works'), Array<string>(30).fill('waits')];
  t.strictSame(await mostAtOnce([...some, ...many]), { works: 2, waits: 12, together: 12 });
  t.strictSame(await mostAtOnce([...many, ...some]), { works: 2, waits: 12, together: 12 });
});

t.test('what wants calm runs beside its like only, and beside what is quiet', async (t) => {
  const cases = ['a', 'calm b', 'calm c', 'd', 'quiet', 'calm e', 'f'].map((id) => plannedCase({ id }));
  const isCalm = ({ id }: Pick<PlannedCase, 'id'>): boolean => id.startsWith('calm');
  const isQuiet = ({ id }: Pick<PlannedCase, 'id'>): boolean => id === 'quiet';
  const running = new Set<string>();
  const met: string[][] = [];
  await runSchedule({
    cases,
    locks: () => share(),
    inCalm: isCalm,
    quiet: isQuiet,
    mostlyWaits: isQuiet,
    concurrency: 2,
    known: new Map(),
    signal: new AbortController().signal,
    settle: () => undefined,
    execute: async ({ id }) => {
      running.add(id);
      met.push([...running].toSorted());
      for (let turns = id === 'quiet' ? 20 : 1; turns > 0; turns--)
        await new Promise<void>((resolve) => setImmediate(resolve));
      running.delete(id);
      return passed('fine');
    },
  });
  t.equal(met.length, 7, 'all have run');
  const kindsOf = (some: readonly string[]): Set<boolean> =>
    new Set(some.filter((id) => !isQuiet({ id })).map((id) => isCalm({ id })));
  for (const some of met) t.ok(kindsOf(some).size <= 1, some.join(', '));
  const besideQuiet = met.filter((some) => some.includes('quiet')).flat();
  t.ok(besideQuiet.some((id) => isCalm({ id })) && besideQuiet.includes('d'), 'beside both');
  t.ok(
    met.some((some) => some.filter((id) => isCalm({ id })).length === 2),
    'two at once',
  );
});

t.test('cases of a company start at once, when all may, and share what each wants alone', async (t) => {
  const cases = [
    plannedCase({ id: 'control' }),
    plannedCase({ id: 'other' }),
    plannedCase({ id: 'a', dependsOn: ['control'] }),
    plannedCase({ id: 'b' }),
    plannedCase({ id: 'c' }),
  ];
  const isMember = (id: string): boolean => ['a', 'b', 'c'].includes(id);
  const running = new Set<string>();
  const company: string[][] = [];
  await runSchedule({
    cases,
    locks: ({ id }) =>
      isMember(id)
        ? { shared: ['fleet'], alone: ['cluster east'], own: [id === 'c' ? 'check x back' : `check x ${id}`] }
        : share(),
    company: ({ id }) => (isMember(id) ? 'outage' : undefined),
    concurrency: 2,
    known: new Map(),
    signal: new AbortController().signal,
    settle: () => undefined,
    execute: async ({ id }, member) => {
      running.add(id);
      t.equal(member !== undefined, isMember(id));
      await member?.readyForFault();
      if (isMember(id)) company.push([...running].toSorted());
      running.delete(id);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return passed('fine');
    },
  });
  t.strictSame(company[0], ['a', 'b', 'c'], 'nobody goes on before all are there');
  t.equal(company.length, 3);
});

t.test('of a company, cases that use the same backends run one after the other', async (t) => {
  const cases = ['a', 'b', 'c'].map((id) => plannedCase({ id }));
  const atOnce: number[] = [];
  let running = 0;
  await runSchedule({
    cases,
    locks: ({ id }) => ({ shared: ['fleet'], alone: ['cluster east'], own: id === 'c' ? [] : ['check x'] }),
    company: () => 'outage',
    concurrency: 8,
    known: new Map(),
    signal: new AbortController().signal,
    settle: () => undefined,
    execute: async (_planned, member) => {
      running++;
      await member?.readyForFault();
      atOnce.push(running);
      await new Promise<void>((resolve) => setImmediate(resolve));
      running--;
      return passed('fine');
    },
  });
  t.strictSame(atOnce, [2, 2, 1]);
});

t.test(
  'a company whose cases want nothing for themselves is no larger than the machine can carry',
  async (t) => {
    const cases = Array.from({ length: 8 }, (_, index) => plannedCase({ id: `${index}` }));
    const atOnce: number[] = [];
    let running = 0;
    await runSchedule({
      cases,
      locks: () => share(),
      company: () => 'drills',
      concurrency: 1,
      known: new Map(),
      signal: new AbortController().signal,
      settle: () => undefined,
      execute: async () => {
        atOnce.push(++running);
        await new Promise<void>((resolve) => setImmediate(resolve));
        running--;
        return passed('fine');
      },
    });
    t.equal(Math.max(...atOnce), 2);
    t.equal(atOnce.length, 8);
  },
);

t.test('a company is named by its check, its variants and, where asked for, its two ends', (t) => {
  const there = plannedCase({
    id: 'x',
    subject: { scope: 'pair', from: 'east', to: 'west' },
    variants: ['ipv6'],
  });
  const back = plannedCase({
    id: 'y',
    subject: { scope: 'pair', from: 'west', to: 'east' },
    variants: ['ipv6'],
  });
  const ofPair = { id: 's.a', together: { name: 'latency', of: 'pair' } } as const;
  t.equal(companyOf(ofPair, there), 'latency ipv6 east west');
  t.equal(companyOf(ofPair, back), companyOf(ofPair, there));
  t.equal(companyOf({ id: 's.a', together: { name: 'outage', of: 'fleet' } }, there), 'outage ipv6');
  t.equal(companyOf({ id: 's.a' }, there), undefined);
  t.equal(companyOf({ id: 's.a', oneAtATime: 'both ways' }, back), 's.a ipv6 east west');
  const apart = { id: 's.a', together: { name: 'streams', of: 'fleet', where: 'separateUplinks' } } as const;
  t.equal(companyOf(apart, there), undefined, 'streams by one link slow each other');
  t.equal(companyOf(apart, there, { separateUplinks: true }), 'streams ipv6');
  const few = { id: 's.a', together: { name: 'outage', of: 'fleet', where: 'casesAtOnce' } } as const;
  t.equal(companyOf(few, there), undefined);
  t.equal(companyOf(few, there, { casesAtOnce: 2 }), 'outage ipv6');
  t.end();
});

t.test('what wants nothing for itself may be observed again beside others', async (t) => {
  const company = new Company();
  const member = company.join();
  const together = { name: 'outage', of: 'fleet' } as const;
  t.equal(mayRepeat({ together, exclusive: 'caller' }, member), false);
  t.equal(mayRepeat({ together, exclusive: 'caller' }, undefined), true, 'it runs by itself');
  t.equal(mayRepeat({ together }, member), true);
  t.equal(mayRepeat({ oneAtATime: 'both ways' }, member), false, 'it would change what others look at');
});

t.test('of clusters that share a machine each leaves less of it for cases', async (t) => {
  const limits = { setUpMs: 1, setUpPerClusterMs: 1, graceMs: 1, teardownMs: 1, teardownPerClusterMs: 1 };
  const shared = { ...limits, clustersShareMachine: true } as const;
  const at = (casesAtOnce: number) =>
    [1, 2, 3, 6].map((clusters) => concurrencyFor(undefined, { ...shared, casesAtOnce }, clusters));
  t.strictSame(at(2), [2, 2, 1, 1]);
  t.strictSame(at(8), [8, 8, 5, 3]);
  t.equal(concurrencyFor(undefined, { ...limits, casesAtOnce: 2 }, 6), 2, 'each has a machine of its own');
  t.equal(concurrencyFor(undefined, limits, 2), 8);
  t.equal(concurrencyFor(3, { ...shared, casesAtOnce: 2 }, 6), 3, 'what is asked for holds');
});
