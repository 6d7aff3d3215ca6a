/**
 * As much HTTP/1.1 as a controller needs, on plain sockets: a hundred controllers run side by side, and `node:http` would
 * cost each of them 15 MB and twice the start time. A connection is kept from check to check, since to
 * open one costs both ends more than all the rest.
 */
import { type Socket, connect } from 'node:net';
import { messageOf } from '../../../model/errors.ts';

const RESPONSE_LIMIT = 8 * 1024;

const requestFor = (address: string, port: number, path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: ${address.includes(':') ? `[${address}]` : address}:${port}\r\n\r\n`;

interface Response {
  readonly status: string;
  /** `kept`: all of it is there, and another may follow; `last`: nothing more of it is wanted; `open`: more is to come. */
  readonly rest: 'open' | 'kept' | 'last';
}

/** @returns undefined while there is too little of it to tell */
function parseResponse(text: string): Response | undefined {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  if (status === undefined) return undefined;
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return { status, rest: 'open' };
  const head = text.slice(0, end);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const isLast = length === undefined || !head.startsWith('HTTP/1.1') || /\r\nconnection: *close/i.test(head);
  if (isLast) return { status, rest: 'last' };
  const missing = end + 4 + Number(length) - text.length;
  return { status, rest: missing > 0 ? 'open' : missing === 0 ? 'kept' : 'last' };
}

const CLOSED = 'closed without an answer';

const failureOf = ({ status }: Response): string | undefined =>
  status === '200' ? undefined : `HTTP status ${status}`;

/** One connection, and one request on it at a time. */
class HealthConnection {
  readonly #socket: Socket;
  readonly #request: string;
  #received = '';
  /** Whoever waits for the answer. */
  #settle: ((failure: string | undefined) => void) | undefined;
  isOpen = true;

  constructor(address: string, port: number, path: string) {
    this.#request = requestFor(address, port, path);
    this.#socket = connect({ host: address, port, noDelay: true })
      .setEncoding('latin1')
      .on('data', (chunk: string) => this.#take(chunk))
      .on('error', (error: NodeJS.ErrnoException) => this.#end(isReset(error) ? CLOSED : messageOf(error)))
      .on('close', () => {
        const response = parseResponse(this.#received);
        this.#end(response ? failureOf(response) : CLOSED);
      });
  }

  /** @returns undefined when the answer is a status 200 in time, else why not; never rejects */
  ask(timeoutMs: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(`no answer in ${Math.round(timeoutMs)} ms`), timeoutMs);
      this.#received = '';
      this.#settle = (failure) => {
        clearTimeout(timer);
        this.#settle = undefined;
        resolve(failure);
      };
      this.#socket.write(this.#request);
    });
  }

  end(): void {
    this.#end(CLOSED);
  }

  #take(chunk: string): void {
    this.#received += chunk;
    const response = parseResponse(this.#received);
    if (response?.rest === 'kept') this.#settle?.(failureOf(response));
    else if (response?.rest === 'last') this.#end(failureOf(response));
    else if (this.#received.length > RESPONSE_LIMIT || (!response && this.#received.includes('\r\n')))
      this.#end('no HTTP answer');
  }

  #end(failure: string | undefined): void {
    this.isOpen = false;
    this.#socket.destroy();
    this.#settle?.(failure);
  }
}

const isReset = ({ code }: NodeJS.ErrnoException): boolean => code === 'ECONNRESET' || code === 'EPIPE';

/** Checks of one backend, one after the other. */
export class HealthCheck {
  readonly #dial: () => HealthConnection;
  #connection: HealthConnection | undefined;

  constructor(address: string, port: number, path: string) {
    this.#dial = () => new HealthConnection(address, port, path);
  }

  /** @returns undefined when the answer is a status 200 in time, else why not, for people */
  async run(timeoutMs: number): Promise<string | undefined> {
    const began = performance.now();
    if (this.#connection?.isOpen) {
      const failure = await this.#connection.ask(timeoutMs);
      // Whoever ended the connection meanwhile may take another one.
      if (failure !== CLOSED) return failure;
    }
    this.#connection = this.#dial();
    return this.#connection.ask(timeoutMs - (performance.now() - began));
  }

  stop(): void {
    this.#connection?.end();
  }
}
