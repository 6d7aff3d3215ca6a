/**
 * As much HTTP/1.1 as a controller needs, on plain sockets: a hundred controllers run side by side, and `node:http` would
 * cost each of them 15 MB and twice the start time.
 */
import { type Socket, connect } from 'node:net';
import { messageOf } from '../../../model/errors.ts';

const HEADER_LIMIT = 8 * 1024;
const BODY_LIMIT = 1024 * 1024;

const requestFor = (address: string, port: number, path: string, connection: 'close' | 'keep-alive') =>
  `GET ${path} HTTP/1.1\r\nHost: ${address.includes(':') ? `[${address}]` : address}:${port}\r\nConnection: ${connection}\r\n\r\n`;

/** @returns undefined when the answer is a status 200 in time, else why not, for people */
export function checkHealth(
  address: string,
  port: number,
  path: string,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let received = '';
    const end = (failure: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => end(`no answer in ${timeoutMs} ms`), timeoutMs);
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(requestFor(address, port, path, 'close')));
    socket.on('data', (chunk: string) => {
      received += chunk;
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(received)?.[1];
      if (status !== undefined) end(status === '200' ? undefined : `HTTP status ${status}`);
      else if (received.length > HEADER_LIMIT || received.includes('\r\n')) end('no HTTP answer');
    });
    socket.on('error', (error) => end(messageOf(error)));
    socket.on('close', () => end('closed without an answer'));
  });
}

/** One connection kept for many requests, one at a time; opened anew after any trouble. */
export class KeptConnection {
  readonly #address: string;
  readonly #port: number;
  readonly #from: string | undefined;
  #socket: Socket | undefined;

  /** @param from the own address to call from; undefined leaves it to the routes */
  constructor(address: string, port: number, from: string | undefined) {
    this.#address = address;
    this.#port = port;
    this.#from = from;
  }

  /** Body of a 200 answer. @throws Error when there is none in time; the connection is then gone */
  get(path: string, timeoutMs: number): Promise<string> {
    const socket = (this.#socket ??= this.#open());
    return new Promise<string>((resolve, reject) => {
      let received = Buffer.alloc(0);
      const settle = (failure: string | undefined, body = '') => {
        clearTimeout(timer);
        socket.off('data', onData).off('close', onClose).off('error', onError);
        if (failure === undefined) return resolve(body);
        this.close();
        reject(new Error(failure));
      };
      const onData = (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        const answer = parseAnswer(received);
        if (answer === 'incomplete') return;
        if (answer === 'invalid') settle('no HTTP answer');
        else settle(answer.status === 200 ? undefined : `HTTP status ${answer.status}`, answer.body);
      };
      const onClose = () => settle('closed without an answer');
      const onError = (error: Error) => settle(error.message);
      const timer = setTimeout(() => settle(`no answer in ${timeoutMs} ms`), timeoutMs);
      socket.on('data', onData).on('close', onClose).on('error', onError);
      socket.write(requestFor(this.#address, this.#port, path, 'keep-alive'));
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Socket {
    const socket = connect({
      host: this.#address,
      port: this.#port,
      noDelay: true,
      ...(this.#from !== undefined && { localAddress: this.#from }),
    });
    const forget = () => {
      if (this.#socket === socket) this.#socket = undefined;
    };
    socket.on('error', forget).on('close', forget).on('end', forget);
    return socket;
  }
}

/** @returns the answer once all of it is there; only answers with a Content-Length are understood */
export function parseAnswer(received: Buffer): { status: number; body: string } | 'incomplete' | 'invalid' {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return received.length > HEADER_LIMIT ? 'invalid' : 'incomplete';
  const header = received.toString('latin1', 0, end);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(header)?.[1];
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(header)?.[1] ?? Number.NaN);
  if (status === undefined || !(length <= BODY_LIMIT)) return 'invalid';
  const body = received.subarray(end + 4);
  if (body.length < length) return 'incomplete';
  return { status: Number(status), body: body.toString('utf8', 0, length) };
}

/** Serves GET requests on one connection; `answer` gives the body for a target, or undefined for 404. */
export function serveConnection(
  socket: Socket,
  answer: (target: string) => string | undefined,
  idleMs: number,
): void {
  let received = '';
  socket.setEncoding('latin1');
  socket.setNoDelay(true);
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: string) => {
    received += chunk;
    for (let end = received.indexOf('\r\n\r\n'); end !== -1; end = received.indexOf('\r\n\r\n')) {
      const [method, target] = received.slice(0, received.indexOf('\r\n')).split(' ');
      received = received.slice(end + 4);
      const body = method === 'GET' && target ? answer(target) : undefined;
      socket.write(
        `HTTP/1.1 ${body === undefined ? '404 Not Found' : '200 OK'}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body ?? '')}\r\n\r\n${body ?? ''}`,
      );
    }
    if (received.length > HEADER_LIMIT) socket.destroy();
  });
}
