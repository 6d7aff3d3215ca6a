import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { type ProbeClient, type ProbeClientOptions, connectProbe } from '../../lib/probe/client.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-client-'));
t.teardown(() => rmSync(folder, { recursive: true }));
let sockets = 0;

interface Call {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** A probe whose agent answers each line as given. */
async function probeOf(
  t: Test,
  answer: (socket: net.Socket, call: Call) => void,
  options?: ProbeClientOptions,
): Promise<ProbeClient> {
  const at = path.join(folder, `${sockets++}.sock`);
  const open = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) answer(socket, JSON.parse(line) as Call);
    });
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  const probe = connectProbe(at, options);
  t.teardown(() => {
    probe.close();
    for (const socket of open) socket.destroy();
    server.close();
  });
  return probe;
}

const send = (socket: net.Socket, line: unknown): void => void socket.write(`${JSON.stringify(line)}\n`);
const failure = (message: RegExp) => ({ name: 'ProbeError', message });

t.test('no agent', async (t) => {
  const probe = connectProbe(path.join(folder, 'nobody.sock'));
  await t.rejects(probe.facts(), failure(/not reachable.*ENOENT/));
  await t.rejects(probe.facts(), failure(/ENOENT/), 'and again');
  probe.close();
  await t.rejects(probe.facts(), failure(/closed/));
});

t.test('an agent that says nothing', async (t) => {
  const lines: unknown[] = [];
  const probe = await probeOf(t, (_socket, call) => lines.push(call), {
    timeoutMs: { facts: 50, trace: 50 },
  });
  await t.rejects(probe.facts(), failure(/no answer .* within 50 ms/));
  await t.rejects(probe.trace({ address: '127.0.0.1' }), failure(/within 50 ms/));
  t.match(lines, [{ method: 'facts' }, { cancel: 1 }, { method: 'trace' }], 'what is given up is cancelled');
});

t.test('an agent that hangs up, then works', async (t) => {
  let calls = 0;
  const probe = await probeOf(t, (socket, { id }) => {
    if (calls++ === 0) socket.destroy();
    else send(socket, { id, result: { sent: 1, received: 1 } });
  });
  await t.rejects(probe.ping({ address: '127.0.0.1' }), failure(/ended the connection/));
  t.same(await probe.ping({ address: '127.0.0.1' }), { sent: 1, received: 1 });
});

t.test('garbage on the line', async (t) => {
  for (const text of ['garbage\n', '[]\n', '{"id":"x"}\n', '{"id":99,"result":{}}\n', 'null\n']) {
    const probe = await probeOf(t, (socket) => void socket.write(text));
    const both = await Promise.allSettled([probe.facts(), probe.trace({ address: '127.0.0.1' })]);
    t.same(
      both.map(({ status }) => status),
      ['rejected', 'rejected'],
      JSON.stringify(text),
    );
  }
});

t.test('answers of the wrong shape', async (t) => {
  const who = { cluster: 'a', namespace: 'b', workload: 'c', instance: 'd' };
  const results: Record<string, readonly unknown[]> = {
    facts: [null, {}, { identity: who }],
    ping: [{}, { sent: 1 }, { sent: 1, received: -1 }, { sent: '1', received: '1' }, []],
    throughput: [{ outcome: 'measured', bitsPerSecond: 0 }, { outcome: 'measured' }, { outcome: 'great' }],
    sweepPathMtu: [{ family: 'ipv4', interfaceMtu: 1500, mtu: null, probes: [] }],
    trace: [{ reached: 'yes', hops: [] }, { reached: true }],
    burst: [{ sent: 1, received: 1 }],
    transfer: [{ complete: 1, arrived: [] }],
    startSampling: [null, 5],
    stopSampling: [{ startedAtMs: 1, samples: [{ at: 1, latencyMs: 1, outcome: 'answered' }] }],
    serveThroughput: ['done'],
  };
  const address = '127.0.0.1';
  const port = 1;
  const calls: Record<string, (probe: ProbeClient) => Promise<unknown>> = {
    facts: (probe) => probe.facts(),
    ping: (probe) => probe.ping({ address }),
    throughput: (probe) => probe.throughput({ address, port, seconds: 1 }),
    sweepPathMtu: (probe) => probe.sweepPathMtu({ address }),
    trace: (probe) => probe.trace({ address }),
    burst: (probe) => probe.burst({ address, port, count: 1, packetsPerSecond: 1, payload: 100 }),
    transfer: (probe) => probe.transfer({ address, port, lengths: [1] }),
    startSampling: (probe) =>
      probe.startSampling({
        ...{ address, port, ratePerSecond: 1, connections: 'new' },
        ...{ timeoutMs: 1, durationMs: 1 },
      }),
    stopSampling: (probe) => probe.stopSampling('x'),
    serveThroughput: (probe) => probe.serveThroughput({ port }),
  };
  for (const [method, answers] of Object.entries(results)) {
    for (const result of answers) {
      const probe = await probeOf(t, (socket, { id }) => send(socket, { id, result }));
      await t.rejects(calls[method]?.(probe) as Promise<unknown>, failure(/shape/), method);
    }
  }
});

