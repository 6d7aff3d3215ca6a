import t from 'tap';
import type { AnyCheck } from '../../lib/model/check.ts';
import type { Exchange } from '../../lib/model/probe.ts';
import {
  emptyServiceRefuses,
  forbidden,
  hairpin,
  http,
  http2,
  icmp,
  order,
  path,
  reachability,
  tcp,
  udp,
} from '../../suites/reachability.ts';
import { callCommand } from '../../suites/support/calls.ts';
import { judge, outcomeOf } from './judging.ts';
import { CALLER, TARGET, answeredBy, exchange, times } from './samples.ts';

const calls = (exchanges: Exchange[], more: object = {}) => ({
  caller: CALLER,
  target: TARGET,
  protocol: 'tcp',
  wanted: 5,
  exchanges,
  arrived: exchanges.filter(({ outcome }) => outcome === 'answered').map(({ nonce }) => nonce),
  ...more,
});
const silent = () => exchange({ outcome: 'timed-out' });

for (const check of [tcp, udp, http, http2] as AnyCheck[]) {
  t.test(check.id, async (t) => {
    const lost = times(5, silent);
    const way = { exchanges: times(5, silent), arrived: ['a', 'b'] };
    const cases: [string, object, string][] = [
      ['healthy', calls(times(5, exchange)), 'passed'],
      ['request lost', calls(lost), 'failed: request-lost'],
      ['request lost, UDP too', calls(lost, { way: { ...way, arrived: [] } }), 'failed: request-lost'],
      ['reply lost', calls(lost, { arrived: lost.map(({ nonce }) => nonce) }), 'failed: reply-lost'],
      ['reply lost, told by UDP', calls(lost, { way }), 'failed: reply-lost'],
      [
        'swallowed while UDP is answered',
        calls(lost, { way: { exchanges: times(5, exchange), arrived: ['a'] } }),
        'failed: request-lost',
      ],
      ['one of five lost', calls([...times(4, exchange), silent()]), 'failed: packets-lost'],
      ['refused', calls(times(5, () => exchange({ outcome: 'refused' }))), 'failed: connection-refused'],
      [
        'accepted and reset',
        calls(times(5, () => exchange({ outcome: 'reset' }))),
        'failed: connection-refused',
      ],
      ['no route', calls(times(5, () => exchange({ outcome: 'unreachable' }))), 'failed: no-route'],
      [
        'proxy',
        calls(times(5, () => exchange({ outcome: 'garbled', status: 503 }))),
        'failed: proxy-refused',
      ],
      ['something else', calls(times(5, () => exchange({ outcome: 'garbled' }))), 'failed: wrong-answerer'],
      ['another cluster', calls(times(5, () => answeredBy('east'))), 'failed: wrong-answerer'],
      ['another workload', calls(times(5, () => answeredBy('west', 'echo-2'))), 'failed: wrong-answerer'],
      ['one answer of another', calls([...times(4, exchange), answeredBy('east')]), 'failed: wrong-answerer'],
      [
        'source rewritten',
        calls(times(5, () => exchange({ seenSource: { address: '198.19.0.1', port: 1 } }))),
        'failed: source-rewritten',
      ],
      ['nothing reported', calls([]), 'inconclusive: probe-failed'],
      ['too few reported', calls(times(4, exchange)), 'inconclusive: probe-failed'],
      ['nothing wanted', calls([], { wanted: 0 }), 'inconclusive: probe-failed'],
      [
        'probe broken',
        calls([...times(4, exchange), exchange({ outcome: 'error' })]),
        'inconclusive: probe-failed',
      ],
    ];
    for (const [name, observed, expected] of cases) {
      t.equal(outcomeOf(judge(check, observed)), expected, name);
    }
    t.equal(
      outcomeOf(judge(check, calls([...times(4, exchange), exchange({ outcome: 'fine' as 'answered' })]))),
      'inconclusive: probe-failed',
      'an outcome that nobody knows',
    );
    const { answeredBy: _who, ...anonymous } = exchange();
    t.equal(
      outcomeOf(judge(check, calls(times(5, () => anonymous as Exchange)))),
      'inconclusive: probe-failed',
      'an answer from nobody',
    );
  });
}

t.test('the same IPv6 address in another spelling is no rewritten source', async (t) => {
  const observed = calls(times(5, () => exchange({ seenSource: { address: 'fd00:0:0::2', port: 1 } })));
  t.equal(judge(tcp, { ...observed, caller: { ...CALLER, address: 'fd00::2' } }).status, 'passed');
});

t.test('a failure says what was expected, what was seen and how to see it again', async (t) => {
  const { expected, seen, reproduce } = judge(tcp, calls(times(5, silent)));
  t.match(expected, 'west/mcnet/echo-1 (10.16.0.3)');
  t.match(seen, '5 without any answer; west/mcnet/echo-1 received 0 of these 5 requests');
  t.same(reproduce, { at: 'east/mcnet/client', command: callCommand('tcp', '10.16.0.3', 7000) });
});

