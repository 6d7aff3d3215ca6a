import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import type { AnyCheck, Suite } from '../../lib/model/check.ts';
import { InterruptedError } from '../../lib/model/errors.ts';
import { ProbeError } from '../../lib/model/probe.ts';
import type { RunSpec } from '../../lib/model/spec.ts';
import { passed } from '../../lib/model/verdict.ts';
import { type RunDependencies, type RunOutcome, executeRun } from '../../lib/run/execute.ts';
import { registryOf } from '../../lib/run/registry.ts';
import { readResults } from '../../lib/run/results.ts';
import { NotSettledError } from '../../lib/run/toolkit.ts';
import { listRuns } from '../../lib/run/state.ts';
import {
  type FakeOptions,
  FakeSystem,
  checkOf,
  fastClock,
  never,
  planOf,
  specOf,
  suiteOf,
  temporaryFolder,
  topologyOf,
} from './support.ts';

const fixture = {
  name: 'all',
  workloads: [{ namespace: 'mcnet', name: 'client', labels: {} }],
  services: [{ namespace: 'mcnet', name: 'echo', selector: {}, ports: [], healthPort: 80 }],
  intents: [{ kind: 'share-service', namespace: 'mcnet', service: 'echo', preference: 'spread' }],
} as const;

const standard: readonly Suite[] = [
  suiteOf('s', checkOf('s.a', { uses: [fixture] }), checkOf('s.b', { scope: 'fleet' })),
];

interface Trial {
  readonly system: FakeSystem;
  readonly outcome: RunOutcome;
  readonly folder: string;
  readonly lines: readonly string[];
  statusOf(id: string): string | undefined;
}

async function run(
  suites: readonly Suite[],
  options: {
    fake?: FakeOptions;
    spec?: Partial<RunSpec>;
    dependencies?: Partial<RunDependencies>;
    folder?: string;
    system?: FakeSystem;
    change?: (system: FakeSystem) => Partial<RunDependencies>;
  } = {},
): Promise<Trial> {
  const folder = options.folder ?? (await temporaryFolder());
  const system = options.system ?? new FakeSystem(options.fake);
  const out = path.join(folder, 'out');
  const dependencies = system.dependencies(suites, folder, {
    ...options.dependencies,
    ...options.change?.(system),
  });
  const outcome = await executeRun(specOf({ out, ...options.spec }), dependencies);
  const text = await readFile(path.join(out, 'record.ndjson'), 'utf8').catch(() => '');
  const statusOf = (id: string) => outcome.results.cases.find((one) => one.id === id)?.verdict.status;
  return { system, outcome, folder, lines: text.split('\n'), statusOf };
}

const runsLeft = async (folder: string) => listRuns(path.join(folder, 'state'), fastClock);

t.test(
  'a run from begin to end: everything passes, nothing is left, the record says the same again',
  async (t) => {
    const { system, outcome, folder, lines } = await run(standard);
    t.match(outcome, {
      exitCode: 0,
      results: { ended: 'completed', teardown: 'clean', conformance: { verdict: 'conformant' } },
    });
    t.strictSame([...system.existing], []);
    t.strictSame(await runsLeft(folder), []);
    t.ok(
      system.log.indexOf('apply share-service east') > system.log.indexOf('exposeService east/mcnet/echo'),
    );
    const types = lines.slice(0, -1).map((line) => (JSON.parse(line) as { type: string }).type);
    t.strictSame([types[0], types[1], types.at(-1)], ['run.start', 'plan', 'run.end']);
    const [again] = readResults(lines, registryOf(standard));
    // Closing the record takes time that its last line cannot know.
    const live = { ...outcome.results, durationMs: again?.durationMs };
    t.strictSame(again, JSON.parse(JSON.stringify(live)));
    t.strictSame(outcome.results.subject.versions, { kernel: '6.1', direct: 'routes' });
    t.match(system.events[0], { type: 'run.began' });
    t.ok(system.events.some(({ type }) => type === 'case.started'));
  },
);

