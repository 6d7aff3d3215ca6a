import t from 'tap';
import type { AnyCheck } from '../../lib/model/check.ts';
import type { FaultExpectation, FaultSpec } from '../../lib/model/fault.ts';
import { type AimContext, type SizedFault, faultsFor, sizedBy } from '../../lib/run/proveFaults.ts';
import { SUITES } from '../../suites/index.ts';
import { topologyOf } from './support.ts';

const CONTEXT: AimContext = {
  topology: topologyOf(['east', 'west', 'north']),
  pathMtu: 1420,
  overhead: 60,
  focus: { from: 'east', to: 'west' },
};
const PAIR = { subject: { scope: 'pair', from: 'east', to: 'west' } } as const;
const CLUSTER = { subject: { scope: 'cluster', cluster: 'west' } } as const;
const FLEET = { subject: { scope: 'fleet' } } as const;

const workload = (name: string) => ({ namespace: 'apps', name, labels: {} });
const CHECK: Pick<AnyCheck, 'uses'> = {
  uses: [
    { name: 'client', workloads: [workload('client')] },
    {
      name: 'shared',
      workloads: [workload('echo')],
      intents: ['one', 'two'].map((service) => ({
        kind: 'share-service' as const,
        namespace: 'apps',
        service,
        preference: 'spread' as const,
      })),
    },
  ],
};

/** A check that calls workloads, whatever services they stand behind. */
const WITHOUT_SERVICES: typeof CHECK = { uses: CHECK.uses?.slice(0, 1) ?? [] };

const aim = (
  expectation: FaultExpectation,
  planned: Parameters<typeof faultsFor>[2] = PAIR,
  context = CONTEXT,
): FaultSpec[] => faultsFor(expectation, CHECK, planned, context).flatMap(({ faults }) => faults);

t.test('the cause says which way packets get lost', async (t) => {
  t.same(aim({ kind: 'wan-drop', cause: 'request-lost' }), [
    { kind: 'wan-drop', from: 'east', to: 'west', both: true },
    { kind: 'wan-drop', from: 'east', to: 'west' },
  ]);
  t.same(aim({ kind: 'wan-drop', cause: 'reply-lost' }), [{ kind: 'wan-drop', from: 'west', to: 'east' }]);
});

t.test('behind a hub the first link of the way is struck, from whichever end', async (t) => {
  const topology = topologyOf(['hub', 'east', 'west'], 'hub-and-spoke');
  const context = { ...CONTEXT, topology };
  t.same(aim({ kind: 'wan-drop', cause: 'request-lost' }, PAIR, context), [
    { kind: 'wan-drop', from: 'east', to: 'hub', both: true },
    { kind: 'wan-drop', from: 'east', to: 'hub' },
  ]);
  t.same(aim({ kind: 'wan-drop', cause: 'reply-lost' }, PAIR, context), [
    { kind: 'wan-drop', from: 'west', to: 'hub' },
  ]);
  t.same(aim({ kind: 'wrong-peer-key', cause: 'no-handshake' }, PAIR, context), [
    { kind: 'wrong-peer-key', at: 'east', peer: 'hub' },
  ]);
});

t.test('a fault of a cluster strikes the one that the case is about', async (t) => {
  const clusters = [PAIR, CLUSTER, FLEET].map((planned) =>
    aim({ kind: 'policy-flushed', cause: 'policy-not-enforced' }, planned),
  );
  t.same(
    clusters.flat(),
    [PAIR, CLUSTER, FLEET].map(() => ({ kind: 'policy-flushed', cluster: 'west' })),
  );
  t.same(aim({ kind: 'dns-stopped', cause: 'dns-timeout' }, CLUSTER), [
    { kind: 'dns-stopped', cluster: 'west' },
  ]);
  t.same(
    aim({ kind: 'dns-stopped', cause: 'dns-timeout' }),
    [{ kind: 'dns-stopped', cluster: 'east' }],
    'callers ask the DNS server of their own cluster',
  );
});

t.test('packet sizes are lowered as the cause needs it, the largest step first', async (t) => {
  t.same(aim({ kind: 'mtu-lowered', cause: 'mtu-asymmetric' }), [
    { kind: 'mtu-lowered', at: 'east', mtu: 1320, icmp: 'passes' },
    { kind: 'mtu-lowered', at: 'east', mtu: 1419, icmp: 'passes' },
  ]);
  t.same(aim({ kind: 'mtu-lowered', cause: 'mtu-masked' })[0], {
    kind: 'mtu-lowered',
    at: 'east',
    mtu: 1320,
    icmp: 'dropped',
    peer: 'west',
  });
  t.same(
    aim({ kind: 'large-packets-dropped', cause: 'large-transfer-stalls' }),
    [1380, 1479].map((above) => ({ kind: 'large-packets-dropped', from: 'east', to: 'west', above })),
    'on the wan packets have the headers of the tunnel around them',
  );
  t.same(
    faultsFor({ kind: 'mtu-lowered', cause: 'mtu-masked' }, CHECK, PAIR, CONTEXT).map(({ size }) => size),
    ['100 bytes', '1 byte'],
  );
});

