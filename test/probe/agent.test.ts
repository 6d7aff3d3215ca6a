import { connect } from 'node:net';
import path from 'node:path';
import t from 'tap';
import type { DialProtocol } from '../../lib/model/probe.ts';
import { PORTS } from '../../lib/model/workload.ts';
import { takeBack } from '../fixtures/takeBack.ts';
import { ADDRESSES, NEEDS_ROOT, Network } from './fixtures/network.ts';
import { HOSTILE } from './fixtures/ports.ts';

const ECHO_PORT: Record<DialProtocol, number> = {
  tcp: PORTS.echo,
  udp: PORTS.echoAlternate,
  http: PORTS.http,
  http2: PORTS.http2,
};
const PROTOCOLS = Object.keys(ECHO_PORT) as DialProtocol[];
const FAMILIES = ['ipv4', 'ipv6'] as const;

t.test('agents in joined network namespaces', { skip: NEEDS_ROOT }, async (t) => {
  const network = new Network();
  takeBack(t, () => network.remove());
  const [client, server] = await Promise.all([
    network.startAgent('client'),
    network.startAgent('server'),
    network.start('server', [process.execPath, path.join(import.meta.dirname, 'fixtures/hostile.ts')]),
  ]);
  const { probe } = client;

  await t.test('facts', async (t) => {
    const facts = await probe.facts();
    t.match(facts, { identity: { cluster: 'east', namespace: 'mcnet', workload: 'client' } });
    t.equal(facts.interfaceMtu, 1500);
    t.match(facts.tools.ping, /iputils/);
    t.match(facts.tools.iperf3, /iperf 3/);
  });

  for (const family of FAMILIES) {
    const { server: target, client: source, nobody, nearRouter } = ADDRESSES[family];

    await t.test(`${family}: every protocol is answered by who is meant, and logged there`, async (t) => {
      const exchanges = await probe.exchange(
        PROTOCOLS.map((protocol) => ({
          protocol,
          address: target,
          port: ECHO_PORT[protocol],
          payload: protocol === 'udp' ? 1_000 : 100_000,
        })),
      );
      for (const { protocol, outcome, answeredBy, seenSource, local, detail } of exchanges) {
        t.equal(outcome, 'answered', `${protocol} ${detail ?? ''}`);
        t.equal(answeredBy?.workload, 'server');
        t.equal(seenSource?.address, source);
        t.same(seenSource, local);
      }
      const receipts = await server.probe.received([...exchanges.map(({ nonce }) => nonce), 'never-sent']);
      t.same(
        receipts.map(({ protocol, source: { address } }) => [protocol, address]),
        PROTOCOLS.map((protocol) => [protocol, source]),
      );
    });

    await t.test(`${family}: services are answered on a port of their own`, async (t) => {
      const [exchange] = await probe.exchange([{ protocol: 'http', address: target, port: PORTS.service }]);
      t.match(exchange, { outcome: 'answered', status: 200, answeredBy: { workload: 'server' } });
    });

    await t.test(`${family}: refusal, silence and unreachability are told apart`, async (t) => {
      const at = (address: string, timeoutMs?: number) =>
        PROTOCOLS.map((protocol) => ({ protocol, address, port: 99, ...(timeoutMs && { timeoutMs }) }));
      const outcomes = async (requests: Parameters<typeof probe.exchange>[0]): Promise<string[]> =>
        (await probe.exchange(requests)).map(({ outcome }) => outcome);
      t.same(await outcomes(at(target)), ['refused', 'refused', 'refused', 'refused']);
      network.run(
        'router',
        `nft add table inet t; nft 'add chain inet t f { type filter hook forward priority 0; }';
         nft add rule inet t f meta l4proto '{tcp,udp}' th dport 99 drop`,
      );
      t.same(await outcomes(at(target, 300)), ['timed-out', 'timed-out', 'timed-out', 'timed-out']);
      network.run(
        'router',
        `nft flush chain inet t f;
         nft add rule inet t f meta l4proto '{tcp,udp}' th dport 99 reject with icmpx type admin-prohibited`,
      );
      // On IPv6 the kernel takes the ICMP error of a refused SYN only when it is sent again, after a second.
      t.same(await outcomes(at(target, 3_000)), ['unreachable', 'unreachable', 'unreachable', 'unreachable']);
      network.run('router', 'nft delete table inet t');
    });

    await t.test(`${family}: ping and trace`, async (t) => {
      t.match(await probe.ping({ address: target, count: 3, intervalMs: 20 }), { sent: 3, received: 3 });
      const lost = await probe.ping({ address: nobody, count: 1, timeoutMs: 300 });
      t.match(lost, { sent: 1, received: 0 });
      const large = await probe.ping({ address: target, count: 1, payload: 1600, dontFragment: true });
      t.match(large, { received: 0, signalledMtu: 1500 });
      t.same(await probe.trace({ address: target }), {
        reached: true,
        hops: [
          { ttl: 1, address: nearRouter },
          { ttl: 2, address: target },
        ],
      });
    });

    await t.test(`${family}: a transfer`, async (t) => {
      const lengths = [1, 1447, 1448, 65_536, 300_000];
      const result = await probe.transfer({ address: target, port: PORTS.echo, lengths, facts: true });
      // A probe of the tail is sent again whenever the other end is slow (RFC 8985, section 7): a busy machine has some.
      t.match(result, { complete: true, arrived: lengths, socket: { pmtu: 1500, retransmits: Number } });
      const uneven = await probe.transfer({
        address: target,
        port: PORTS.echo,
        lengths: [5, 70_000],
        answerLengths: [70_000, 5],
      });
      t.match(uneven, { complete: true, arrived: [5, 70_000] });
      const refused = await probe.transfer({ address: target, port: 99, lengths: [1] });
      t.match(refused, { complete: false, arrived: [], detail: /refused/ });
    });

    await t.test(`${family}: a burst`, async (t) => {
      const request = {
        address: target,
        port: PORTS.echo,
        count: 500,
        packetsPerSecond: 5_000,
        payload: 200,
      };
      const burst = await probe.burst(request);
      t.match(burst, { sent: 500, received: 500, duplicates: 0, reordered: 0, detail: undefined });
      t.ok(burst.jitterMs >= 0);
    });

    await t.test(`${family}: throughput`, async (t) => {
      await server.probe.serveThroughput({ port: PORTS.iperf });
      await server.probe.serveThroughput({ port: PORTS.iperf });
      const measured = await probe.throughput({
        address: target,
        port: PORTS.iperf,
        seconds: 1,
        streams: 2,
      });
      t.equal(measured.outcome, 'measured', measured.detail ?? '');
      t.ok(measured.bitsPerSecond > 1e6);
      t.equal(measured.pmtu, 1500);
    });
  }

  await t.test('where nobody answers', async (t) => {
    const { nobody, nearRouter, server: address } = ADDRESSES.ipv4;
    const [trace, burst] = await Promise.all([
      probe.trace({ address: nobody, maxHops: 3 }),
      probe.burst({ address, port: HOSTILE.silent, count: 5, packetsPerSecond: 5_000, payload: 200 }),
    ]);
    t.match(trace, { reached: false, hops: [{ ttl: 1, address: nearRouter }] });
    t.match(burst, { received: 0, detail: /tally could not be fetched/ });
  });

  await t.test('one who answers wrongly is never taken for a workload', async (t) => {
    const address = ADDRESSES.ipv4.server;
    const ask = async (protocol: DialProtocol, port: number) => {
      const [exchange] = await probe.exchange([{ protocol, address, port, timeoutMs: 1_000 }]);
      return exchange;
    };
    for (const protocol of ['tcp', 'http', 'http2'] as const) {
      t.equal((await ask(protocol, HOSTILE.silent))?.outcome, 'timed-out', protocol);
      t.equal((await ask(protocol, HOSTILE.garbled))?.outcome, 'garbled', protocol);
      t.equal((await ask(protocol, HOSTILE.reset))?.outcome, 'reset', protocol);
      t.equal((await ask(protocol, HOSTILE.closing))?.outcome, 'closed', protocol);
      t.equal((await ask(protocol, HOSTILE.endless))?.outcome, 'garbled', protocol);
    }
    t.equal((await ask('udp', HOSTILE.garbled))?.outcome, 'garbled');
    t.match(await ask('tcp', HOSTILE.otherNonce), { outcome: 'garbled', answeredBy: { cluster: 'x' } });
    t.match(await ask('http', HOSTILE.unavailable), { outcome: 'garbled', status: 503 });
    t.match(await ask('http', PORTS.echo), { outcome: 'closed' });
  });

  await t.test('names', async (t) => {
    const at = { server: ADDRESSES.ipv4.server, port: HOSTILE.dns, timeoutMs: 3_000 };
    const [a, aaaa, srv, tcp, missing, large, silent, otherId, rubbish, plain, edns, refused] =
      await probe.resolve([
        { ...at, name: 'echo.test', type: 'A' },
        { ...at, name: 'echo.test', type: 'AAAA', server: ADDRESSES.ipv6.server },
        { ...at, name: 'echo.test', type: 'SRV' },
        { ...at, name: 'echo.test', type: 'A', transport: 'tcp' },
        { ...at, name: 'missing.test', type: 'A' },
        { ...at, name: 'large.test', type: 'A' },
        { ...at, name: 'silent.test', type: 'A', timeoutMs: 300 },
        { ...at, name: 'other-id.test', type: 'A', timeoutMs: 300 },
        { ...at, name: 'rubbish.test', type: 'A' },
        { ...at, name: 'edns.test', type: 'TXT', bufferSize: 0 },
        { ...at, name: 'edns.test', type: 'TXT' },
        { ...at, name: 'echo.test', type: 'A', port: 99 },
      ]);
    t.match(a, { outcome: 'answered', rcode: 'NOERROR', authoritative: true, truncated: false });
    t.same(a?.addresses, ['10.0.0.1', '10.0.0.2']);
    t.same(a?.ttls, [5, 5]);
    t.same(aaaa?.addresses, ['fd00::1']);
    t.same(srv?.services, [{ target: 'a.echo.test', port: 8080 }]);
    t.match(tcp, { outcome: 'answered', addresses: ['10.0.0.1', '10.0.0.2'] });
    t.match(missing, { outcome: 'answered', rcode: 'NXDOMAIN', addresses: [] });
    t.match(large, { outcome: 'answered', truncated: true });
    t.match(silent, { outcome: 'timed-out' });
    t.match(otherId, { outcome: 'timed-out' });
    t.match(rubbish, { outcome: 'error' });
    t.match(plain, { rcode: 'FORMERR' }, 'without EDNS no OPT record is sent');
    t.match(edns, { rcode: 'NOERROR' });
    t.match(refused, { outcome: 'refused' });
  });

  await t.test('rubbish does no harm to the target', async (t) => {
    const rubbish = network.start('client', [
      process.execPath,
      '-e',
      `const net = require('net'), dgram = require('dgram');
       const host = ${JSON.stringify(ADDRESSES.ipv4.server)};
       const pour = (port) => new Promise((done) => {
         const s = net.connect(port, host, () => s.write(Buffer.alloc(10_000_000, 120)));
         s.on('error', () => {}); s.on('close', done); setTimeout(() => s.destroy(), 800);
       });
       const u = dgram.createSocket('udp4');
       for (const text of ['', '{', 'null', '[]', '{"nonce":5}', 'MCNB', 'MCNB' + '\\xff'.repeat(40), '{"transfer":1}'])
         u.send(Buffer.from(text, 'latin1'), 7000, host);
       Promise.all([7000, 7001, 8080, 8082].map(pour)).then(() => { console.log('done'); u.close(); setTimeout(() => {}, 20); });`,
    ]);
    await rubbish;
    const exchanges = await probe.exchange(
      PROTOCOLS.map((protocol) => ({
        protocol,
        address: ADDRESSES.ipv4.server,
        port: ECHO_PORT[protocol],
        timeoutMs: 3_000,
      })),
    );
    t.same(
      exchanges.map(({ outcome }) => outcome),
      PROTOCOLS.map(() => 'answered'),
    );
    t.equal((await server.probe.facts()).identity.instance, exchanges[0]?.answeredBy?.instance);
  });

  await t.test('rubbish from a caller does no harm to the agent', async (t) => {
    for (const text of [
      'nonsense\n',
      '{"id":1,"method":"__proto__"}\n',
      '{"id":1,"method":"ping","params":[{"address":"-f"}]}\n',
      'x'.repeat(5_000_000),
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(client.socket, () => socket.write(text));
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.once('data', () => socket.destroy());
      });
    }
    await t.rejects(probe.ping({ address: '-f' }), { name: 'ProbeError', message: /not an IP address/ });
    t.ok(await probe.facts());
  });
});
