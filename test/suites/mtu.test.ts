import t from 'tap';
import { lengths, lengthsAround, mtuProbing, pathMtu } from '../../suites/mtu.ts';
import { judge, outcomeOf } from './judging.ts';

const sweep = (mtu: number, more: object = {}) => ({
  family: 'ipv4',
  interfaceMtu: 1500,
  mtu,
  probes: [],
  ...more,
});
const observation = (more: object = {}) => ({
  from: 'east',
  to: 'west',
  target: '10.16.0.2',
  there: sweep(1420, { signalled: 1420 }),
  back: sweep(1420, { signalled: 1420 }),
  stream: { complete: true, arrived: [1, 1420, 65_536] },
  ...more,
});

t.test('mtu.path', async (t) => {
  const cases: [string, object, string][] = [
    ['healthy', {}, 'passed'],
    [
      'black hole',
      {
        there: sweep(1300, { silentAbove: 1300 }),
        stream: { complete: false, arrived: [1], stalledAt: 1420 },
      },
      'failed: mtu-black-hole',
    ],
    [
      'black hole on the way back',
      { back: sweep(1300, { silentAbove: 1300 }), stream: { complete: false, arrived: [] } },
      'failed: mtu-black-hole',
    ],
    ['masked by MSS clamping', { there: sweep(1300, { silentAbove: 1300 }) }, 'failed: mtu-masked'],
    ['asymmetric', { there: sweep(1300, { signalled: 1300 }) }, 'failed: mtu-asymmetric'],
    ['one byte asymmetric', { there: sweep(1419, { signalled: 1419 }) }, 'failed: mtu-asymmetric'],
    [
      'below the budget',
      { there: sweep(1200, { signalled: 1200 }), back: sweep(1200, { signalled: 1200 }) },
      'failed: mtu-too-small',
    ],
    [
      'below what was configured',
      { there: sweep(1400, { signalled: 1400 }), back: sweep(1400, { signalled: 1400 }) },
      'failed: mtu-below-configured',
    ],
    [
      'packets pass, streams do not',
      { stream: { complete: false, arrived: [1], stalledAt: 65_536 } },
      'failed: large-transfer-stalls',
    ],
    ['nothing passes', { there: sweep(0), back: sweep(0) }, 'inconclusive: control-failed'],
    ['one way dead', { back: sweep(0) }, 'inconclusive: control-failed'],
  ];
  for (const [name, change, expected] of cases)
    t.equal(outcomeOf(judge(pathMtu, observation(change))), expected, name);
  t.equal(
    outcomeOf(
      judge(pathMtu, observation({ there: sweep(1400), back: sweep(1400) }), {
        configuredPathMtu: undefined as never,
      }),
    ),
    'passed',
    'an underlay that nobody configured has no expected MTU',
  );
  const verdict = judge(pathMtu, observation({ there: sweep(1300, { silentAbove: 1300 }) }));
  t.match(verdict.seen, /above 1300 bytes from east to west/);
  t.equal(
    verdict.reproduce?.command,
    'ping -M do -c 3 -W 1 -s 1273 10.16.0.2',
    'the first size that vanishes',
  );
});

t.test('mtu.lengths', async (t) => {
  const sizes = lengthsAround(1420, 'ipv4');
  t.ok(sizes.includes(1380) && sizes.includes(1422) && sizes.includes(65_536) && sizes.includes(1));
  const whole = { complete: true, arrived: sizes };
  const observed = { at: 'east', sizes, requests: whole, answers: whole };
  t.equal(outcomeOf(judge(lengths, observed)), 'passed');
  const stalled = { complete: false, arrived: [1, 511], stalledAt: 1421 };
  t.equal(outcomeOf(judge(lengths, { ...observed, answers: stalled })), 'failed: large-transfer-stalls');
  t.equal(
    outcomeOf(judge(lengths, { ...observed, requests: { complete: true, arrived: [1] } })),
    'failed: large-transfer-stalls',
    'fewer than were sent is no success',
  );
  t.equal(
    outcomeOf(judge(lengths, { ...observed, requests: { complete: false, arrived: [] } })),
    'inconclusive: control-failed',
  );
});

t.test('mtu.probing', async (t) => {
  const passes = { complete: true, arrived: [1] };
  const stalls = { complete: false, arrived: [1], stalledAt: 1300 };
  const verdict = (held: boolean, control: object, without: object, probing: object) =>
    outcomeOf(judge(mtuProbing, { held, control, without, probing }));
  t.equal(verdict(true, passes, stalls, passes), 'passed');
  t.equal(verdict(true, passes, stalls, stalls), 'failed: mtu-black-hole');
  t.equal(verdict(false, passes, passes, passes), 'inconclusive: fault-did-not-hold');
  t.equal(verdict(true, stalls, stalls, passes), 'inconclusive: control-failed');
});
