import { spawnSync } from 'node:child_process';
import t from 'tap';
import { LINK_SIGNALLING, failsClosed, handshake, pods, wire, wrongKey } from '../../suites/encryption.ts';
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

t.test("what is a link's own signalling", async (t) => {
  const ether = (type: number, packet: readonly number[]): Buffer =>
    Buffer.from([...Array<number>(12).fill(0), type >> 8, type & 0xff, ...packet]);
  const ipv6 = (next: number, payload: readonly number[]): Buffer =>
    ether(0x86dd, [0x60, 0, 0, 0, 0, payload.length, next, 1, ...Array<number>(32).fill(0), ...payload]);
  const ipv4 = (protocol: number): Buffer =>
    ether(0x0800, [0x45, 0, 0, 28, 0, 0, 0, 0, 1, protocol, ...Array<number>(18).fill(0)]);
  const icmpv6 = (type: number): number[] => [type, 0, ...Array<number>(22).fill(0)];
  // Next header, length, router alert, padding.
  const behindOptions = (next: number, payload: number[]): Buffer =>
    ipv6(0, [next, 0, 5, 2, 0, 0, 1, 0, ...payload]);
  const remains = (packet: Buffer): boolean => {
    const header = Buffer.alloc(40);
    header.writeUInt32LE(0xa1b2c3d4, 0);
    header.writeUInt16LE(2, 4);
    header.writeUInt16LE(4, 6);
    header.writeUInt32LE(262_144, 16);
    header.writeUInt32LE(1, 20);
    header.writeUInt32LE(packet.length, 32);
    header.writeUInt32LE(packet.length, 36);
    const input = Buffer.concat([header, packet]);
    const { status, stdout, stderr } = spawnSync('tcpdump', ['-nr', '-', `not (${LINK_SIGNALLING})`], {
      input,
    });
    t.equal(status, 0, stderr.toString());
    return stdout.length > 0;
  };
  t.notOk(remains(ether(0x0806, Array<number>(28).fill(0))), 'address resolution');
  t.notOk(remains(ipv4(2)), 'IGMP');
  t.notOk(remains(ipv6(58, icmpv6(135))), 'neighbour solicitation');
  t.notOk(remains(behindOptions(58, icmpv6(143))), 'report of multicast listeners');
  t.ok(remains(ipv6(58, icmpv6(128))), 'a ping');
  t.ok(remains(behindOptions(58, icmpv6(128))), 'a ping with options');
  t.ok(remains(behindOptions(17, icmpv6(143))), 'a datagram with options');
  t.ok(remains(ipv6(17, icmpv6(143))), 'a datagram');
  t.ok(remains(ipv4(17)));
});