t.test('what containers take is looked at when that is asked for, and said when it cannot be', async (t) => {
  const { outcome, lines, folder } = await run(standard, { spec: { measureUsage: true } });
  t.equal(outcome.exitCode, 0);
  const reason = 'clusters of the lab have no containers';
  const looks = ['east', 'west'].map((cluster) => ({ cluster, moment: 'idle', containers: [], reason }));
  t.match(outcome.results.usage, looks);
  t.match(readResults(lines, registryOf(standard))[0]?.usage, looks, 'the record tells the same');
  const phases = outcome.results.phases.map(({ phase }) => phase);
  t.equal(phases.indexOf('usage'), phases.indexOf('cases') - 1);
  t.strictSame(await runsLeft(folder), []);

  const loaded = await run([suiteOf('performance', checkOf('performance.a'))], {
    spec: { measureUsage: true },
  });
  t.strictSame(
    loaded.outcome.results.usage?.map(({ cluster, moment }) => `${cluster} ${moment}`),
    ['east idle', 'west idle', 'east load', 'west load'],
  );
  t.equal((await run(standard)).outcome.results.usage, undefined, 'no run looks by itself');
});

t.test('the record has the steps of the set-up, without secrets', async (t) => {
  const { outcome, lines } = await run(standard, { fake: { waited: 'token=aGVsbG9oZWxsbw 3.0 s' } });
  const stepsOf = (name: string) => outcome.results.phases.find(({ phase }) => phase === name)?.steps;
  const waited = 'token=[redacted] 3.0 s';
  const inBoth = (step: string, facts: object = {}) =>
    ['east', 'west'].map((cluster) => ({ step, cluster, ...facts }));
  t.match(stepsOf('install'), [{ step: 'control plane', cluster: undefined, failed: undefined }]);
  t.match(stepsOf('workloads'), inBoth('workload mcnet/client', { detail: waited, durationMs: Number }));
  t.match(stepsOf('services'), inBoth('service mcnet/echo', { detail: undefined }));
  t.match(stepsOf('intents'), [
    ...inBoth('share-service mcnet/echo applied'),
    ...inBoth('share-service mcnet/echo in force'),
  ]);
  t.equal(stepsOf('cases'), undefined);
  t.notMatch(lines.join('\n'), /aGVsbG9oZWxsbw/);
  const told = readResults(lines, registryOf(standard))[0]?.phases;
  t.strictSame(told, JSON.parse(JSON.stringify(outcome.results.phases)), 'the record tells the same');

  const older = lines.filter((line) => !line.includes('"phase.step"'));
  const phases = readResults(older, registryOf(standard))[0]?.phases;
  t.ok(phases?.some(({ phase }) => phase === 'workloads'));
  t.notOk(
    phases?.some(({ steps }) => steps),
    'a record without them is read as before',
  );
});

t.test('a step that failed says so, and the set-up dies by it', async (t) => {
  const { outcome } = await run(standard, {
    fake: {
      hook: (step, detail) => {
        if (step === 'exposeService' && detail.startsWith('west')) throw new Error('no room');
      },
    },
  });
  t.match(outcome, { exitCode: 2, results: { ended: 'set-up-failed', error: 'no room' } });
  const { steps = [] } = outcome.results.phases.find(({ phase }) => phase === 'services') ?? {};
  const failed = Object.fromEntries(steps.map((step) => [step.cluster, step.failed]));
  t.strictSame(failed, { east: undefined, west: true });
});

t.test('whose builds were tested: as parts say, and what cannot be told is no vendor’s', async (t) => {
  const buildOf = async (
    provider: readonly string[],
    profile: () => Promise<readonly string[]>,
    spec: Partial<RunSpec> = {},
  ) => {
    const { outcome } = await run(standard, {
      spec,
      change: (system) => ({
        provider: { ...system.provider, localBuilds: async () => provider },
        profile: { ...system.profile, localBuilds: profile },
      }),
    });
    return outcome.results.subject.build;
  };
  t.strictSame(await buildOf([], async () => []), { kind: 'vendor' });
  t.strictSame(await buildOf(['node: x'], async () => ['proxy: y', 'node: x']), {
    kind: 'local',
    differs: 'node: x; proxy: y',
  });
  t.strictSame(await buildOf([], () => Promise.reject(new Error('no engine'))), {
    kind: 'local',
    differs: 'none: not observed: no engine',
  });
  t.strictSame(
    await buildOf(['clusters: not observed'], async () => ['proxy: y'], { provider: 'contexts' }),
    { kind: 'local', differs: 'clusters: not observed' },
    'images of this machine say nothing of what others installed',
  );
});

