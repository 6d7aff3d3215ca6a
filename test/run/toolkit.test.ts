import t from 'tap';
import type { Toolkit } from '../../lib/model/check.ts';
import type { Cluster, Fleet, JoinTokens } from '../../lib/model/cluster.ts';
import type { FaultSpec } from '../../lib/model/fault.ts';
import type { Intent } from '../../lib/model/intent.ts';
import { NotApplicableError } from '../../lib/model/errors.ts';
import { ProbeError } from '../../lib/model/probe.ts';
import type { RecordBody } from '../../lib/model/record.ts';
import type { ServiceSpec } from '../../lib/model/workload.ts';
import { type CaseToolkit, type World, planToolkit, toolkitFor } from '../../lib/run/toolkit.ts';
import { isTakingBack } from '../../lib/system/takingBack.ts';
import {
  FakeSystem,
  type FakeOptions,
  fastClock,
  never,
  planOf,
  plannedCase,
  probeOf,
  topologyOf,
} from './support.ts';

const deny: Intent = {
  kind: 'policy',
  name: 'deny',
  namespace: 'mcnet',
  target: {},
  direction: 'ingress',
  allow: [],
};
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Bench {
  readonly system: FakeSystem;
  readonly tools: CaseToolkit;
  readonly toolkit: Toolkit;
  readonly records: RecordBody[];
  readonly controller: AbortController;
  readonly fleet: Fleet;
}

async function bench(
  options: FakeOptions = {},
  change: (system: FakeSystem) => Partial<World> = () => ({}),
): Promise<Bench> {
  const system = new FakeSystem(options);
  const names = ['east', 'west'];
  const ledger = { add: () => Promise.resolve() };
  const plan = planOf(names);
  const clusters: Cluster[] = names.map((name) => system.cluster(name, { plan, ledger }));
  for (const cluster of clusters)
    await cluster.startWorkload({ name: 'client', namespace: 'mcnet', labels: {} });
  const fleet: Fleet = { run: 'abc123', clusters, topology: topologyOf(names), plan, families: ['ipv4'] };
  const records: RecordBody[] = [];
  const controller = new AbortController();
  const { provider, underlay, profile } = system;
  const world: World = {
    fleet,
    provider,
    underlay,
    profile,
    ledger,
    clock: fastClock,
    configuredPathMtu: 1420,
    services: [],
    intents: [],
    intentsDue: 0,
    record: (body) => records.push(body),
    ...change(system),
  };
  const tools = toolkitFor(world, plannedCase({ id: 's.a[east->west]' }), controller.signal);
  system.log.length = 0;
  return { system, tools, toolkit: tools.toolkit, records, controller, fleet };
}

t.test('every call is a step with a bounded digest; the check gets the whole answer', async (t) => {
  const services = Array.from({ length: 500 }, () => ({ target: 'x'.repeat(500), port: 1 }));
  const probe = probeOf({ resolve: () => Promise.resolve([{ services }] as never) });
  const { tools, records } = await bench({ probe });
  const [answer] = await tools.view('east').site('mcnet/client').resolve([]);
  t.equal(answer?.services.length, 500);
  t.match(records, [{ type: 'step', case: 's.a[east->west]', step: 'east/mcnet/client resolve' }]);
  t.ok(JSON.stringify(records[0]).length < 2_000);
});

t.test('sites, addresses and shared services', async (t) => {
  const { tools, toolkit } = await bench();
  const east = tools.view('east');
  t.match(east.site('mcnet/client'), { cluster: 'east', key: 'mcnet/client', address: '10.0.0.1' });
  t.match(east.gateway, { key: 'gateway', wanInterface: 'wan0' });
  t.equal(east.sharedService({ namespace: 'n', name: 'echo' }).name, 'echo.east');
  t.throws(() => east.site('mcnet/nobody'), /no workload mcnet\/nobody/);
  t.throws(() => tools.view('nowhere'), /no cluster nowhere/);
  t.strictSame(
    toolkit.clusters.map(({ name }) => name),
    ['east', 'west'],
  );
});