t.test('reachability.icmp', async (t) => {
  const pings = (ping: object, more: object = {}) => ({
    caller: CALLER,
    target: TARGET,
    ping: { sent: 5, received: 5, ...ping },
    ...more,
  });
  const way = { exchanges: times(5, silent), arrived: [] as string[] };
  const cases: [string, object, string][] = [
    ['healthy', pings({}), 'passed'],
    ['some lost', pings({ received: 4 }), 'failed: packets-lost'],
    [
      'the last answer came too late for ping, the next were in time',
      pings({ received: 4 }, { again: { sent: 20, received: 20 } }),
      'passed',
    ],
    ['lost again', pings({ received: 4 }, { again: { sent: 20, received: 17 } }), 'failed: packets-lost'],
    [
      'lost altogether then',
      pings({ received: 4 }, { again: { sent: 20, received: 0 } }),
      'failed: request-lost',
    ],
    ['request lost', pings({ received: 0 }, { way }), 'failed: request-lost'],
    ['reply lost', pings({ received: 0 }, { way: { ...way, arrived: ['a'] } }), 'failed: reply-lost'],
    [
      'ICMP alone is filtered',
      pings({ received: 0 }, { way: { exchanges: times(5, exchange), arrived: ['a'] } }),
      'failed: request-lost',
    ],
    ['unreachable', pings({ received: 0, detail: 'Destination Net Unreachable' }), 'failed: no-route'],
    ['nothing sent', pings({ sent: 0, received: 0 }), 'inconclusive: probe-failed'],
    ['more than sent', pings({ received: 6 }), 'inconclusive: probe-failed'],
    ['no figures', pings({ sent: undefined, received: undefined }), 'inconclusive: probe-failed'],
  ];
  for (const [name, observed, expected] of cases) t.equal(outcomeOf(judge(icmp, observed)), expected, name);
});

t.test('reachability.path', async (t) => {
  const hop = (cluster?: string) => ({ ttl: 1, address: '198.19.0.1', ...(cluster && { cluster }) });
  const route = (...clusters: (string | undefined)[]) => ({
    from: 'east',
    to: 'west',
    target: '10.16.0.3',
    reached: true,
    hops: clusters.map(hop),
  });
  const direct = { path: { kind: 'direct' } } as const;
  const via = { path: { kind: 'via', hops: ['north'] } } as const;
  const viaTwo = { path: { kind: 'via', hops: ['north', 'south'] } } as const;
  const cases: [string, object, object, string][] = [
    ['direct', route('east', 'west'), direct, 'passed'],
    ['direct, taken through north', route('east', 'north', 'west'), direct, 'failed: wrong-path'],
    ['via the hub', route('east', 'north', 'west'), via, 'passed'],
    ['via, taken directly', route('east', 'west'), via, 'failed: wrong-path'],
    ['via another', route('east', 'south', 'west'), via, 'failed: wrong-path'],
    ['via two', route('east', 'north', 'south', 'west'), viaTwo, 'passed'],
    ['via two, wrong order', route('east', 'south', 'north', 'west'), viaTwo, 'failed: wrong-path'],
    ['a silent router', route('east', undefined, 'west'), direct, 'inconclusive: control-failed'],
    ['a silent router may be the hub', route('east', undefined, 'west'), via, 'inconclusive: control-failed'],
    [
      'silence within the target’s cluster',
      { ...route('east', 'west'), hops: [...route('east', 'west').hops, { ttl: 3 }] },
      direct,
      'passed',
    ],
    [
      'an answer that was translated within the target’s cluster',
      {
        ...route('east', 'west'),
        hops: [...route('east', 'west').hops, { ttl: 3, translated: '10.24.0.2' }],
      },
      direct,
      'passed',
    ],
    [
      'an answer that was translated on the way',
      { ...route('east', 'west'), hops: [{ ttl: 1, translated: '10.24.0.2' }, ...route('west').hops] },
      via,
      'inconclusive: control-failed',
    ],
    ['a wrong one beside a silent one', route('east', undefined, 'south', 'west'), via, 'failed: wrong-path'],
    ['no router at all', route(), direct, 'inconclusive: probe-failed'],
    ['not reached', { ...route('east'), reached: false }, direct, 'inconclusive: probe-failed'],
  ];
  for (const [name, observed, expectation, expected] of cases) {
    t.equal(outcomeOf(judge(path, observed, expectation)), expected, name);
  }
});