t.test('created resources are undone newest first', async (t) => {
  const { system } = await run(standard);
  const undone = system.log.filter((entry) => entry.startsWith('undo '));
  t.equal(undone.length, 5);
  t.strictSame(undone.slice(-2), ['undo cluster west', 'undo cluster east']);
});

t.test(
  'a failed case: exit 1, diagnostics once per cluster without secrets, a command to paste',
  async (t) => {
    const failing = checkOf('s.a', {
      uses: [fixture],
      observe: () => Promise.resolve({ ok: false }),
      judge: () => ({
        status: 'failed',
        cause: 'request-lost',
        reason: 'lost',
        expected: 'an answer',
        seen: 'silence',
        reproduce: { at: 'east/mcnet/client', command: 'ping 10.0.0.2' },
      }),
    });
    const { outcome, folder, lines } = await run([suiteOf('s', failing)]);
    t.equal(outcome.exitCode, 1);
    t.equal(outcome.results.conformance.verdict, 'not conformant');
    t.match(outcome.results.cases[0], {
      reproduceCommand: 'in east/mcnet/client ping 10.0.0.2',
      observed: { ok: false },
    });
    t.strictSame(outcome.results.diagnostics.map(({ cluster }) => cluster).toSorted(), ['east', 'west']);
    t.strictSame(await readdir(path.join(folder, 'out', 'diagnostics', 'east')), [
      'routes.txt',
      'tunnel.txt',
    ]);
    t.notMatch(
      await readFile(path.join(folder, 'out', 'diagnostics', 'east', 'tunnel.txt'), 'utf8'),
      /aGVsbG8/,
    );
    t.equal(readResults(lines, registryOf([suiteOf('s', failing)]))[0]?.exitCode, 1);
  },
);

t.test('every way in which observing can break is inconclusive, never passed, and never hangs', async (t) => {
  const broken = (id: string, observe: AnyCheck['observe'], changes: Partial<AnyCheck> = {}): AnyCheck =>
    checkOf(id, { scope: 'fleet', observe, ...changes });
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const suite = suiteOf(
    's',
    broken('s.probe', () => Promise.reject(new ProbeError('the agent is gone'))),
    broken('s.hang', () => never(), { timeoutMs: 2_000 }),
    broken('s.throws', () => {
      throw new TypeError('a defect');
    }),
    broken('s.settle', () => Promise.reject(new NotSettledError('not in force'))),
    broken('s.circular', () => Promise.resolve(circular)),
    broken('s.nothing', () => Promise.resolve(undefined)),
    broken('s.judge', () => Promise.resolve({}), {
      judge: () => {
        throw new Error('cannot read');
      },
    }),
    broken('s.fault', async ({ disturb }) => disturb({ kind: 'dns-stopped', cluster: 'east' })),
    checkOf('s.fine', { scope: 'fleet' }),
  );
  const { outcome, lines } = await run([suite]);
  const verdicts = new Map(outcome.results.cases.map(({ check, verdict }) => [check, verdict]));
  t.match(verdicts.get('s.probe'), {
    status: 'inconclusive',
    cause: 'probe-failed',
    reason: /the agent is gone/,
  });
  t.match(verdicts.get('s.hang'), {
    status: 'inconclusive',
    cause: 'probe-failed',
    reason: /Not finished after 2 s/,
  });
  t.match(verdicts.get('s.throws'), { status: 'inconclusive', cause: 'probe-failed', reason: /a defect/ });
  t.match(verdicts.get('s.settle'), { status: 'inconclusive', cause: 'not-settled' });
  for (const id of ['s.circular', 's.nothing', 's.judge'])
    t.match(verdicts.get(id), { cause: 'probe-failed' }, id);
  t.match(verdicts.get('s.fault'), { status: 'skipped', reason: /dns-stopped/ });
  t.equal(verdicts.get('s.fine')?.status, 'passed');
  t.equal(outcome.exitCode, 3);
  t.match(
    lines.find((line) => line.includes('internal error')),
    /TypeError: a defect.*execute\.test/s,
  );
});