t.test('answers that belong to other requests', async (t) => {
  const answered = {
    ...{ protocol: 'tcp', address: '127.0.0.1', port: 1, outcome: 'answered', durationMs: 1 },
    answeredBy: { cluster: 'a', namespace: 'b', workload: 'c', instance: 'd' },
    seenSource: { address: '127.0.0.1', port: 2 },
  };
  const request = { protocol: 'tcp', address: '127.0.0.1', port: 1 } as const;
  const nonceOf = ({ params }: Call): string => (params[0] as { nonce: string }[])[0]?.nonce ?? '';
  const honest = await probeOf(t, (socket, call) =>
    send(socket, { id: call.id, result: [{ ...answered, nonce: nonceOf(call) }] }),
  );
  t.match(await honest.exchange([request]), [{ outcome: 'answered' }]);
  for (const result of [[], [{ ...answered, nonce: 'x' }], [{ ...answered, nonce: 'x', answeredBy: null }]]) {
    const probe = await probeOf(t, (socket, { id }) => send(socket, { id, result }));
    await t.rejects(probe.exchange([request]), { name: 'ProbeError' });
  }
  const unasked = await probeOf(t, (socket, { id }) =>
    send(socket, { id, result: [{ nonce: 'y', protocol: 'tcp', source: { address: 'z', port: 1 } }] }),
  );
  await t.rejects(unasked.received(['x']), failure(/not asked for/));
});

t.test('what the agent itself says', async (t) => {
  const probe = await probeOf(t, (socket, { id }) => send(socket, { id, error: '`ping` is not installed' }));
  await t.rejects(probe.ping({ address: '127.0.0.1' }), failure(/^ping: `ping` is not installed$/));
});

t.test('a caller that stops', async (t) => {
  const controller = new AbortController();
  const probe = await probeOf(t, () => controller.abort(new Error('interrupted')), {
    signal: controller.signal,
  });
  await t.rejects(probe.facts(), failure(/interrupted/));
  await t.rejects(probe.facts(), failure(/interrupted/));
});

t.test('an idle probe does not keep the process', async (t) => {
  const at = path.join(folder, 'idle.sock');
  const client = path.join(import.meta.dirname, '../../lib/probe/client.ts');
  const script = `
    import net from 'node:net';
    import { connectProbe } from ${JSON.stringify(client)};
    const server = net.createServer((socket) => {
      socket.unref();
      socket.on('data', () => socket.write('{"id":1,"result":{"sent":1,"received":1}}\\n'));
    });
    await new Promise((done) => server.listen(${JSON.stringify(at)}, done));
    server.unref();
    console.log((await connectProbe(${JSON.stringify(at)}).ping({ address: '127.0.0.1' })).received);`;
  const { status, stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  t.same([status, signal, stdout], [0, null, '1\n']);
});

t.test('a stream that fails rejects what is under way; the next call opens another', async (t) => {
  let opened = 0;
  const probe = connectProbe({
    where: 'east/mcnet/client',
    open: () => {
      opened++;
      return new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          done();
          if (opened === 1) this.destroy(new Error('the API server is gone'));
          else {
            const { id } = JSON.parse(chunk.toString()) as { id: number };
            this.push(`${JSON.stringify({ id, result: [] })}\n`);
          }
        },
      });
    },
  });
  await t.rejects(probe.received(['n']), {
    name: 'ProbeError',
    message: /east\/mcnet\/client is not reachable: the API server is gone/,
  });
  t.same(await probe.received(['n']), []);
  t.equal(opened, 2);
});
