import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import t, { type Test } from 'tap';
import { connectProbe } from '../../lib/probe/client.ts';
import { agentCommand } from '../../lib/probe/command.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-bridge-'));
t.teardown(() => rmSync(folder, { recursive: true }));
let sockets = 0;

/** Something that answers each line with `answer`, as an agent would. */
async function listener(t: Test, answer: (line: string, socket: net.Socket) => void): Promise<string> {
  const at = path.join(folder, `${sockets++}.sock`);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) answer(line, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  t.teardown(() => server.close());
  return at;
}

function bridgeTo(socket: string) {
  const [file, ...args] = agentCommand('agent');
  const child = spawn(file, [...args, '--bridge', socket], { stdio: 'pipe' });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, ended };
}

t.test('calls pass through a bridge, also large ones', async (t) => {
  const padding = 'x'.repeat(3_000_000);
  const socket = await listener(t, (line, peer) => {
    const { id, params } = JSON.parse(line) as { id: number; params: [string[]] };
    const detail = `${params[0].length}`;
    peer.write(
      `${JSON.stringify({ id, result: [{ nonce: params[0][0], protocol: 'tcp', detail, source: { address: padding, port: 1 } }] })}\n`,
    );
  });
  const { child, ended } = bridgeTo(socket);
  const probe = connectProbe({
    where: 'a bridge',
    open: () => Duplex.from({ readable: child.stdout, writable: child.stdin }),
  });
  const receipts = await probe.received(['n'.repeat(2_000_000)]);
  t.equal(receipts[0]?.source.address.length, padding.length);
  probe.close();
  t.equal(await ended, 0, 'it ends with its caller');
});

t.test('a bridge to nobody says so', async (t) => {
  const { child, ended } = bridgeTo(path.join(folder, 'nobody.sock'));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  t.equal(await ended, 1);
  t.match(said, /nobody\.sock.*ENOENT/);
});

t.test('a bridge ends with its agent, having said everything', async (t) => {
  const last = 'y'.repeat(1_000_000);
  const socket = await listener(t, (_line, peer) => peer.end(`${last}\n`));
  const { child, ended } = bridgeTo(socket);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.write('{}\n');
  t.equal(await ended, 0);
  t.equal(said.length, last.length + 1);
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