t.test('services that a check shares are withdrawn together, at the other cluster', async (t) => {
  const [together, ...rest] = faultsFor(
    { kind: 'service-not-shared', cause: 'no-failover' },
    CHECK,
    PAIR,
    CONTEXT,
  );
  t.same(rest, []);
  t.same(
    together?.faults,
    ['one', 'two'].map((service) => ({
      kind: 'service-not-shared',
      cluster: 'west',
      namespace: 'apps',
      service,
    })),
  );
  t.same(
    faultsFor({ kind: 'service-not-shared', cause: 'no-failover' }, { uses: [] }, PAIR, CONTEXT),
    [],
    'a check that shares nothing cannot notice it',
  );
  const inLargeFleets = { uses: (CHECK.uses ?? []).map((fixture) => ({ ...fixture, fromClusters: 6 })) };
  t.same(
    faultsFor({ kind: 'service-not-shared', cause: 'no-failover' }, inLargeFleets, PAIR, CONTEXT),
    [],
    'nor is there anything to withdraw in a fleet too small for it',
  );
});

t.test('what only workloads suffer is aimed at the caller, so that baselines stay whole', async (t) => {
  const [first] = faultsFor(
    { kind: 'rate-limited', cause: 'throughput-low' },
    WITHOUT_SERVICES,
    PAIR,
    CONTEXT,
  );
  t.same(first?.faults, [
    { kind: 'rate-limited', from: 'east', to: 'west', workload: 'apps/client', megabits: 2 },
  ]);
  t.same(
    aim({ kind: 'rate-limited', cause: 'throughput-low' })[0],
    { kind: 'rate-limited', from: 'east', to: 'west', forwarded: true, megabits: 2 },
    'or at whatever carries services out of its cluster',
  );
});

t.test('a size that is relative becomes absolute by what the healthy case measured', async (t) => {
  const check = WITHOUT_SERVICES;
  const [, half, justBelow] = faultsFor(
    { kind: 'rate-limited', cause: 'throughput-low' },
    check,
    PAIR,
    CONTEXT,
  );
  t.match(half, { size: '50 % of the baseline' });
  t.match(justBelow, { size: '72 % of the baseline', relativeTo: { figure: 'baseline' } });
  const { faults, relativeTo } = justBelow as Required<SizedFault>;
  t.match(sizedBy(faults, relativeTo, { baseline: { value: 200, unit: 'Mbit/s' } }), [
    { kind: 'rate-limited', workload: 'apps/client', megabits: 144 },
  ]);
  t.equal(sizedBy(faults, relativeTo, {}), undefined);
  const [, , , late] = faultsFor({ kind: 'delayed', cause: 'latency-high' }, check, PAIR, CONTEXT);
  const { faults: delays, relativeTo: baseline } = late as Required<SizedFault>;
  t.match(
    sizedBy(delays, baseline, { 'p50 baseline': { value: 1, unit: 'ms' } }),
    [{ kind: 'delayed', milliseconds: 5 }],
    'above 3 × 1 ms + 2 ms by a tenth of what the path adds',
  );
  t.equal(sizedBy(faults, relativeTo, undefined), undefined);
});

t.test('how much is just too much the budgets of the check say', async (t) => {
  const budget = (value: number) => ({ value, unit: '', reason: '' });
  const check = {
    ...CHECK,
    budgets: { share: budget(0.25), factor: budget(4), allowance: budget(10) },
  };
  const slow = faultsFor({ kind: 'rate-limited', cause: 'throughput-low' }, check, PAIR, CONTEXT).at(-1);
  t.match(slow, { size: '22.5 % of the baseline', relativeTo: { share: 0.1125 } }, 'there and back again');
  const late = faultsFor({ kind: 'delayed', cause: 'latency-high' }, check, PAIR, CONTEXT).at(-1);
  const { faults, relativeTo } = late as Required<SizedFault>;
  t.match(sizedBy(faults, relativeTo, { 'p50 baseline': { value: 10, unit: 'ms' } }), [
    { kind: 'delayed', forwarded: true, milliseconds: 44 },
  ]);
});

t.test('every check of the suites names a fault that can be aimed, or says why it has none', async (t) => {
  for (const check of SUITES.flatMap((suite) => suite.checks)) {
    const { faults = [], withoutFaults, scope } = check;
    t.not(faults.length === 0, withoutFaults === undefined, `${check.id}: faults, or else a reason`);
    const planned = { pair: PAIR, cluster: CLUSTER, fleet: FLEET }[scope as 'pair' | 'cluster' | 'fleet'];
    for (const expectation of faults) {
      const aimed = faultsFor(expectation, check, planned, CONTEXT);
      t.ok(aimed.length > 0, `${check.id}: ${expectation.kind} strikes something`);
      t.ok(
        aimed.flatMap(({ faults }) => faults).every(({ kind }) => kind === expectation.kind),
        'and is of the kind that was named',
      );
    }
  }
});