t.test(
  'a case for which the machine had no time is observed once more, unless it would disturb its company',
  async (t) => {
    const busyUntil = (last: number) => {
      let observed = 0;
      return {
        observe: () => Promise.resolve({ busy: ++observed <= last }),
        judge: ({ busy }: { busy: boolean }) =>
          busy
            ? ({ status: 'inconclusive', cause: 'cpu-saturated', reason: 'busy' } as const)
            : ({ status: 'passed', reason: 'well' } as const),
      };
    };
    const together = { name: 'outage', of: 'fleet' } as const;
    const suites = [
      suiteOf(
        's',
        checkOf('s.once', { scope: 'fleet', ...busyUntil(1) }),
        checkOf('s.always', { scope: 'fleet', ...busyUntil(9) }),
        checkOf('s.company', { scope: 'cluster', exclusive: 'cluster', together, ...busyUntil(1) }),
        checkOf('s.broken', { scope: 'fleet', observe: () => Promise.reject(new ProbeError('gone')) }),
      ),
    ];
    const { outcome, lines, statusOf } = await run(suites);
    t.equal(statusOf('s.once[fleet]'), 'passed');
    t.equal(statusOf('s.always[fleet]'), 'inconclusive');
    t.equal(statusOf('s.company[east]'), 'inconclusive');
    const attemptsOf = (id: string) => outcome.results.cases.find((one) => one.id === id)?.attempts;
    t.strictSame(['s.once[fleet]', 's.always[fleet]', 's.broken[fleet]'].map(attemptsOf), [2, 2, undefined]);
    const observations = lines
      .filter((line) => line.includes('"type":"observation"') && line.includes('s.once'))
      .map((line) => (JSON.parse(line) as { attempt: number }).attempt);
    t.strictSame(observations, [1, 2]);
    const [again] = readResults(lines, registryOf(suites));
    t.equal(again?.cases.find(({ id }) => id === 's.once[fleet]')?.attempts, 2, 'the record says so, too');
  },
);

t.test(
  'where few cases run at once, those that wait are parts of one, unless they look at the time',
  async (t) => {
    const most = { waiting: 0, timed: 0 };
    const counting = (kind: keyof typeof most) => {
      let running = 0;
      return {
        observe: async () => {
          most[kind] = Math.max(most[kind], ++running);
          await new Promise<void>((resolve) => setImmediate(resolve));
          running--;
          return { ok: true };
        },
      };
    };
    const names = Array.from({ length: 12 }, (_, index) => `c${index}`);
    await run(
      [
        suiteOf(
          's',
          checkOf('s.waiting', { scope: 'cluster', mostlyWaits: true, ...counting('waiting') }),
          checkOf('s.timed', { scope: 'cluster', mostlyWaits: true, timed: true, ...counting('timed') }),
        ),
      ],
      {
        spec: { topology: topologyOf(names), plan: planOf(names) },
        change: ({ provider }) => ({
          provider: { ...provider, limits: { ...provider.limits, casesAtOnce: 2 } },
        }),
      },
    );
    t.same(most, { waiting: 12, timed: 2 });
  },
);

t.test('an overlap is found before anything is created', async (t) => {
  const overlap = checkOf('addressing.overlap', {
    scope: 'fleet',
    planOnly: true,
    observe: ({ plan }) => Promise.resolve({ ok: false, pool: plan.pool }),
  });
  const { system, outcome, folder } = await run([suiteOf('addressing', overlap), ...standard]);
  t.equal(outcome.exitCode, 1);
  t.equal(outcome.results.ended, 'completed');
  t.strictSame(system.log, ['check']);
  t.match(
    outcome.results.cases.slice(1).map(({ verdict }) => verdict),
    Array.from({ length: 3 }, () => ({ cause: 'dependency-failed', reason: /addressing\.overlap\[fleet\]/ })),
  );
  t.strictSame(await runsLeft(folder), []);
  const only = await run([
    suiteOf('addressing', checkOf('addressing.overlap', { scope: 'fleet', planOnly: true })),
  ]);
  t.strictSame(only.system.log, ['check'], 'nothing else selected: nothing is created');
  t.equal(only.outcome.exitCode, 0);
});

