import t, { type Test } from 'tap';
import type { AnyCheck } from '../../lib/model/check.ts';
import type { Exchange } from '../../lib/model/probe.ts';
import { dns, headless, latency, local, notShared, records, shared, truncation } from '../../suites/dns.ts';
import { callsToMeetAll } from '../../suites/support/services.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, lookup, times } from './samples.ts';

const VIP = '10.12.0.16';
const OWNERS = { [VIP]: 'service range of east', '10.28.0.16': 'service range of west' };
const resolved = (...addresses: string[]) =>
  lookup({ addresses, owners: OWNERS, ttls: addresses.map(() => 5) });

/** Every way in which a lookup of a name that must resolve can go wrong, and what it is called. */
const WRONG_LOOKUPS: [string, object, string][] = [
  ['time-out', lookup({ outcome: 'timed-out' }), 'failed: dns-timeout'],
  ['NXDOMAIN', lookup({ rcode: 'NXDOMAIN' }), 'failed: dns-nxdomain'],
  ['SERVFAIL', lookup({ rcode: 'SERVFAIL' }), 'failed: dns-refused'],
  ['no server', lookup({ outcome: 'refused' }), 'failed: dns-refused'],
  ['no route to the server', lookup({ outcome: 'unreachable' }), 'failed: dns-refused'],
  ['no records', lookup(), 'failed: dns-no-records'],
  ['lookup not made', lookup({ outcome: 'error' }), 'inconclusive: probe-failed'],
  ['no code', (({ rcode: _rcode, ...rest }) => rest)(resolved(VIP)), 'inconclusive: probe-failed'],
];

function tell(t: Test, check: AnyCheck, cases: readonly (readonly [string, object, string])[]) {
  for (const [name, observed, expected] of cases) t.equal(outcomeOf(judge(check, observed)), expected, name);
}

t.test('dns.shared', async (t) => {
  const fromBoth = [...times(5, () => answeredBy('east')), ...times(5, () => answeredBy('west'))];
  const observation = (more: object = {}) => ({
    cluster: 'east',
    address: VIP,
    lookup: resolved(VIP),
    sharing: ['east', 'west'],
    workloads: ['mcnet/echo-1', 'mcnet/echo-2'],
    exchanges: fromBoth,
    ...more,
  });
  const silent = () => exchange({ outcome: 'timed-out' });
  tell(t, shared, [
    ['healthy', observation(), 'passed'],
    ...WRONG_LOOKUPS.map(([name, bad, expected]) => [name, observation({ lookup: bad }), expected] as const),
    ['address of west', observation({ lookup: resolved('10.28.0.16') }), 'failed: dns-wrong-address'],
    [
      'one address too many',
      observation({ lookup: resolved(VIP, '10.28.0.16') }),
      'failed: dns-wrong-address',
    ],
    [
      'only the own cluster answers',
      observation({ exchanges: times(30, () => answeredBy('east')) }),
      'failed: local-endpoints-only',
    ],
    [
      'only the other answers',
      observation({ exchanges: times(30, () => answeredBy('west')) }),
      'failed: remote-endpoints-missing',
    ],
    [
      'one of three never answers',
      observation({ sharing: ['east', 'west', 'north'] }),
      'failed: remote-endpoints-missing',
    ],
    [
      'one that must not be reached answers',
      observation({ exchanges: [...fromBoth, answeredBy('south')] }),
      'failed: wrong-answerer',
    ],
    [
      'a workload that is no backend answers',
      observation({ exchanges: [...fromBoth, answeredBy('east', 'client')] }),
      'failed: wrong-answerer',
    ],
    ['some calls lost', observation({ exchanges: [...fromBoth, silent()] }), 'failed: packets-lost'],
    ['all calls lost', observation({ exchanges: times(29, silent) }), 'failed: request-lost'],
    [
      'all calls refused',
      observation({ exchanges: times(29, () => exchange({ outcome: 'refused' })) }),
      'failed: connection-refused',
    ],
    ['no calls', observation({ exchanges: [] }), 'inconclusive: probe-failed'],
    ['nobody shares', observation({ sharing: [] }), 'inconclusive: control-failed'],
    ['no address', observation({ address: '' }), 'inconclusive: control-failed'],
  ]);
  t.match(
    judge(shared, observation({ lookup: resolved('10.28.0.16') })).seen,
    '10.28.0.16 (service range of west)',
    'a wrong address is told by whose range has it',
  );
});

t.test('enough calls to meet every cluster', async (t) => {
  t.equal(callsToMeetAll(1), 14);
  t.ok(2 * 0.5 ** callsToMeetAll(2) < 1e-6);
  t.ok(100 * 0.99 ** callsToMeetAll(100) < 1e-6);
});

