/** The Unix socket by which an agent is asked: JSON lines, many calls at once, several callers. */
import { chmodSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { lineSplitter } from '../lines.ts';
import {
  type AgentLine,
  MAX_CALL_BYTES,
  MAX_REPLY_BYTES,
  type Method,
  isRecord,
  parseJson,
} from '../protocol.ts';

/** Aborted when the caller hangs up or no longer waits. */
type MethodBody = (params: readonly unknown[], signal: AbortSignal) => Promise<unknown>;
export type Methods = Readonly<Record<Method, MethodBody>>;

/** A caller that does not read its answers is dropped beyond this. */
const MOST_UNREAD_BYTES = 2 * MAX_REPLY_BYTES;

/** Listens on a Unix socket that only this user may open; a socket that a dead agent left is replaced. */
export async function listenForCalls(path: string, methods: Methods): Promise<void> {
  const server = net.createServer((socket) => serveCaller(socket, methods));
  try {
    await listen(server, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || (await answers(path))) throw error;
    unlinkSync(path);
    await listen(server, path);
  }
  server.on('error', () => {});
}

function listen(server: net.Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The mask counts when the socket is made, which happens within this call.
    const mask = process.umask(0o177);
    server.listen(path, () => {
      server.off('error', reject);
      chmodSync(path, 0o600);
      resolve();
    });
    process.umask(mask);
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    const settle = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

function serveCaller(socket: net.Socket, methods: Methods): void {
  const calls = new Map<number, AbortController>();
  const isMethod = (name: unknown): name is Method =>
    typeof name === 'string' && Object.hasOwn(methods, name);
  const reply = (line: AgentLine): void => {
    if (socket.destroyed) return;
    socket.write(`${JSON.stringify(line)}\n`);
    if (socket.writableLength > MOST_UNREAD_BYTES) socket.destroy();
  };
  const run = async (id: number, method: unknown, params: unknown): Promise<void> => {
    const controller = new AbortController();
    calls.set(id, controller);
    try {
      if (!isMethod(method)) throw new TypeError(`unknown method ${JSON.stringify(method)}`);
      const result = await methods[method](Array.isArray(params) ? params : [], controller.signal);
      reply({ id, result: result ?? null });
    } catch (error) {
      reply({ id, error: error instanceof Error ? error.message : String(error) });
    } finally {
      calls.delete(id);
    }
  };
  const split = lineSplitter(MAX_CALL_BYTES, (text) => {
    if (text === '') return;
    const line = parseJson(text);
    if (!isRecord(line)) socket.destroy();
    else if (typeof line.cancel === 'number') calls.get(line.cancel)?.abort();
    else if (typeof line.id === 'number' && !calls.has(line.id)) void run(line.id, line.method, line.params);
    else socket.destroy();
  });
  socket.on('data', (chunk: Buffer) => {
    if (!split(chunk)) socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    for (const controller of calls.values()) controller.abort();
  });
}
