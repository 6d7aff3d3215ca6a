import t from 'tap';
import type { Cluster, Fleet, KubernetesCluster, Profile } from '../../lib/model/cluster.ts';
import type { ClusterUsage, ContainerReading } from '../../lib/model/usage.ts';
import { LoadWatch, UsageMeter } from '../../lib/run/usage.ts';
import type { Clock } from '../../lib/system/clock.ts';
import { FakeSystem, planOf, plannedCase, topologyOf } from './support.ts';

/** Moves only when somebody sleeps. */
class StillClock implements Clock {
  time = 1_000_000;
  now = () => this.time;
  monotonic = () => this.time;
  sleep = async (milliseconds: number) => {
    this.time += milliseconds;
  };
}

const LOOKS_EVERY_MS = 12_000;
const CONTAINERS = [
  { namespace: 'mcnet', pod: 'client', container: 'agent', cores: 0.1 },
  { namespace: 'mcnet', pod: 'client', container: 'proxy', cores: 0.2 },
  { namespace: 'system', pod: 'brain', container: 'brain', cores: 0.4 },
  { namespace: 'kube-system', pod: 'etcd', container: 'etcd', cores: 0.8 },
];

/** A kubelet that looks at its containers now and then, and says what it last saw. */
const readingsAt = (time: number): ContainerReading[] =>
  CONTAINERS.map(({ cores, ...name }) => {
    const cpuAt = Math.floor(time / LOOKS_EVERY_MS) * LOOKS_EVERY_MS;
    return { ...name, cpuAt, cpuNanoseconds: Math.round(cores * cpuAt * 1e6), memoryBytes: 1e6 };
  });

const system = new FakeSystem();
const ledger = { add: () => Promise.resolve() };

async function fleetOf(clock: Clock, changes: Partial<KubernetesCluster> = {}): Promise<Fleet> {
  const options = { plan: planOf(['east', 'west']), ledger };
  const clusters = await Promise.all(
    ['east', 'west'].map(async (name): Promise<Cluster> => {
      const cluster = system.cluster(name, options);
      await cluster.startWorkload({ namespace: 'mcnet', name: 'client', labels: {} });
      const kubernetes: Partial<KubernetesCluster> = {
        kind: 'kubernetes',
        own: true,
        namespaceOf: (namespace) => namespace,
        containerReadings: () => Promise.resolve(readingsAt(clock.now())),
      };
      return { ...cluster, ...kubernetes, ...changes };
    }),
  );
  return {
    run: 'abc123',
    clusters,
    topology: topologyOf(['east', 'west']),
    plan: options.plan,
    families: ['ipv4'],
  };
}

const profile: Profile = {
  ...system.profile,
  planeOf: ({ namespace, container }) =>
    container === 'proxy' ? 'data plane' : namespace === 'system' ? 'control plane' : undefined,
};

const meterOf = async (
  clock: Clock,
  changes?: Partial<KubernetesCluster>,
  of = profile,
): Promise<UsageMeter> =>
  new UsageMeter({
    fleet: await fleetOf(clock, changes),
    profile: of,
    clock,
    signal: new AbortController().signal,
  });

const partsOf = ({ containers }: ClusterUsage): string[] =>
  containers.map(({ container, part, cores }) => `${container}: ${part} ${cores?.toFixed(2)}`);

void t.test('idle: what each part takes, of looks that lie after the beginning only', async (t) => {
  const clock = new StillClock();
  const usage = await (await meterOf(clock)).idle();
  t.strictSame(
    usage.map(({ cluster, moment }) => `${cluster} ${moment}`),
    ['east idle', 'west idle'],
  );
  for (const one of usage) {
    t.strictSame(partsOf(one), [
      'agent: workloads 0.10',
      'proxy: data plane 0.20',
      'brain: control plane 0.40',
      'etcd: kubernetes 0.80',
    ]);
    t.ok(one.windowMs >= 15_000);
  }
});

void t.test('what cannot be read is said, and never waited for', async (t) => {
  const cases: [string, Partial<KubernetesCluster>, Profile, RegExp][] = [
    ['lab', { kind: 'lab' as 'kubernetes' }, profile, /of the lab/],
    ['others', { own: false }, profile, /serve others/],
    ['silent profile', {}, { ...system.profile, name: 'mute' }, /profile mute does not say/],
    [
      'refused',
      { containerReadings: () => Promise.reject(new Error('nodes/proxy is forbidden')) },
      profile,
      /forbidden/,
    ],
  ];
  for (const [name, changes, of, reason] of cases) {
    const clock = new StillClock();
    const began = clock.now();
    const usage = await (await meterOf(clock, changes, of)).idle();
    t.equal(clock.now(), began, `${name}: no time lost`);
    for (const one of usage) {
      t.match(one.reason, reason, name);
      t.strictSame(one.containers, [], name);
    }
  }
});

void t.test('a kubelet that never looks again ends no run', async (t) => {
  const clock = new StillClock();
  const stuck = readingsAt(clock.now() - 60_000);
  const usage = await (await meterOf(clock, { containerReadings: () => Promise.resolve(stuck) })).idle();
  for (const { containers, reason } of usage) {
    t.equal(reason, undefined);
    t.ok(containers.every(({ cores, memoryBytes }) => cores === undefined && memoryBytes === 1e6));
  }
});

void t.test('under load: from before the first case of the suite to after its last', async (t) => {
  const clock = new StillClock();
  const told: ClusterUsage[] = [];
  const cases = ['dns.a', 'performance.a', 'performance.b', 'versions.a'].map((id) =>
    plannedCase({ id, check: id, suite: id.slice(0, id.indexOf('.')) }),
  );
  const [dns, first, last, versions] = cases as [(typeof cases)[0], ...typeof cases];
  const watch = new LoadWatch(await meterOf(clock), cases, (usage) => told.push(usage));
  const began = clock.now();
  t.equal(await watch.run(dns, () => Promise.resolve('dns')), 'dns');
  t.equal(clock.now(), began, 'others are only run');
  await watch.run(first!, () => clock.sleep(20_000));
  t.strictSame(told, []);
  await watch.run(last!, () => clock.sleep(20_000));
  t.strictSame(
    told.map(({ cluster, moment }) => `${cluster} ${moment}`),
    ['east load', 'west load'],
  );
  t.ok(told.every(({ windowMs }) => windowMs >= 40_000));
  await watch.run(versions!, () => Promise.resolve());
  await watch.finish();
  t.equal(told.length, 2, 'told once');
});

void t.test('under load: where the last cases were settled without running, the end tells', async (t) => {
  const clock = new StillClock();
  const told: ClusterUsage[] = [];
  const cases = ['a', 'b'].map((id) => plannedCase({ id, suite: 'performance' }));
  const watch = new LoadWatch(await meterOf(clock), cases, (usage) => told.push(usage));
  await watch.run(cases[0]!, () => clock.sleep(20_000));
  t.strictSame(told, []);
  await watch.finish();
  t.equal(told.length, 2);
});

void t.test('without a meter, or without such cases, nothing is told', async (t) => {
  const told: ClusterUsage[] = [];
  const planned = plannedCase({ id: 'a', suite: 'performance' });
  const plain = new LoadWatch(undefined, [planned], (usage) => told.push(usage));
  t.equal(await plain.run(planned, () => Promise.resolve(1)), 1);
  await plain.finish();
  const clock = new StillClock();
  await new LoadWatch(await meterOf(clock), [], (usage) => told.push(usage)).finish();
  t.strictSame(told, []);
});