t.test('dns.records', async (t) => {
  const srv = (more: object = {}) =>
    lookup({ type: 'SRV', services: [{ target: 'echo.mcnet.svc.clusterset.local', port: 8080 }], ...more });
  const http = { name: 'http', port: 8080, protocol: 'tcp' };
  const port = (more: object = {}) => ({ wanted: http, lookup: srv(), target: resolved(VIP), ...more });
  const observation = (more: object = {}) => ({
    cluster: 'east',
    wantedAddress: VIP,
    address: resolved(VIP),
    otherFamily: lookup({ type: 'AAAA' }),
    services: [port()],
    ...more,
  });
  tell(t, records, [
    ['healthy', observation(), 'passed'],
    ['both families in use', observation({ otherFamily: undefined }), 'passed'],
    ...WRONG_LOOKUPS.map(([name, bad, expected]) => [name, observation({ address: bad }), expected] as const),
    ['address of west', observation({ address: resolved('10.28.0.16') }), 'failed: dns-wrong-address'],
    [
      'no AAAA said as NXDOMAIN',
      observation({ otherFamily: lookup({ type: 'AAAA', rcode: 'NXDOMAIN' }) }),
      'failed: dns-nxdomain',
    ],
    [
      'an address in the other family',
      observation({ otherFamily: lookup({ type: 'AAAA', addresses: ['fd00::1'] }) }),
      'failed: dns-wrong-address',
    ],
    [
      'SRV time-out',
      observation({ services: [port({ lookup: srv({ outcome: 'timed-out' }) })] }),
      'failed: dns-timeout',
    ],
    [
      'no SRV record',
      observation({ services: [port({ lookup: srv({ services: [] }), target: undefined })] }),
      'failed: dns-no-records',
    ],
    [
      'SRV with another port',
      observation({ services: [port({ lookup: srv({ services: [{ target: 'x', port: 81 }] }) })] }),
      'failed: dns-wrong-address',
    ],
    [
      'SRV target does not exist',
      observation({ services: [port({ target: lookup({ rcode: 'NXDOMAIN' }) })] }),
      'failed: dns-nxdomain',
    ],
    [
      'SRV target is elsewhere',
      observation({ services: [port(), port({ target: resolved('10.28.0.16') })] }),
      'failed: dns-wrong-address',
    ],
    ['no SRV asked for', observation({ services: [] }), 'inconclusive: probe-failed'],
    ['no address to expect', observation({ wantedAddress: '' }), 'inconclusive: control-failed'],
  ]);
});

t.test('dns.headless', async (t) => {
  const workloads = [
    { cluster: 'east', name: 'mcnet/echo-1', address: '10.0.0.3' },
    { cluster: 'west', name: 'mcnet/echo-1', address: '10.16.0.3' },
  ];
  const observation = (answer: object, more: object = {}) => ({
    cluster: 'east',
    lookup: answer,
    workloads,
    ...more,
  });
  tell(t, headless, [
    ['healthy', observation(resolved('10.16.0.3', '10.0.0.3')), 'passed'],
    ...WRONG_LOOKUPS.map(([name, bad, expected]) => [name, observation(bad), expected] as const),
    ['own only', observation(resolved('10.0.0.3')), 'failed: local-endpoints-only'],
    ['others only', observation(resolved('10.16.0.3')), 'failed: dns-stale-endpoints'],
    [
      'one that is gone',
      observation(resolved('10.0.0.3', '10.16.0.3', '10.16.0.9')),
      'failed: dns-stale-endpoints',
    ],
    [
      'kept too long',
      observation({ ...resolved('10.16.0.3', '10.0.0.3'), ttls: [5, 31] }),
      'failed: dns-ttl-too-long',
    ],
    [
      'without a time to live',
      observation({ ...resolved('10.16.0.3', '10.0.0.3'), ttls: [] }),
      'inconclusive: probe-failed',
    ],
    ['no workloads', observation(resolved(), { workloads: [] }), 'inconclusive: control-failed'],
  ]);
});