t.test('what a case put in place is taken back newest first', async (t) => {
  const { system, tools, toolkit, records } = await bench();
  await toolkit.apply(deny, 'east');
  await toolkit.disturb({ kind: 'policy-flushed', cluster: 'east' });
  await tools.view('west').capture({ interface: 'wan0', filter: '', marker: '' });
  await toolkit.apply(deny, 'west');
  system.log.length = 0;
  t.strictSame(await tools.undo(), []);
  t.strictSame(system.log, [
    'undo intent policy west',
    'capture stopped west',
    'mend policy-flushed',
    'settle policy-flushed',
    'undo intent policy east',
  ]);
  t.strictSame(
    records.filter(({ type }) => type === 'fault').map((body) => (body as { event: string }).event),
    ['injected', 'held', 'mended'],
  );
  t.strictSame(await tools.undo(), [], 'twice does nothing');
});

t.test('a token joins as often as a check likes, is in no record, and leaves nothing behind', async (t) => {
  const done: string[] = [];
  const joinTokens: JoinTokens = {
    make: (cluster, name) => Promise.resolve(`secret of ${cluster.name} for ${name}`),
    use: (cluster, name, token) => {
      done.push(`${cluster.name} uses the ${token} as ${name}`);
      return Promise.resolve(name === 'joint-again' ? 'used before' : undefined);
    },
    isJoined: (_, name) => Promise.resolve(name === 'joint'),
    remove: async (cluster, name) => void done.push(`${cluster.name} forgets ${name}`),
  };
  const { tools, toolkit, records } = await bench({}, ({ profile }) => ({
    profile: { ...profile, joinTokens },
  }));
  const token = await toolkit.makeJoinToken('west', 'joint');
  t.equal(await token.use('east', 'joint'), undefined);
  t.equal(await toolkit.isJoined('east', 'joint'), true);
  t.equal(await token.use('east', 'joint-again'), 'used before');
  await token.withdraw();
  t.notMatch(JSON.stringify(records), 'secret');
  t.strictSame(await tools.undo(), []);
  t.strictSame(done, [
    'east uses the secret of west for joint as joint',
    'east uses the secret of west for joint as joint-again',
    'west forgets joint',
    'east forgets joint-again',
    'east forgets joint',
    'west forgets joint',
  ]);
});

t.test('what the check took back itself is not taken back again', async (t) => {
  const { system, tools, toolkit } = await bench();
  await toolkit.apply(deny, 'east');
  await toolkit.withdraw(deny, 'east');
  const fault = await toolkit.disturb({ kind: 'policy-flushed', cluster: 'east' });
  await fault.mend();
  await fault.mend();
  t.notOk(system.log.includes('settle policy-flushed'), 'how it recovers may be watched yet');
  await fault.settle();
  const capture = await tools.view('east').capture({ interface: 'wan0', filter: '', marker: '' });
  await capture.stop();
  await tools.undo();
  for (const what of [
    'undo intent policy east',
    'mend policy-flushed',
    'settle policy-flushed',
    'capture stopped east',
  ]) {
    t.equal(system.log.filter((entry) => entry === what).length, 1, what);
  }
  await t.rejects(toolkit.withdraw(deny, 'east'), /not applied by this case/);
});

t.test('faults are injected one after another, and waited for beside each other', async (t) => {
  const events: string[] = [];
  let injecting = 0;
  let waiting = 0;
  const { promise: bothWait, resolve: letGo } = Promise.withResolvers<void>();
  const { toolkit } = await bench({}, (system) => ({
    profile: {
      ...system.profile,
      injectors: [
        {
          kinds: ['dns-stopped'],
          reach: 'run',
          inject: async (fault) => {
            const { cluster } = fault as { cluster: string };
            t.equal(++injecting, 1, 'alone');
            await tick();
            injecting--;
            if (cluster === 'north') throw new Error('refused');
            events.push(cluster);
            return {
              tookHold: async () => {
                if (++waiting === 2) letGo();
                await bothWait;
                return true;
              },
              mend: () => Promise.resolve(),
            };
          },
        },
      ],
    },
  }));
  const results = await Promise.allSettled(
    ['east', 'north', 'west'].map((cluster) => toolkit.disturb({ kind: 'dns-stopped', cluster })),
  );
  t.strictSame(events, ['east', 'west'], 'one that is refused stops no other');
  t.match(results, [
    { value: { held: true } },
    { reason: { message: 'refused' } },
    { value: { held: true } },
  ]);
});

