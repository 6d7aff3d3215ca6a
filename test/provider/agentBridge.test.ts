/** The bridge to an agent, by this machine's own `socat` or by that of the probe's image. */
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import packageJson from '../../package.json' with { type: 'json' };
import { connectProbe } from '../../lib/probe/client.ts';
import { agentBridge } from '../../lib/provider/agentBridge.ts';

/** The engine is shared and may be busy with whole clusters. */
t.setTimeout(120_000);

const IMAGE = `mcnet-conformance/probe:${packageJson.version}`;

const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-bridge-'));
t.teardown(() => rmSync(folder, { recursive: true }));
let sockets = 0;

const works = (file: string, ...args: string[]): boolean =>
  spawnSync(file, args, { timeout: 20_000 }).status === 0;

/** What comes before the bridge's own words; undefined where it cannot run. */
const place: readonly string[] | undefined = works('socat', '-V')
  ? []
  : works('docker', 'image', 'inspect', IMAGE)
    ? [
        ...['docker', 'run', '--rm', '--interactive', '--network', 'none', '--user', '0:0'],
        ...['--volume', `${folder}:${folder}`, '--entrypoint', '/usr/bin/env', IMAGE],
      ]
    : undefined;
const skip = place ? false : `neither socat nor the image ${IMAGE} is here`;

/** Listens as an agent would. */
async function listener(t: Test, serve: (socket: net.Socket) => void): Promise<string> {
  const at = path.join(folder, `${sockets++}.sock`);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  t.teardown(() => server.close());
  return at;
}

function bridgeTo(socket: string, idleSeconds?: number) {
  const [file = '', ...args] = [...(place ?? []), ...agentBridge(socket, idleSeconds)];
  const child = spawn(file, args, { stdio: 'pipe' });
  child.stdin.on('error', () => {});
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, ended };
}

t.test('calls pass through a bridge, also large ones', { skip }, async (t) => {
  const padding = 'x'.repeat(3_000_000);
  const socket = await listener(t, (peer) => {
    let said = '';
    peer.on('data', (chunk) => {
      said += chunk.toString();
      if (!said.endsWith('\n')) return;
      const { id, params } = JSON.parse(said) as { id: number; params: [string[]] };
      const detail = `${params[0].length}`;
      peer.write(
        `${JSON.stringify({ id, result: [{ nonce: params[0][0], protocol: 'tcp', detail, source: { address: padding, port: 1 } }] })}\n`,
      );
    });
    peer.on('end', () => peer.end());
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

t.test('every byte passes as it is, and what is answered to the end of the input', { skip }, async (t) => {
  const socket = await listener(t, (peer) => void buffer(peer).then((all) => peer.end(all)));
  const { child, ended } = bridgeTo(socket);
  const sent = Buffer.concat([
    Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
    randomBytes(300_000),
  ]);
  child.stdin.end(sent);
  t.ok(sent.equals(await buffer(child.stdout)));
  t.equal(await ended, 0);
});

t.test('a bridge to nobody says so', { skip }, async (t) => {
  const { child, ended } = bridgeTo(path.join(folder, 'nobody.sock'));
  const said = text(child.stderr);
  t.equal(await ended, 1);
  t.match(await said, /nobody\.sock.*No such file/);
});

t.test('a bridge ends with its agent, having said everything', { skip }, async (t) => {
  const last = 'y'.repeat(1_000_000);
  const socket = await listener(t, (peer) => peer.once('data', () => peer.end(`${last}\n`)));
  const { child, ended } = bridgeTo(socket);
  const said = text(child.stdout);
  child.stdin.write('{}\n');
  t.equal(await ended, 0);
  t.equal((await said).length, last.length + 1);
});

t.test('a bridge over which nothing passes ends by itself', { skip }, async (t) => {
  const socket = await listener(t, () => {});
  t.equal(await bridgeTo(socket, 0.5).ended, 0);
});
