/** JSON lines between two controllers, on one TCP connection. */
import type { Socket } from 'node:net';
import { messageOf } from '../../../model/errors.ts';
import type { EndpointsDocument } from './documents.ts';
import { lineSplitter } from './lines.ts';

export type Message =
  /** First in both directions: who speaks, and whose endpoints it wants to be told. */
  | { readonly hello: string; readonly wants: readonly string[] }
  /** All that a cluster shares at this moment. */
  | { readonly state: EndpointsDocument }
  /** Nothing is known of this cluster's endpoints (any more). */
  | { readonly lost: string }
  /** Sent by the side that has dialled, and given back. */
  | { readonly beat: number };

const LINE_LIMIT = 1024 * 1024;
/** Whoever does not read what it is told is cut off beyond this. */
const UNREAD_LIMIT = 4 * 1024 * 1024;

export interface ConnectionUser {
  /** @throws when it can do nothing with the message: the connection then ends */
  take(message: Message, connection: Connection): void;
  /** Not called for an end that was made here. */
  ended(cause: string, connection: Connection): void;
}

export class Connection {
  /** Whoever uses it now: one that came in belongs to nobody until it has said who it is. */
  user: ConnectionUser;
  readonly #socket: Socket;
  #over = false;

  constructor(socket: Socket, user: ConnectionUser) {
    this.#socket = socket;
    this.user = user;
    const split = lineSplitter(LINE_LIMIT, (line) => this.#take(line));
    socket.setEncoding('utf8');
    socket.setNoDelay(true);
    socket.on('data', (chunk: string) => {
      if (!split(chunk)) this.#fail('an endless line');
    });
    socket.on('error', (error) => this.#fail(messageOf(error)));
    socket.on('close', () => this.#fail('closed'));
    socket.on('end', () => this.#fail('closed'));
  }

  send(messages: readonly Message[]): void {
    if (this.#over || messages.length === 0) return;
    this.#socket.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
    if (this.#socket.writableLength > UNREAD_LIMIT) this.#fail('reads nothing');
  }

  /** @param afterMs 0 for never */
  endWhenIdle(afterMs: number): void {
    this.#socket.setTimeout(afterMs, () => this.#fail('silent'));
  }

  end(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #take(line: string): void {
    if (this.#over) return;
    try {
      this.user.take(parseMessage(line), this);
    } catch (error) {
      this.#fail(messageOf(error));
    }
  }

  #fail(cause: string): void {
    if (this.#over) return;
    this.end();
    this.user.ended(cause, this);
  }
}

function parseMessage(line: string): Message {
  const message = JSON.parse(line) as unknown;
  if (typeof message !== 'object' || message === null) throw new Error('no message');
  return message as Message;
}
