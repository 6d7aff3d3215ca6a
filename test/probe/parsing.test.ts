import t from 'tap';
import type { PathMtu } from '../../lib/model/probe.ts';
import { FlowTable, decodeDatagram, encodeDatagram } from '../../lib/probe/agent/flows.ts';
import { MessageReader, messageOf } from '../../lib/probe/agent/messages.ts';
import { failureOf } from '../../lib/probe/agent/outcomes.ts';
import { type SizeProbe, searchPathMtu } from '../../lib/probe/agent/path-mtu.ts';
import { mergeReports, parsePing } from '../../lib/probe/agent/ping.ts';
import { ReceiptLog } from '../../lib/probe/agent/receipts.ts';
import { parseTracepath } from '../../lib/probe/agent/trace.ts';
import { parseSocketFacts } from '../../lib/probe/agent/transfer.ts';
import { lineSplitter } from '../../lib/probe/lines.ts';
import { paddingOf, plainAddress } from '../../lib/probe/protocol.ts';

t.test('the words of ping', async (t) => {
  const parse = (stdout: string, stderr = '') => parsePing({ stdout, stderr });
  t.match(
    parse(
      '64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.3 ms\n\n--- 10.0.0.1 ping statistics ---\n' +
        '3 packets transmitted, 2 received, 33.3% packet loss, time 402ms\nrtt min/avg/max/mdev = 0.100/0.200/0.300/0.0 ms\n',
    ),
    { sent: 3, received: 2, rttMs: { min: 0.1, avg: 0.2, max: 0.3 }, signalledMtu: undefined },
  );
  const none = '1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms\n';
  t.match(parse(`From 10.0.0.9 icmp_seq=1 Frag needed and DF set (mtu = 1420)\n${none}`), {
    received: 0,
    signalledMtu: 1420,
    errorFrom: '10.0.0.9',
  });
  t.match(parse(`From fd00::9 icmp_seq=1 Packet too big: mtu=1280\n${none}`), {
    signalledMtu: 1280,
    errorFrom: 'fd00::9',
  });
  t.match(parse(none, 'ping: local error: message too long, mtu=1500\n'), { signalledMtu: 1500 });
  t.match(parse(none, 'ping: local error: message too long, mtu: 1500\n'), { signalledMtu: 1500 });
  t.match(parse(`From 10.0.0.9 icmp_seq=1 Time to live exceeded\n${none}`), { errorFrom: '10.0.0.9' });
  t.equal(parse('', 'ping: connect: Network is unreachable'), undefined);
  t.equal(parse('rubbish'), undefined);
});

/** A path: packets up to `passes` arrive; of larger ones those above `says.above` are answered by an ICMP error. */
const pathOf =
  (passes: number, interfaceMtu: number, says?: { above: number; mtu: number }) =>
  async (size: number): Promise<SizeProbe> => {
    if (size > interfaceMtu) return { outcome: 'local' };
    if (size <= passes) return { outcome: 'answered' };
    return says && size > says.above ? { outcome: 'signalled', mtu: says.mtu } : { outcome: 'silent' };
  };
const search = (probe: (size: number) => Promise<SizeProbe>, interfaceMtu = 1500): Promise<PathMtu> =>
  searchPathMtu(probe, { family: 'ipv4', interfaceMtu, floor: 1200 });