t.test('the profile comes before the provider, and nobody is a reason to skip', async (t) => {
  const handled: string[] = [];
  const handlerNamed = (name: string) => ({
    name,
    supports: (intent: Intent) => (intent.kind === 'policy' ? true : `${name} shares nothing`),
    apply: () => {
      handled.push(name);
      return Promise.resolve({
        rendered: '',
        settled: () => Promise.resolve(true),
        undo: () => Promise.resolve(),
      });
    },
  });
  const { toolkit, records } = await bench({ handlers: [handlerNamed('profile')] }, (system) => ({
    provider: { ...system.provider, handlers: [handlerNamed('provider')] },
  }));
  await toolkit.apply(deny, 'east');
  t.strictSame(handled, ['profile']);
  t.match(records[0], { step: 'apply policy in east by profile' });
  const share: Intent = { kind: 'share-service', namespace: 'n', service: 's', preference: 'spread' };
  await t.rejects(toolkit.apply(share, 'east'), {
    name: 'NotApplicableError',
    message: /profile shares nothing.*provider shares/,
  });
  await t.rejects(toolkit.disturb({ kind: 'dns-stopped', cluster: 'east' }), NotApplicableError);
  await t.rejects(toolkit.handshakes('east'), NotApplicableError);
});

t.test('who speaks of refusals by identity is asked, and nobody means silence', async (t) => {
  const { toolkit: silent } = await bench();
  t.equal(silent.identityRefusal, 'silence');
  const { toolkit } = await bench({}, (system) => ({
    profile: { ...system.profile, handlers: [{ ...system.handler, identityRefusal: 'proxy' }] },
  }));
  t.equal(toolkit.identityRefusal, 'proxy');
});

t.test('what starts later is told of what stands in its cluster, services and intents', async (t) => {
  const service = (name: string, onlyIn?: readonly string[]): ServiceSpec => ({
    name,
    namespace: 'mcnet',
    selector: {},
    ports: [{ name: 'http', port: 1, protocol: 'tcp' }],
    healthPort: 1,
    ...(onlyIn && { onlyIn }),
  });
  const share = (name: string): Intent => ({
    kind: 'share-service',
    namespace: 'mcnet',
    service: name,
    preference: 'spread',
  });
  const told: unknown[] = [];
  const { toolkit, fleet } = await bench({}, (system) => {
    const original = system.profile;
    return {
      services: [service('everywhere'), service('elsewhere', ['west'])],
      intents: [share('everywhere'), share('elsewhere')],
      profile: {
        ...original,
        decorate: (spec, cluster, services, intents = []) => {
          const shared = intents.map((intent) => intent.kind === 'share-service' && intent.service);
          told.push([cluster, services.map(({ name }) => name), shared]);
          return spec;
        },
      },
    };
  });
  for (const cluster of fleet.clusters) Object.assign(cluster, { kind: 'kubernetes' });
  await toolkit.startWorkload({ name: 'late', namespace: 'mcnet', labels: {} }, 'east');
  t.strictSame(told, [['east', ['everywhere'], ['everywhere']]]);
});

t.test('a workload that did not become ready goes with the case all the same', async (t) => {
  const { tools, toolkit, fleet } = await bench();
  const stopped: string[] = [];
  const giveUp = new AbortController();
  for (const cluster of fleet.clusters) {
    Object.assign(cluster, {
      kind: 'kubernetes',
      startWorkload: (_spec: unknown, signal?: AbortSignal) =>
        signal === giveUp.signal ? Promise.reject(new Error('not ready')) : Promise.resolve(),
      stopWorkload: ({ spec }: { spec: { name: string } }) => Promise.resolve(void stopped.push(spec.name)),
    });
  }
  const late = { name: 'late', namespace: 'mcnet', labels: {} };
  await t.rejects(toolkit.startWorkload(late, 'east', giveUp.signal), { message: 'not ready' });
  t.strictSame(stopped, []);
  t.strictSame(await tools.undo(), []);
  t.strictSame(stopped, ['late']);
});