t.test('dns.not-shared', async (t) => {
  const own = () => answeredBy('east');
  const observation = (more: object = {}) => ({
    cluster: 'east',
    local: resolved(VIP),
    foreign: lookup({ rcode: 'NXDOMAIN' }),
    exchanges: times(20, own),
    ...more,
  });
  tell(t, notShared, [
    ['healthy', observation(), 'passed'],
    [
      'time-out is not NXDOMAIN',
      observation({ foreign: lookup({ outcome: 'timed-out' }) }),
      'failed: dns-timeout',
    ],
    ['no server', observation({ foreign: lookup({ outcome: 'refused' }) }), 'failed: dns-refused'],
    [
      'the local name times out',
      observation({ local: lookup({ outcome: 'timed-out' }), exchanges: [] }),
      'failed: dns-timeout',
    ],
    ['exists', observation({ foreign: resolved(VIP) }), 'failed: not-shared-but-answered'],
    ['exists without address', observation({ foreign: lookup() }), 'failed: dns-no-records'],
    [
      'one remote answer',
      observation({ exchanges: [...times(19, own), answeredBy('west')] }),
      'failed: not-shared-but-answered',
    ],
    [
      'the own cluster does not answer',
      observation({ exchanges: times(20, () => exchange({ outcome: 'timed-out' })) }),
      'inconclusive: control-failed',
    ],
    ['too few calls', observation({ exchanges: times(3, own) }), 'inconclusive: probe-failed'],
    [
      'nothing to call',
      observation({ local: lookup({ rcode: 'NXDOMAIN' }), exchanges: [] as Exchange[] }),
      'inconclusive: control-failed',
    ],
  ]);
});

t.test('dns.local', async (t) => {
  const observation = (answer: object) => ({ cluster: 'east', wantedAddress: VIP, lookup: answer });
  tell(t, local, [
    ['healthy', observation(resolved(VIP)), 'passed'],
    ...WRONG_LOOKUPS.map(([name, bad, expected]) => [name, observation(bad), expected] as const),
    ['address of west', observation(resolved('10.28.0.16')), 'failed: dns-wrong-address'],
    [
      'no address to expect',
      { ...observation(resolved(VIP)), wantedAddress: '' },
      'inconclusive: control-failed',
    ],
  ]);
});

t.test('dns.latency', async (t) => {
  const taking = (durationMs: number) => () => ({ ...resolved(VIP), durationMs });
  const observation = (lookups: object[], neighbourMs = 1) => ({
    cluster: 'east',
    lookups,
    neighbours: times(60, () => ({ outcome: 'answered', durationMs: neighbourMs })),
  });
  tell(t, latency, [
    ['healthy', observation(times(60, taking(2))), 'passed'],
    ['few are slow', observation([...times(58, taking(2)), ...times(2, taking(900))]), 'passed'],
    ['slow', observation([...times(50, taking(2)), ...times(10, taking(900))]), 'failed: dns-slow'],
    [
      'slow, as everything is',
      observation([...times(50, taking(2)), ...times(10, taking(900))], 300),
      'inconclusive: cpu-saturated',
    ],
    [
      'time-out on a busy machine',
      observation([...times(59, taking(2)), lookup({ outcome: 'timed-out' })], 300),
      'failed: dns-timeout',
    ],
    [
      'time-out',
      observation([...times(59, taking(2)), lookup({ outcome: 'timed-out' })]),
      'failed: dns-timeout',
    ],
    ['NXDOMAIN', observation(times(60, () => lookup({ rcode: 'NXDOMAIN' }))), 'failed: dns-nxdomain'],
    ['too few', observation(times(20, taking(2))), 'inconclusive: probe-failed'],
    ['none', observation([]), 'inconclusive: probe-failed'],
  ]);
});

t.test('dns.truncation', async (t) => {
  const many = Array.from({ length: 64 }, (_, index) => `10.7.255.${index}`);
  const observation = (plain: object = {}, tcp: object = {}) => ({
    cluster: 'east',
    plain: lookup({ truncated: true, ...plain }),
    tcp: lookup({ transport: 'tcp', addresses: many, ...tcp }),
  });
  tell(t, truncation, [
    ['healthy', observation(), 'passed'],
    ['not truncated', observation({ truncated: false, addresses: many }), 'failed: dns-truncation'],
    [
      'cut without TC',
      observation({ truncated: false, addresses: many.slice(0, 28) }),
      'failed: dns-truncation',
    ],
    ['TCP refused', observation({}, { outcome: 'refused', addresses: [] }), 'failed: dns-truncation'],
    ['TCP incomplete', observation({}, { addresses: many.slice(0, 63) }), 'failed: dns-truncation'],
    ['time-out', observation({ outcome: 'timed-out' }), 'failed: dns-timeout'],
    ['NXDOMAIN', observation({ rcode: 'NXDOMAIN' }), 'failed: dns-nxdomain'],
  ]);
});

t.test('every check can be shown to fail, or says why not', async (t) => {
  for (const check of dns.checks) {
    t.ok((check.faults?.length ?? 0) > 0 !== (check.withoutFaults !== undefined), check.id);
  }
});