t.test('the search for the path MTU', async (t) => {
  t.match(await search(pathOf(1500, 1500)), { mtu: 1500, signalled: undefined, silentAbove: undefined });
  for (const mtu of [576, 1199, 1200, 1201, 1279, 1280, 1420, 1499]) {
    t.match(await search(pathOf(mtu, 1500)), { mtu, silentAbove: mtu, signalled: undefined });
    const aloud = pathOf(mtu, 1500, { above: mtu, mtu });
    t.match(await search(aloud), { mtu, signalled: mtu, silentAbove: undefined });
  }
  t.match(
    await search(pathOf(1400, 1500, { above: 1420, mtu: 1420 })),
    { mtu: 1400, signalled: 1420, silentAbove: 1400 },
    'a router speaks of 1420, a second one is silent above 1400',
  );
  t.match(
    await search(pathOf(1400, 1500, { above: 1400, mtu: 1300 })),
    { mtu: 1400, signalled: 1300, silentAbove: undefined },
    'a router that names a smaller MTU than it has',
  );
  t.match(await search(pathOf(8_000, 9_000), 9_000), { mtu: 8_000, silentAbove: 8_000 });
  t.match(await search(pathOf(65_535, 65_536), 65_536), { mtu: 65_535, silentAbove: undefined });
  t.match(await search(pathOf(0, 1500)), { mtu: 0, silentAbove: undefined });
  t.match(await search(pathOf(1000, 1000), 1000), { mtu: 1000, silentAbove: undefined });
});

t.test('losses by chance never shift the path MTU', async (t) => {
  let right = 0;
  for (let seed = 1; seed <= 100; seed++) {
    let state = seed;
    const chance = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    const path = pathOf(1420, 1500);
    const lossy = async (size: number): Promise<SizeProbe> =>
      chance() < 0.05 ? { outcome: 'silent' } : path(size);
    const found = await search(lossy).catch(() => undefined);
    if (found?.mtu === 1420) right++;
    else t.ok(found === undefined || found.mtu === 0, `seed ${seed}: ${found?.mtu}`);
  }
  t.ok(right > 90, `${right} of 100`);
});

t.test('the words of ss', async (t) => {
  const line = 'cubic rto:204 rtt:0.05/0.02 mss:1448 pmtu:1500 rcvmss:536 retrans:0/7 lost:1';
  t.same(parseSocketFacts(line), { pmtu: 1500, mss: 1448, retransmits: 7 });
  t.same(parseSocketFacts('mss:1380 pmtu:1420'), { pmtu: 1420, mss: 1380, retransmits: 0 });
  t.equal(parseSocketFacts(''), undefined);
});

t.test('socket errors', async (t) => {
  const of = (code: string, connected = false, syscall?: string) =>
    failureOf(Object.assign(new Error(code), { code, ...(syscall && { syscall }) }), connected).outcome;
  t.equal(of('ECONNREFUSED'), 'refused');
  for (const code of ['EHOSTUNREACH', 'ENETUNREACH', 'EACCES', 'EPERM']) t.equal(of(code), 'unreachable');
  t.equal(of('ETIMEDOUT'), 'timed-out');
  t.equal(of('ECONNRESET', true, 'read'), 'reset');
  t.equal(of('ECONNRESET', false, 'connect'), 'refused');
  t.equal(of('ECONNRESET', true), 'closed');
  t.equal(of('HPE_INVALID_CONSTANT', true), 'garbled');
  t.equal(of('EMFILE'), 'error');
});

t.test('a burst is counted', async (t) => {
  const table = new FlowTable();
  const flow = '0123456789abcdef';
  const arrive = (sequence: number, sentUs: number, arrivedUs: number): void =>
    table.count({ flow, sequence, sentUs }, arrivedUs);
  // Transit times of 100, 116, 100 and 100 µs: J = 16/16 = 1, then 1 + (16 − 1)/16, then × 15/16.
  arrive(0, 0, 100);
  arrive(2, 1_000, 1_116);
  arrive(1, 2_000, 2_100);
  arrive(1, 2_000, 2_150);
  arrive(5_000, 3_000, 3_100);
  t.match(table.tally(flow), { known: true, received: 4, duplicates: 1, reordered: 1 });
  t.ok(Math.abs(table.tally(flow).jitterMs - ((31 / 16) * 15) / 16 / 1_000) < 1e-9);
  t.match(table.tally('ffffffffffffffff'), { known: false, received: 0 });

  const datagram = { flow, sequence: 7, sentUs: 123.5 };
  t.same(decodeDatagram(encodeDatagram(datagram, 200)), datagram);
  t.equal(encodeDatagram(datagram, 200).length, 200);
  t.equal(decodeDatagram(Buffer.from('MCNB')), undefined);
  t.equal(decodeDatagram(Buffer.alloc(100)), undefined);
  t.equal(decodeDatagram(encodeDatagram({ ...datagram, sequence: 4e9 }, 200)), undefined);
});