t.test('reachability.forbidden', async (t) => {
  const attempt = (more: object = {}) => ({
    exchanges: times(4, silent),
    arrived: [],
    pings: { sent: 2, received: 0 },
    ...more,
  });
  const observation = (more: object = {}) => ({
    caller: CALLER,
    target: TARGET,
    attempts: [attempt(), attempt()],
    targetControl: times(4, exchange),
    callerControl: times(4, exchange),
    ...more,
  });
  const open = [...times(3, silent), exchange()];
  const cases: [string, object, string][] = [
    ['closed', {}, 'passed'],
    ['open', { attempts: [attempt(), attempt({ exchanges: open })] }, 'failed: path-not-closed'],
    [
      'requests arrive, answers do not',
      { attempts: [attempt({ arrived: ['a'] }), attempt()] },
      'failed: path-not-closed',
    ],
    [
      'pings pass',
      { attempts: [attempt({ pings: { sent: 2, received: 1 } }), attempt()] },
      'failed: path-not-closed',
    ],
    [
      'the target answers nobody',
      { targetControl: [...times(3, exchange), silent()] },
      'inconclusive: control-failed',
    ],
    ['the caller is deaf', { callerControl: times(4, silent) }, 'inconclusive: control-failed'],
    ['only one end of the window', { attempts: [attempt()] }, 'inconclusive: probe-failed'],
    ['no attempt', { attempts: [] }, 'inconclusive: probe-failed'],
    ['no calls', { attempts: [attempt({ exchanges: [] }), attempt()] }, 'inconclusive: probe-failed'],
    ['no control', { targetControl: [] }, 'inconclusive: probe-failed'],
  ];
  for (const [name, change, expected] of cases)
    t.equal(outcomeOf(judge(forbidden, observation(change))), expected, name);
});

t.test('reachability.order', async (t) => {
  const burst = (more: object = {}) => ({
    caller: CALLER,
    target: TARGET,
    burst: { sent: 3_000, received: 3_000, duplicates: 0, reordered: 0, jitterMs: 0, ...more },
  });
  const cases: [string, object, string][] = [
    ['in order', burst(), 'passed'],
    ['within the budget', burst({ reordered: 3 }), 'passed'],
    ['out of order', burst({ reordered: 4 }), 'failed: packets-reordered'],
    ['duplicated', burst({ duplicates: 4 }), 'failed: packets-duplicated'],
    ['mostly lost', burst({ received: 100 }), 'inconclusive: control-failed'],
    ['all lost', burst({ received: 0 }), 'inconclusive: control-failed'],
    ['nothing sent', burst({ sent: 0, received: 0 }), 'inconclusive: probe-failed'],
    ['no figures', burst({ reordered: undefined }), 'inconclusive: probe-failed'],
  ];
  for (const [name, observed, expected] of cases) t.equal(outcomeOf(judge(order, observed)), expected, name);
});

t.test('reachability.hairpin', async (t) => {
  const self = () => answeredBy('east');
  const other = () => answeredBy('east', 'echo-2');
  const observation = (exchanges: Exchange[]) => ({
    caller: { ...CALLER, workload: 'mcnet/echo-1' },
    service: '10.8.0.20',
    exchanges,
  });
  const cases: [string, Exchange[], string][] = [
    ['reaches itself', [...times(10, self), ...times(30, other)], 'passed'],
    ['never itself, others do', [...times(10, silent), ...times(30, other)], 'failed: no-hairpin'],
    ['nobody', times(40, silent), 'failed: no-hairpin'],
    ['sometimes', [...times(30, self), ...times(10, silent)], 'failed: packets-lost'],
    ['never chosen', times(40, other), 'inconclusive: control-failed'],
    ['nothing reported', [], 'inconclusive: probe-failed'],
  ];
  for (const [name, exchanges, expected] of cases) {
    t.equal(outcomeOf(judge(hairpin, observation(exchanges))), expected, name);
  }
});

t.test('reachability.empty-service', async (t) => {
  const refused = () => exchange({ outcome: 'refused' });
  const observation = (exchanges: Exchange[], control = times(5, exchange)) => ({
    cluster: 'east',
    service: '10.8.0.21',
    exchanges,
    control,
  });
  const cases: [string, object, string][] = [
    ['refused', observation(times(5, refused)), 'passed'],
    [
      'a proxy takes the connection and ends it',
      observation(times(5, () => exchange({ outcome: 'reset' }))),
      'passed',
    ],
    ['hangs', observation(times(5, silent)), 'failed: empty-service-hangs'],
    ['hangs once', observation([...times(4, refused), silent()]), 'failed: empty-service-hangs'],
    [
      'refused too late',
      observation(times(5, () => exchange({ outcome: 'refused', durationMs: 1_500 }))),
      'failed: empty-service-hangs',
    ],
    ['answered', observation([...times(4, refused), exchange()]), 'failed: wrong-answerer'],
    [
      'the caller can call nobody',
      observation(times(5, refused), times(5, refused)),
      'inconclusive: control-failed',
    ],
    ['nothing reported', observation([]), 'inconclusive: probe-failed'],
    ['no control', observation(times(5, refused), []), 'inconclusive: probe-failed'],
  ];
  for (const [name, observed, expected] of cases) {
    t.equal(outcomeOf(judge(emptyServiceRefuses, observed)), expected, name);
  }
});

t.test('every check can be shown to fail, or says why not', async (t) => {
  for (const check of reachability.checks) {
    t.ok((check.faults?.length ?? 0) > 0 !== (check.withoutFaults !== undefined), check.id);
  }
});