t.test('a machine that is not ready ends the run with the remedy, nothing created', async (t) => {
  const { outcome, system } = await run(standard, {
    change: (system) => ({
      provider: {
        ...system.provider,
        check: () => Promise.resolve([{ what: 'nft is missing', remedy: 'apt-get install nftables' }]),
      },
    }),
  });
  t.match(outcome, {
    exitCode: 2,
    results: { ended: 'set-up-failed', error: /nft is missing.*apt-get install nftables/ },
  });
  t.strictSame(system.log, []);
});

for (const step of [
  'create',
  'created',
  'join',
  'install',
  'startWorkload',
  'exposeService',
  'apply',
  'settled',
]) {
  t.test(`set-up that dies at ${step} is reported and undone`, async (t) => {
    const { system, outcome, folder, lines } = await run(standard, {
      fake: {
        hook: (name) => {
          if (name === step) throw new Error(`${step} broke`);
        },
      },
    });
    t.equal(outcome.exitCode, 2);
    t.match(outcome.results, { ended: 'set-up-failed', error: `${step} broke`, teardown: 'clean' });
    t.ok(outcome.results.cases.every(({ verdict }) => verdict.cause === 'set-up-failed'));
    t.strictSame([...system.existing], []);
    t.strictSame(await runsLeft(folder), []);
    t.match(readResults(lines, registryOf(standard))[0], { exitCode: 2, error: `${step} broke` });
  });

  for (const [how, hang] of [
    ['in passing', false],
    ['while it hangs', true],
  ] as const) {
    t.test(`an abort at ${step} ${how} leaves nothing`, async (t) => {
      const controller = new AbortController();
      const { system, outcome, folder, lines } = await run(standard, {
        fake: {
          hook: (name) => {
            if (name !== step) return undefined;
            controller.abort(new InterruptedError('SIGTERM', 'SIGTERM'));
            return hang ? never() : undefined;
          },
        },
        dependencies: { signal: controller.signal },
      });
      t.equal(outcome.exitCode, 143);
      t.match(outcome.results, { ended: 'interrupted', teardown: 'clean' });
      t.strictSame([...system.existing], []);
      t.strictSame(await runsLeft(folder), []);
      t.ok(outcome.results.cases.every(({ verdict }) => verdict.cause === 'deadline-reached'));
      t.equal(readResults(lines, registryOf(standard))[0]?.exitCode, 143);
    });
  }
}

t.test('an abort during the cases and during clean-up', async (t) => {
  for (const at of ['cases', 'undo'] as const) {
    const controller = new AbortController();
    const abort = (): void => controller.abort(new InterruptedError('SIGINT', 'SIGINT'));
    const suite = suiteOf(
      's',
      checkOf('s.first', { scope: 'fleet' }),
      checkOf('s.second', {
        scope: 'fleet',
        dependsOn: ['s.first'],
        observe: () => {
          if (at !== 'cases') return Promise.resolve({ ok: true });
          abort();
          return never();
        },
      }),
      checkOf('s.third', { scope: 'fleet', dependsOn: ['s.second'] }),
    );
    const { system, outcome } = await run([suite], {
      fake: { hook: (name) => void (name === 'undo' && at === 'undo' && abort()) },
      dependencies: { signal: controller.signal },
    });
    t.equal(outcome.exitCode, 130, at);
    t.equal(outcome.results.ended, 'interrupted');
    t.strictSame([...system.existing], []);
    t.equal(outcome.results.cases[0]?.verdict.status, 'passed');
    if (at === 'cases')
      t.match(outcome.results.cases[2]?.verdict, { status: 'inconclusive', reason: /Not executed/ });
  }
});

