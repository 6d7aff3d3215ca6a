import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { acceptsConnections, askOverSocket } from '../../lib/system/sockets.ts';

/** The kernel takes socket paths of 107 bytes: a folder below the checkout may be too deep. */
function socketFolder(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mcnet-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A server that answers every line with `answer`; undefined closes the connection, an empty one says nothing. */
async function serve(t: Test, answer: ((line: string) => string) | undefined): Promise<string> {
  const socketPath = path.join(socketFolder(t), 's.sock');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (!answer) socket.end();
    else socket.on('data', (line) => socket.write(answer(line.toString())));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => server.close());
  return socketPath;
}

t.test('one line is asked, one line is answered', async (t) => {
  const socketPath = await serve(t, (line) => `<${line.trim()}>\nmore`);
  t.equal(await acceptsConnections(socketPath), true);
  t.equal(await askOverSocket(socketPath, 'question', 5_000), '<question>');
});

t.test('a server that hangs up, is silent or is not there', async (t) => {
  await t.rejects(askOverSocket(await serve(t, undefined), 'x', 5_000), { message: /closed without/ });
  await t.rejects(askOverSocket(await serve(t, () => ''), 'x', 50), { message: /no answer in time/ });
  const nowhere = path.join(socketFolder(t), 'nowhere.sock');
  t.equal(await acceptsConnections(nowhere), false);
  await t.rejects(askOverSocket(nowhere, 'x', 5_000), { message: /nowhere\.sock/ });
});