t.test(
  'a fault that changes more than the run made is refused where a cluster existed before it',
  async (t) => {
    const asked: string[] = [];
    const injectors = (['run', 'cluster'] as const).map((reach) => ({
      kinds: [reach === 'run' ? ('identity-policy-missing' as const) : ('control-plane-stopped' as const)],
      reach,
      inject: ({ kind }: FaultSpec) => {
        asked.push(kind);
        return Promise.resolve({ tookHold: () => Promise.resolve(true), mend: () => Promise.resolve() });
      },
    }));
    const benchOf = async (own: boolean): Promise<Toolkit> => {
      const { toolkit, fleet } = await bench({}, (system) => ({ profile: { ...system.profile, injectors } }));
      for (const cluster of fleet.clusters) {
        Object.assign(cluster, { kind: 'kubernetes', own: own || cluster.name === 'east' });
      }
      return toolkit;
    };
    const stop = { kind: 'control-plane-stopped', cluster: 'east' } as const;
    const loosen = { kind: 'identity-policy-missing', cluster: 'east', namespace: 'n' } as const;
    const foreign = await benchOf(false);
    await t.rejects(foreign.disturb(stop), {
      name: 'NotApplicableError',
      message: /west existed before/,
    });
    await foreign.disturb(loosen);
    t.strictSame(asked, ['identity-policy-missing']);
    await (await benchOf(true)).disturb(stop);
    t.strictSame(asked, ['identity-policy-missing', 'control-plane-stopped']);
  },
);

t.test('an intent that never settles is taken back and said', async (t) => {
  const undone: string[] = [];
  const handler = {
    name: 'slow',
    supports: () => true as const,
    apply: () =>
      Promise.resolve({
        rendered: '',
        settled: () => Promise.resolve('nobody was told'),
        undo: () => Promise.resolve(void undone.push('undone')),
      }),
  };
  const { tools, toolkit } = await bench({ handlers: [handler] });
  await t.rejects(toolkit.apply(deny, 'east'), { name: 'NotSettledError', message: /: nobody was told$/ });
  await tools.undo();
  t.strictSame(undone, ['undone']);
});

t.test('what hangs ends with the case, and what still comes into being is taken back', async (t) => {
  const release: (() => void)[] = [];
  const { system, tools, toolkit, controller } = await bench({
    probe: probeOf({ ping: () => never() }),
    hook: (step) => (step === 'apply' ? new Promise<void>((resolve) => release.push(resolve)) : undefined),
  });
  const pinging = tools.view('east').gateway.ping({ address: '10.0.0.1' });
  const applying = toolkit.apply(deny, 'east');
  await tick();
  t.strictSame(tools.pending(), ['east/gateway ping', 'apply policy in east by fake']);
  controller.abort(new Error('time is over'));
  await t.rejects(pinging, /time is over/);
  await t.rejects(applying, /time is over/);
  const undoing = tools.undo();
  release[0]?.();
  t.strictSame(await undoing, []);
  t.ok(system.log.includes('undo intent policy east'));
  await t.rejects(
    tools.view('east').gateway.ping({ address: '10.0.0.1' }),
    /time is over/,
    'nothing starts any more',
  );
});

t.test('what a case takes back after the end of a run is known as such to whoever is asked', async (t) => {
  const seen: string[] = [];
  const { tools, toolkit, controller } = await bench({
    hook: (step) => {
      if (isTakingBack()) seen.push(step);
    },
  });
  await toolkit.apply(deny, 'west');
  const fault = await toolkit.disturb({ kind: 'policy-flushed', cluster: 'east' });
  t.ok(fault.held);
  t.strictSame(seen, []);
  controller.abort(new Error('SIGINT'));
  t.strictSame(await tools.undo(), []);
  t.ok(seen.includes('undo intent'));
  t.ok(seen.includes('mend'));
});