t.test('the deadline of the run', async (t) => {
  const suite = suiteOf(
    's',
    checkOf('s.fast', { scope: 'fleet' }),
    checkOf('s.slow', { scope: 'fleet', dependsOn: ['s.fast'], observe: () => never() }),
    checkOf('s.never', { scope: 'fleet', dependsOn: ['s.slow'] }),
  );
  const { system, outcome, statusOf } = await run([suite], { spec: { deadlineMs: 20_000 } });
  t.match(outcome, { exitCode: 3, results: { ended: 'deadline', teardown: 'clean' } });
  t.equal(statusOf('s.fast[fleet]'), 'passed');
  t.match(
    outcome.results.cases.slice(1).map(({ verdict }) => verdict.cause),
    ['deadline-reached', 'deadline-reached'],
  );
  t.strictSame([...system.existing], []);
});

t.test('bail ends at the first failure', async (t) => {
  const suite = suiteOf(
    's',
    checkOf('s.bad', { scope: 'fleet', observe: () => Promise.resolve({ ok: false }) }),
    checkOf('s.later', { scope: 'fleet' }),
  );
  const { outcome, statusOf } = await run([suite], {
    spec: { bail: true },
    dependencies: { concurrency: 1 },
  });
  t.match(outcome, { exitCode: 1, results: { ended: 'bail' } });
  t.equal(statusOf('s.later[fleet]'), 'skipped');
});

t.test('nothing executed is exit 2', async (t) => {
  const { outcome, system } = await run([suiteOf('s', checkOf('s.a', { requires: ['icmp'] }))]);
  t.equal(outcome.exitCode, 2);
  t.strictSame(system.log, ['check'], 'nothing to run: nothing is created');
});

t.test('a full disk: exit 2 with the reason, everything undone', async (t) => {
  let appended = 0;
  const openRecord = () =>
    Promise.resolve({
      append: () => (++appended > 1 ? Promise.reject(new Error('ENOSPC')) : Promise.resolve()),
      close: () => Promise.resolve(),
    });
  const { system, outcome } = await run(standard, { dependencies: { openRecord } });
  t.match(outcome, { exitCode: 2, recordFailure: /ENOSPC/ });
  t.ok(
    outcome.results.cases.every(({ verdict }) => verdict.status === 'passed'),
    'verdicts are still there to be shown',
  );
  t.strictSame([...system.existing], []);
});

t.test('what cannot be removed is named, turns 0 into 2 and stays noted for clean', async (t) => {
  const { outcome, folder } = await run(standard, {
    fake: {
      hook: (name, detail) => {
        if (name === 'undo' && detail === 'cluster west') throw new Error('device busy');
      },
    },
  });
  t.match(outcome, {
    exitCode: 2,
    results: { teardown: 'failed', leftovers: [/cluster west: device busy/] },
  });
  t.match(await runsLeft(folder), [{ state: { resources: [{ description: 'cluster west' }] } }]);
});

t.test('keep and attach: what stands is not put in place again, what is missing is', async (t) => {
  const first = await run(standard, { spec: { keep: true } });
  t.match(first.outcome, { exitCode: 0, results: { teardown: 'kept' } });
  t.ok(first.system.existing.size > 0);
  const [kept] = await runsLeft(first.folder);
  t.match(kept?.state, { kept: true, standing: { intents: [{ service: 'echo' }] } });

  // The owner is this very process, so the run looks alive; a later run must see a dead owner.
  const file = path.join(first.folder, 'state', 'runs', `${kept!.state.run}.json`);
  const state = { ...kept!.state, owner: { pid: 1, startTime: 'long ago' } };
  await writeFile(file, JSON.stringify(state));

  first.system.log.length = 0;
  const more = {
    ...fixture,
    intents: [
      ...fixture.intents,
      { kind: 'policy', name: 'deny', namespace: 'mcnet', target: {}, direction: 'ingress', allow: [] },
    ],
  };
  const suites = [...standard, suiteOf('p', checkOf('p.a', { scope: 'fleet', uses: [more as never] }))];
  const second = await run(suites, {
    folder: first.folder,
    system: first.system,
    spec: { attach: kept!.state.run, names: ['ignored'] } as Partial<RunSpec>,
  });
  t.match(second.outcome, { exitCode: 0, results: { run: kept!.state.run, teardown: 'kept' } });
  const { log } = first.system;
  t.notOk(log.includes('create') || log.includes('join') || log.includes('install'));
  t.notOk(log.some((entry) => /exposeService|apply share-service/.test(entry)));
  t.ok(log.includes('apply policy east'), 'only what is new is applied');
  t.strictSame(
    second.outcome.results.subject.clusters,
    ['east', 'west'],
    'the clusters are those of the kept run',
  );
});

