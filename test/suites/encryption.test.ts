import t from 'tap';
import { failsClosed, handshake, pods, wire, wrongKey } from '../../suites/encryption.ts';
import { judge, outcomeOf } from './judging.ts';

const capture = (packets: number, markerPackets: number, bytes = packets * 1_000) => ({
  packets,
  bytes,
  markerPackets,
  flows: packets > 0 ? [{ flow: 'udp 198.18.0.2:51820 > 198.18.0.3:51820', packets, bytes }] : [],
  droppedByKernel: 0,
});
const healthy = { control: capture(40, 20), wan: capture(60, 0), foreign: capture(0, 0) };

t.test('encryption.wire', async (t) => {
  const verdict = (captures: object, answered = 20) =>
    outcomeOf(
      judge(wire, { from: 'east', target: '10.16.0.2', answered, captures: { ...healthy, ...captures } }),
    );
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ foreign: capture(20, 20) }), 'failed: clear-text-on-wan');
  t.equal(verdict({ wan: capture(60, 1) }), 'failed: clear-text-on-wan', 'a tunnel that does not encrypt');
  t.equal(
    verdict({ foreign: capture(20, 20) }, 0),
    'failed: clear-text-on-wan',
    'a leak counts even when nobody answers',
  );
  t.equal(verdict({ foreign: capture(3, 0) }), 'failed: foreign-traffic-on-wan');
  t.equal(
    verdict({ control: capture(40, 0) }),
    'inconclusive: control-failed',
    'capture that cannot see the marker',
  );
  t.equal(verdict({ wan: capture(1, 0) }), 'inconclusive: control-failed', 'the flow went another way');
  t.equal(verdict({}, 0), 'inconclusive: control-failed');
});

t.test('encryption.pods', async (t) => {
  const observed = { from: 'east', to: 'west', answered: 150, capture: capture(400, 0) };
  const verdict = (change: object) => outcomeOf(judge(pods, { ...observed, ...change }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ capture: capture(400, 150) }), 'failed: clear-text-on-wan');
  t.equal(verdict({ capture: capture(400, 1), answered: 0 }), 'failed: clear-text-on-wan');
  t.equal(verdict({ capture: capture(20, 0) }), 'inconclusive: control-failed', 'the flow went another way');
  t.equal(verdict({ answered: 0 }), 'inconclusive: control-failed');
});

t.test('encryption.handshake', async (t) => {
  const verdict = (ages: object) => outcomeOf(judge(handshake, { from: 'east', to: 'west', ages }));
  t.equal(verdict({ west: 3 }), 'passed');
  t.equal(verdict({ west: 181 }), 'failed: no-handshake');
  t.equal(verdict({ north: 3 }), 'failed: no-handshake');
});

t.test('encryption.wrong-key', async (t) => {
  const observed = {
    from: 'east',
    peer: 'west',
    held: true,
    before: { outcome: 'answered' },
    during: { outcome: 'timed-out' },
    ages: {},
    recovered: true,
  };
  const verdict = (change: object) => outcomeOf(judge(wrongKey, { ...observed, ...change }));
  t.equal(verdict({}), 'passed');
  t.equal(verdict({ during: { outcome: 'answered' } }), 'failed: handshake-with-wrong-key');
  t.equal(verdict({ ages: { west: 0 } }), 'failed: handshake-with-wrong-key');
  t.equal(verdict({ before: { outcome: 'timed-out' } }), 'inconclusive: control-failed');
  t.equal(verdict({ held: false }), 'inconclusive: fault-did-not-hold');
  t.equal(verdict({ recovered: false }), 'inconclusive: control-failed');
});

t.test('encryption.fails-closed', async (t) => {
  const observed = {
    from: 'east',
    target: '10.16.0.2',
    held: true,
    before: 20,
    during: 0,
    captures: { control: capture(20, 20), wan: capture(0, 0), foreign: capture(0, 0) },
    recovered: true,
  };
  const verdict = (change: object) => outcomeOf(judge(failsClosed, { ...observed, ...change }));
  t.equal(verdict({}), 'passed');
  t.equal(
    verdict({ captures: { ...observed.captures, foreign: capture(7, 7) } }),
    'failed: clear-text-when-down',
  );
  t.equal(verdict({ during: 1 }), 'failed: clear-text-when-down');
  t.equal(
    verdict({ captures: { ...observed.captures, control: capture(0, 0) } }),
    'inconclusive: control-failed',
  );
  t.equal(verdict({ before: 0 }), 'inconclusive: control-failed');
  t.equal(verdict({ held: false }), 'inconclusive: fault-did-not-hold');
});
