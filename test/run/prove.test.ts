import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { type AnyCheck } from '../../lib/model/check.ts';
import type { FaultSpec } from '../../lib/model/fault.ts';
import { InterruptedError } from '../../lib/model/errors.ts';
import { type ProveDependencies, type ProveOptions, prove } from '../../lib/run/prove.ts';
import { FakeSystem, checkOf, specOf, suiteOf, temporaryFolder } from './support.ts';

const OPTIONS: ProveOptions = { faults: [], graded: false, blastRadius: false, repeat: 1 };

/** A world in which policies may be flushed; checks look at it. */
class Breakable {
  readonly system = new FakeSystem();
  broken = false;
  holds = true;
  mends = true;
  readonly #inject = (fault: FaultSpec) => {
    this.system.log.push(`inject ${fault.kind}`);
    this.broken = true;
    return Promise.resolve({
      tookHold: () => Promise.resolve(this.holds),
      mend: () => {
        this.system.log.push(`mend ${fault.kind}`);
        if (!this.mends) return Promise.reject(new Error('stuck'));
        this.broken = false;
        return Promise.resolve();
      },
    });
  };

  /** Passes unless the world is broken. */
  seeing(id: string, changes: Partial<AnyCheck> = {}): AnyCheck {
    return checkOf(id, {
      faults: [{ kind: 'policy-flushed', cause: 'request-lost' }],
      observe: () => Promise.resolve({ ok: !this.broken }),
      ...changes,
    });
  }

  blind(id: string, changes: Partial<AnyCheck> = {}): AnyCheck {
    return this.seeing(id, { observe: () => Promise.resolve({ ok: true }), ...changes });
  }

  async prove(checks: readonly AnyCheck[], options: Partial<ProveOptions> = {}, changes = {}) {
    const folder = await temporaryFolder();
    const suite = suiteOf('net', ...checks);
    const { provider } = this.system;
    const dependencies: ProveDependencies = {
      ...this.system.dependencies([suite], folder, {
        provider: {
          ...provider,
          injectors: [{ kinds: ['policy-flushed'], reach: 'run', inject: this.#inject }],
        },
        ...changes,
      }),
      progress: (text) => this.system.log.push(text),
    };
    const out = path.join(folder, 'out');
    const results = await prove(specOf({ out }), { ...OPTIONS, ...options }, dependencies);
    return { results, out };
  }
}

t.test(
  'a check that notices is caught, one that does not is missed, and everything is taken back',
  async (t) => {
    const world = new Breakable();
    const { results, out } = await world.prove([world.seeing('net.good'), world.blind('net.blind')]);
    t.same(
      results.proofs.map(({ check, outcome, recovered }) => [check, outcome, recovered]),
      [
        ['net.good', 'caught', true],
        ['net.blind', 'missed', true],
      ],
    );
    t.equal(results.run.exitCode, 1);
    t.match(results.verdict, { status: 'failed', cause: 'fault-missed' });
    t.equal(world.system.log.filter((line) => line === 'inject policy-flushed').length, 1, 'once for both');
    t.equal(world.broken, false);
    t.same([...world.system.existing], []);
    const record = (await readFile(path.join(out, 'record.ndjson'), 'utf8')).trim().split('\n');
    const types = record.map((line) => (JSON.parse(line) as { type: string }).type);
    t.same(
      types.filter((type) => type === 'fault').length,
      3,
      'injected, held and mended stand in the record of the run',
    );
    t.match(
      await readFile(path.join(out, 'prove-steps.ndjson'), 'utf8'),
      /"net\.blind\[(east->west|west->east)\]#/,
    );
  },
);

t.test('all caught is success', async (t) => {
  const world = new Breakable();
  const { results } = await world.prove([world.seeing('net.good')], { repeat: 3 });
  t.equal(results.run.exitCode, 0);
  t.match(results.falseAlarmRate, { seen: 0, tries: 3 });
});

t.test(
  'a check that fails on the healthy system is a false alarm, and its fault is not even injected',
  async (t) => {
    const world = new Breakable();
    const sick = world.seeing('net.sick', { observe: () => Promise.resolve({ ok: false }) });
    const { results } = await world.prove([sick]);
    t.equal(results.run.exitCode, 1);
    t.equal(results.verdict.cause, 'false-alarm');
    t.match(results.proofs, [{ outcome: 'not proved' }]);
    t.notOk(world.system.log.includes('inject policy-flushed'));
  },
);

t.test(
  'a fault that nothing can inject is not applicable; with no other, nothing was executed',
  async (t) => {
    const world = new Breakable();
    const check = world.seeing('net.dns', { faults: [{ kind: 'dns-stopped', cause: 'dns-timeout' }] });
    const { results } = await world.prove([check]);
    t.match(results.proofs, [{ outcome: 'not applicable' }]);
    t.equal(results.run.exitCode, 2);
  },
);

t.test('a fault that does not hold proves nothing, and is mended all the same', async (t) => {
  const world = new Breakable();
  world.holds = false;
  const { results } = await world.prove([world.seeing('net.good')]);
  t.match(results.proofs, [{ outcome: 'not proved' }]);
  t.equal(results.run.exitCode, 3);
  t.equal(world.broken, false);
});

t.test('what cannot be mended ends the proof, and is told', async (t) => {
  const world = new Breakable();
  world.mends = false;
  const { results } = await world.prove([world.seeing('net.good')]);
  t.match(results.leftovers, [/policy-flushed.*stuck/]);
  t.not(results.run.exitCode, 0);
});

t.test('the blast radius is looked for when it is asked for', async (t) => {
  const world = new Breakable();
  const bystander = world.seeing('net.bystander', { faults: [], withoutFaults: 'a test' });
  const { results: without } = await world.prove([world.seeing('net.good'), bystander]);
  t.same(without.blastRadii, []);
  const { results } = await world.prove([world.seeing('net.good'), bystander], { blastRadius: true });
  t.match(results.blastRadii, [{ noticedBy: [{ case: /^net\.bystander\[/ }] }]);
});

t.test('cases that mostly wait do so beside each other, as in a run', async (t) => {
  const world = new Breakable();
  const { provider } = world.system;
  let running = 0;
  let most = 0;
  const checks = ['net.a', 'net.b', 'net.c', 'net.d'].map((id) =>
    world.seeing(id, {
      mostlyWaits: true,
      observe: async () => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => setImmediate(resolve));
        running--;
        return { ok: !world.broken };
      },
    }),
  );
  Object.assign(provider, { limits: { ...provider.limits, casesAtOnce: 1 } });
  const { results } = await world.prove(checks);
  t.equal(results.run.exitCode, 0);
  t.equal(most, 4);
});

t.test('a signal under a fault mends it', async (t) => {
  const world = new Breakable();
  const controller = new AbortController();
  const check = world.seeing('net.good', {
    observe: () => {
      if (world.broken) controller.abort(new InterruptedError('SIGINT received', 'SIGINT'));
      return Promise.resolve({ ok: !world.broken });
    },
  });
  const { results } = await world.prove([check], {}, { signal: controller.signal });
  t.equal(results.run.exitCode, 130);
  t.equal(world.broken, false);
  t.same([...world.system.existing], []);
});

t.test('what cannot be proved is refused before anything is made', async (t) => {
  const world = new Breakable();
  await t.rejects(world.prove([checkOf('net.bare', { withoutFaults: 'a test' })]), {
    message: /None of the selected checks names a fault/,
  });
  const spec = specOf({ provider: 'contexts' });
  const dependencies = { ...world.system.dependencies([], ''), progress: () => undefined };
  await t.rejects(prove(spec, OPTIONS, dependencies), {
    message: /breaks nothing/,
    remedy: /--allow-faults/,
  });
  t.same(world.system.log, []);
});
