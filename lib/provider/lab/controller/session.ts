/** What one controller keeps up with one neighbour, in one family: told of every change, and sure that it lives. */
import { connect } from 'node:net';
import { PEER_PORT } from './config.ts';
import { Connection, type ConnectionUser, type Message } from './connection.ts';
import { type EndpointsDocument, type SharedEndpoints, readDocument } from './documents.ts';

/** Silent beats after which another connection is tried, beside the first where there is one: a SYN may have been lost. */
const REDIAL_BEATS = 3;
/** Changes within this time travel together: a hub passes on those of many. */
const GATHER_MS = 20;

export interface SessionFacts {
  readonly self: string;
  readonly peer: string;
  /** Where the peer listens, and the own address to call it from. */
  readonly address: string;
  readonly from: string | undefined;
  /** One of the two dials, the other waits for it. */
  readonly dials: boolean;
  /** Clusters of which the peer is to tell. */
  readonly wants: readonly string[];
  /** Beats without a word from the peer until it counts as lost. */
  readonly beatsUntilLost: number;
}

export interface SessionOwner {
  /** What is known here of a cluster that the peer asks about; undefined when nothing is. */
  documentOf(cluster: string): EndpointsDocument | undefined;
  /** Something about a cluster that the peer tells of has changed. */
  changed(cluster: string, cause: string, session: Session): void;
}

interface Learned {
  readonly text: string;
  readonly document: EndpointsDocument;
  readonly shared: SharedEndpoints;
}

export class Session implements ConnectionUser {
  readonly facts: SessionFacts;
  readonly #owner: SessionOwner;
  readonly #learned = new Map<string, Learned>();
  #connection: Connection | undefined;
  /** Dialled, and not yet answered: the first connection may only be slow. */
  #attempt: Connection | undefined;
  /** Beats since the peer was last heard. Time in which this process itself did not run is so counted once, not in full. */
  #silent = 0;
  #beat = 0;
  /** What the peer wants to be told of. */
  #asked: ReadonlySet<string> = new Set();
  readonly #news = new Set<string>();
  #telling: NodeJS.Timeout | undefined;

  constructor(facts: SessionFacts, owner: SessionOwner) {
    this.facts = facts;
    this.#owner = owner;
    if (facts.dials) this.#dial();
  }

  documentOf(cluster: string): EndpointsDocument | undefined {
    return this.#learned.get(cluster)?.document;
  }

  endpointsOf(cluster: string, service: string) {
    return this.#learned.get(cluster)?.shared.get(service) ?? [];
  }

  /** Called once a period. */
  beat(): void {
    this.#silent += 1;
    if (this.#silent >= this.facts.beatsUntilLost) this.#lose(`silent for ${this.#silent} beats`);
    if (!this.facts.dials) return;
    if (!(this.#connection ?? this.#attempt) || this.#silent % REDIAL_BEATS === 0) this.#dial();
    this.#connection?.send([{ beat: ++this.#beat }]);
  }

  /** The peer has dialled. Its latest connection is the one that counts. */
  accept(connection: Connection, wants: readonly string[]): void {
    connection.user = this;
    // Silence is counted here from now on.
    connection.endWhenIdle(0);
    connection.send([this.#hello]);
    this.#adopt(connection, wants);
  }

  /** What is known of this cluster has changed. */
  tell(cluster: string): void {
    if (!this.#asked.has(cluster)) return;
    this.#news.add(cluster);
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#tellNews();
    }, GATHER_MS);
  }

  stop(): void {
    clearTimeout(this.#telling);
    this.#connection?.end();
    this.#attempt?.end();
    this.#connection = undefined;
    this.#attempt = undefined;
  }

  take(message: Message, connection: Connection): void {
    if ('hello' in message) {
      if (connection !== this.#attempt || message.hello !== this.facts.peer) throw new Error('not the peer');
      this.#attempt = undefined;
      this.#adopt(connection, message.wants);
      return;
    }
    if (connection !== this.#connection) throw new Error('no hello');
    this.#heard();
    if ('state' in message) this.#learn(message.state);
    else if ('lost' in message) this.#forget(message.lost, `${this.facts.peer} knows nothing of it`);
    else if (!this.facts.dials) connection.send([{ beat: message.beat }]);
  }

  /** An end is no silence, but two in a row are as good as one. */
  ended(cause: string, connection: Connection): void {
    if (connection === this.#attempt) this.#attempt = undefined;
    if (connection === this.#connection) this.#connection = undefined;
    else if (this.#connection) return;
    this.#silent += Math.ceil(this.facts.beatsUntilLost / 2);
    if (this.#silent >= this.facts.beatsUntilLost) this.#lose(cause);
  }

  get #hello(): Message {
    return { hello: this.facts.self, wants: this.facts.wants };
  }

  #dial(): void {
    this.#attempt?.end();
    const { address, from } = this.facts;
    const socket = connect({
      host: address,
      port: PEER_PORT,
      ...(from !== undefined && { localAddress: from }),
    });
    this.#attempt = new Connection(socket, this);
    this.#attempt.send([this.#hello]);
  }

  #adopt(connection: Connection, wants: readonly string[]): void {
    if (!Array.isArray(wants)) throw new Error('wants nothing');
    this.#connection?.end();
    this.#connection = connection;
    this.#asked = new Set(wants);
    this.#heard();
    this.#news.clear();
    for (const cluster of this.#asked) this.#news.add(cluster);
    this.#tellNews();
  }

  #heard(): void {
    this.#silent = 0;
    this.#attempt?.end();
    this.#attempt = undefined;
  }

  #tellNews(): void {
    const messages = [...this.#news].map((cluster): Message => {
      const document = this.#owner.documentOf(cluster);
      return document ? { state: document } : { lost: cluster };
    });
    this.#news.clear();
    this.#connection?.send(messages);
  }

  #learn(document: EndpointsDocument): void {
    const shared = readDocument(document);
    const { cluster } = document;
    if (!this.facts.wants.includes(cluster)) throw new Error(`tells of ${cluster}, which nobody asked for`);
    const text = JSON.stringify(document.services);
    const known = this.#learned.get(cluster);
    if (known?.text === text) return;
    this.#learned.set(cluster, { text, document, shared });
    this.#owner.changed(cluster, known ? 'it shares other endpoints' : 'it is there', this);
  }

  #forget(cluster: string, cause: string): void {
    if (this.#learned.delete(cluster)) this.#owner.changed(cluster, cause, this);
  }

  #lose(cause: string): void {
    this.#connection?.end();
    this.#connection = undefined;
    for (const cluster of [...this.#learned.keys()]) {
      this.#forget(cluster, `${this.facts.peer} is lost: ${cause}`);
    }
  }
}