t.test('an undo that hangs or fails is named and stops nothing', async (t) => {
  const { tools, toolkit } = await bench({
    hook: (step, detail) => {
      if (step === 'mend') return never();
      if (step === 'undo intent' && detail === 'policy west') throw new Error('device busy');
      return undefined;
    },
  });
  await toolkit.apply(deny, 'east');
  await toolkit.disturb({ kind: 'policy-flushed', cluster: 'east' });
  await toolkit.apply(deny, 'west');
  const failures = await tools.undo();
  t.equal(failures.length, 2);
  t.match(failures, [/policy in west.*device busy/, /policy-flushed.*not undone within/]);
});

t.test('samplers, backends and MTU probing that a check leaves are stopped', async (t) => {
  const calls: string[] = [];
  const note = (name: string) => (argument: unknown) => {
    calls.push(`${name} ${JSON.stringify(argument)}`);
    return Promise.resolve(name === 'startSampling' ? `sampler ${calls.length}` : undefined);
  };
  const probe = probeOf(
    Object.fromEntries(
      ['startSampling', 'stopSampling', 'startBackend', 'stopBackend', 'setMtuProbing'].map((name) => [
        name,
        note(name),
      ]),
    ),
  );
  const { tools } = await bench({ probe });
  const site = tools.view('east').site('mcnet/client');
  const first = await site.startSampling({} as never);
  await site.startSampling({} as never);
  await site.stopSampling(first);
  await site.startBackend({ port: 9000 });
  await site.startBackend({ port: 9001 });
  await site.stopBackend(9000);
  await site.setMtuProbing(1);
  calls.length = 0;
  await tools.undo();
  t.strictSame(calls, ['setMtuProbing 0', 'stopBackend 9001', 'stopSampling "sampler 2"']);
});

t.test('converge counts successes in a row and gives up with the budget', async (t) => {
  const { toolkit } = await bench();
  const answers = [true, false, true, true, true];
  const converged = await toolkit.converge(() => Promise.resolve(answers.shift()), {
    succeeded: Boolean,
    successes: 3,
    budgetMs: 30_000,
  });
  t.match(converged, { converged: true, attempts: 5, last: true });
  const given = await toolkit.converge(() => Promise.resolve(false), {
    succeeded: Boolean,
    successes: 1,
    budgetMs: 500,
  });
  t.match(given, { converged: false, last: false });
  t.ok(given.attempts > 1);
  const failing = toolkit.converge(() => Promise.reject(new ProbeError('gone')), {
    succeeded: Boolean,
    successes: 1,
    budgetMs: 500,
  });
  await t.rejects(failing, ProbeError);
});

t.test('checks of the plan get the plan and nothing else', (t) => {
  const early = planToolkit(planOf(['east']), {
    run: 'abc123',
    topology: topologyOf(['east']),
    planned: plannedCase({ id: 'addressing.overlap[fleet]', check: 'addressing.overlap' }),
    clock: fastClock,
    signal: new AbortController().signal,
  });
  t.match(early.toolkit.plan.clusters, { east: {} });
  t.match(early.view('east').ranges.pods, { ipv4: '10.0.0.0/13' });
  t.throws(() => early.view('east').site('mcnet/client'), /reads only the address plan/);
  t.throws(() => early.view('east').gateway, /reads only the address plan/);
  t.end();
});

t.test(
  'a service of the fixtures is another one for the length of a case, and then itself again',
  async (t) => {
    const usual: ServiceSpec = {
      name: 'contested',
      namespace: 'mcnet',
      selector: { app: 'echo' },
      ports: [{ name: 'http', port: 1, protocol: 'tcp' }],
      healthPort: 1,
    };
    const exposed: [string, number | undefined][] = [];
    const { tools, toolkit } = await bench({}, (system) => {
      const original = system.profile;
      return {
        services: [usual],
        profile: {
          ...original,
          decorateService: (service: ServiceSpec) => {
            exposed.push([service.name, service.ports[0]?.port]);
            return service;
          },
        },
      };
    });
    const other = { ...usual, ports: [{ name: 'http', port: 2, protocol: 'tcp' as const }] };
    await t.rejects(toolkit.exposeService({ ...other, name: 'unknown' }, 'west'), /no fixture/);
    await toolkit.exposeService(other, 'west');
    t.strictSame(exposed, [['contested', 2]]);
    t.strictSame(await tools.undo(), []);
    t.strictSame(exposed.at(-1), ['contested', 1]);
  },
);