t.test('attaching to a living run, or to none, is a user error', async (t) => {
  const { folder, system } = await run(standard, { spec: { keep: true } });
  const [kept] = await runsLeft(folder);
  const spec = { attach: kept!.state.run };
  await t.rejects(run(standard, { folder, system, spec }), { name: 'UserError', message: /still going on/ });
  t.ok(system.existing.size > 0, 'and harms nothing');
  await t.rejects(run(standard, { spec: { attach: 'zzzzzz' } }), { name: 'UserError' });
});

t.test('an observer that throws harms nobody', async (t) => {
  const heard: string[] = [];
  const observers = [
    () => {
      throw new Error('no terminal');
    },
    ({ type }: { type: string }) => void heard.push(type),
  ];
  const { outcome } = await run(standard, { dependencies: { observers } });
  t.equal(outcome.exitCode, 0);
  t.ok(heard.includes('run.end'));
});

t.test('records of shards merge, those of different subjects stay side by side', async (t) => {
  const a = await run(standard, { spec: { checks: ['s.a'] } });
  const b = await run(standard, { spec: { checks: ['s.b'], seed: 'other' } });
  const c = await run(standard, { spec: { tuning: 'fast' } });
  const registry = registryOf(standard);
  t.equal(readResults(a.lines, registry)[0]?.conformance.verdict, 'partial');
  const results = readResults([...a.lines, ...b.lines, ...c.lines], registry);
  t.equal(results.length, 2);
  t.match(results[0], { conformance: { verdict: 'conformant' }, exitCode: 0 });
  t.equal(results[0]?.merged?.length, 2);
  t.equal(results[0]?.cases.length, 3);
  t.ok(results[0]?.cases.every(({ repeated }) => repeated === undefined));
  t.throws(() => readResults([], registry), { name: 'UserError' });
  const changed = a.lines.map((line) => line.replace('"tuning":"as-configured"', '"tuning":"as-konfigured"'));
  t.match(readResults(changed, registry)[0], { exitCode: 2, recordProblems: [/was changed/] });
});

t.test('a record that a kill cut short', async (t) => {
  const { lines } = await run(standard);
  const cut = lines.slice(
    0,
    lines.findIndex((line) => line.includes('"type":"observation"')),
  );
  t.match(readResults(cut, registryOf(standard))[0], {
    ended: 'unfinished',
    teardown: 'unknown',
    exitCode: 3,
  });
});

t.test(
  'budgets are those of the technology as it is configured, which is known once it is there',
  async (t) => {
    let isThere = false;
    const judgedBy: unknown[] = [];
    const checks = [
      checkOf('s.a', {
        budgets: { recovery: { value: 5, unit: 'ms', reason: 'as a rule' } },
        judge: (_seen: unknown, budgets: unknown) => {
          judgedBy.push(budgets);
          return passed('seen');
        },
      }),
    ];
    const { outcome, lines } = await run([suiteOf('s', ...checks)], {
      change: (system) => {
        const { profile } = system.dependencies([], '');
        return {
          profile: {
            ...profile,
            get budgets() {
              return { 's.a.recovery': { value: isThere ? 70 : 7, reason: 'its timers' } };
            },
            get remarks() {
              return isThere ? ['It keeps what it knows for 70 ms'] : [];
            },
            install: async (...all) => {
              await profile.install(...all);
              isThere = true;
            },
          },
        };
      },
    });
    t.equal(outcome.exitCode, 0);
    t.same(judgedBy, [{ recovery: 70 }, { recovery: 70 }]);
    const { subject } = outcome.results;
    t.match(subject, {
      budgets: { 's.a.recovery': { value: 70, reason: 'its timers' } },
      changedBudgets: [],
    });
    t.same(subject.remarks, ['It keeps what it knows for 70 ms']);
    const planned = lines.find((line) => line.includes('"type":"plan"')) ?? '';
    t.match(planned, /"recovery":70/, 'a record is judged again by the same');
  },
);