t.test('messages differ by place and are read whole', async (t) => {
  t.notOk(messageOf(0, 1_000).equals(messageOf(1, 1_000)));
  t.equal(messageOf(3, 600_000).length, 600_000);
  const reader = new MessageReader();
  reader.push(Buffer.from('ab'));
  t.equal(reader.take(3), undefined);
  reader.push(Buffer.from('cde'));
  t.equal(reader.take(3)?.toString(), 'abc');
  t.equal(reader.buffered, 2);
});

t.test('lines', async (t) => {
  const lines: string[] = [];
  const split = lineSplitter(8, (line) => lines.push(line));
  t.ok(split(Buffer.from('a\nb')));
  t.ok(split(Buffer.from('c\n\nd')));
  t.same(lines, ['a', 'bc', '']);
  t.notOk(split(Buffer.from('0123456789')));
  t.notOk(split(Buffer.from('\nx\n')), 'for good');
  t.equal(lines.length, 3);
});

t.test('nonces are remembered up to a limit', async (t) => {
  const log = new ReceiptLog(2);
  for (const nonce of ['a', 'b', 'c']) {
    log.add({ nonce, protocol: 'tcp', source: { address: '10.0.0.1', port: 1 } });
  }
  t.same(
    log.find(['a', 'b', 'c']).map(({ nonce }) => nonce),
    ['b', 'c'],
  );
});

t.test('small things', async (t) => {
  t.equal(plainAddress('::ffff:10.0.0.1'), '10.0.0.1');
  t.equal(plainAddress('fd00::1'), 'fd00::1');
  t.equal(paddingOf('abc', 7), 'abcabca');
});

t.test('the words of tracepath', async (t) => {
  const target = '10.16.0.3';
  const whole = [
    ' 1?: [LOCALHOST]                      pmtu 100',
    ' 1:  10.0.0.1                                              0.042ms ',
    ' 2:  198.19.0.2                                            1.203ms asymm  3 ',
    ' 3:  10.16.0.3                                             2.001ms reached',
    '     Resume: pmtu 100 hops 3 back 3 ',
  ];
  t.same(parseTracepath(whole.join('\n'), target), {
    reached: true,
    hops: [
      { ttl: 1, address: '10.0.0.1' },
      { ttl: 2, address: '198.19.0.2' },
      { ttl: 3, address: target },
    ],
  });
  t.equal(parseTracepath(whole.join('\n'), '10.16.0.4'), undefined, 'somebody else answers');
  t.equal(parseTracepath(whole.slice(0, 3).join('\n'), target), undefined, 'it did not come through');
  const silent = whole.map((line) => (line.startsWith(' 2:') ? ' 2:  no reply' : line));
  t.equal(parseTracepath(silent.join('\n'), target), undefined, 'a router says nothing');
  t.equal(parseTracepath('', target), undefined);
});

t.test('pings in several goes count as one', async (t) => {
  t.same(
    mergeReports([
      { sent: 3, received: 2, rttMs: { min: 1, avg: 2, max: 3 }, signalledMtu: 1400 },
      { sent: 2, received: 0, error: 'Destination Host Unreachable', errorFrom: '10.0.0.1' },
      { sent: 2, received: 2, rttMs: { min: 0.5, avg: 4, max: 9 }, signalledMtu: 1300 },
    ]),
    {
      sent: 7,
      received: 4,
      rttMs: { min: 0.5, avg: 3, max: 9 },
      signalledMtu: 1300,
      error: 'Destination Host Unreachable',
      errorFrom: '10.0.0.1',
    },
  );
});
