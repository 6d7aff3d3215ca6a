/** The controller's process: `main.ts --folder <folder>`. */
import { rm } from 'node:fs/promises';
import { type Socket, createServer } from 'node:net';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../../model/errors.ts';
import { type ControllerReply, type ControllerRequest, SOCKET_FILE } from './config.ts';
import { Controller } from './controller.ts';
import { lineSplitter } from './lines.ts';

const { values } = parseArgs({ options: { folder: { type: 'string' } } });
if (!values.folder) {
  console.error('usage: controller --folder <folder>');
  process.exit(2);
}

const controller = new Controller(values.folder);
const socketPath = path.join(values.folder, SOCKET_FILE);

/** A request is a few words; whoever sends more than this without an end of line is cut off. */
const LINE_LIMIT = 64 * 1024;

function serve(socket: Socket): void {
  let order: Promise<unknown> = Promise.resolve();
  const split = lineSplitter(LINE_LIMIT, (line) => {
    const reply = answer(line);
    order = order.then(async () => {
      const text = JSON.stringify(await reply);
      return socket.writable && socket.write(`${text}\n`);
    });
  });
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: string) => {
    if (!split(chunk)) socket.destroy();
  });
}

async function answer(line: string): Promise<ControllerReply> {
  let request: ControllerRequest;
  try {
    request = JSON.parse(line) as ControllerRequest;
  } catch (error) {
    return { ok: false, error: `not JSON: ${messageOf(error)}` };
  }
  return controller.handle(request);
}

async function end(): Promise<void> {
  server.close();
  await controller.stop();
  await rm(socketPath, { force: true });
  process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end());

const server = createServer(serve);
await rm(socketPath, { force: true });
// Set before there is a socket, so that at no moment anybody else can connect.
const umask = process.umask(0o177);
await new Promise<void>((resolve, reject) => {
  server.once('error', reject);
  server.listen(socketPath, resolve);
});
process.umask(umask);
const first = await controller.handle({ method: 'reload' });
if (!first.ok) console.log(`waiting for a usable configuration: ${first.error}`);
