/**
 * Endpoints of the other clusters, told by their controllers: what an MCS controller does. Where traffic to a cluster
 * crosses another, what is known of it comes from there too: transit clusters pass on what their neighbours tell them,
 * as their gateways pass on packets. A large fleet around a hub so costs two messages a cluster for each change there.
 */
import { type Server, createServer } from 'node:net';
import type { IpFamily, PerFamily } from '../../../model/cidr.ts';
import { type ControllerPeer, PEER_PORT } from './config.ts';
import { Connection, type ConnectionUser } from './connection.ts';
import { type EndpointsDocument, type SharedEndpoints, documentOf } from './documents.ts';
import { Session, type SessionOwner } from './session.ts';
import { type Endpoint, familyOf } from './state.ts';

/** Between two beats of a session, where nothing else is configured. */
export const PEER_PERIOD_MS = 200;
/** A peer that is silent for this long is lost: a lost packet is sent again twice within it, and a busy machine is forgiven. */
const SILENCE_MS = 1_000;
/** As many beats as that in small fleets; where they are rarer still more than one, which may be lost. */
const MOST_BEATS = 7;
const FEWEST_BEATS = 2;
/** Slow fleets wait no longer than this for MOST_BEATS. */
const LONGEST_SILENCE_MS = 3_000;
/** Whoever connects and does not say who it is. */
const HELLO_MS = 5_000;
const CONNECTION_LIMIT = 1024;

/** How many periods without a word make a peer lost: 1 s of them, and more where the machine is shared by many. */
export function beatsUntilLost(periodMs: number): number {
  const limitMs = periodMs > PEER_PERIOD_MS ? LONGEST_SILENCE_MS : SILENCE_MS;
  return Math.min(MOST_BEATS, Math.max(FEWEST_BEATS, Math.ceil(limitMs / periodMs)));
}

export interface PeersConfig {
  readonly cluster: string;
  readonly peers: readonly ControllerPeer[];
  readonly families: readonly IpFamily[];
  /** The own node address: other controllers call it, and are called from it. */
  readonly listen: PerFamily<string>;
  readonly periodMs: number;
}

/** All that a controller keeps up with others. */
export class Peers {
  #families: PeersOfFamily[] = [];
  #signature = '';
  #timer: NodeJS.Timeout | undefined;
  #own: { cluster: string; shared: SharedEndpoints } = { cluster: '', shared: new Map() };
  readonly #onChange: (cluster: string, cause: string) => void;

  constructor(onChange: (cluster: string, cause: string) => void) {
    this.#onChange = onChange;
  }

  /**
   * Keeps up with these peers, each family on its own, so that a path broken in one costs that family's endpoints only.
   * Starts afresh when anything about them has changed. @throws the system's error when an address cannot be used
   */
  async watch(config: PeersConfig): Promise<void> {
    const signature = JSON.stringify(config);
    if (signature === this.#signature) return;
    this.stop();
    this.#families = config.families.flatMap((family) => {
      const address = config.listen[family];
      return address === undefined
        ? []
        : [new PeersOfFamily(family, address, config, (...change) => this.#onChange(...change))];
    });
    this.publish(this.#own.cluster, this.#own.shared);
    await Promise.all(this.#families.map((family) => family.listen()));
    this.#signature = signature;
    this.#timer = setInterval(() => {
      for (const family of this.#families) family.beat();
    }, config.periodMs);
  }

  /** What this cluster shares from now on: those who want it are told at once. */
  publish(cluster: string, shared: SharedEndpoints): void {
    this.#own = { cluster, shared };
    for (const family of this.#families) family.publish(documentOf(cluster, only(family.family, shared)));
  }

  /** Healthy endpoints of a service in all clusters that are there. */
  endpointsOf(service: string): Endpoint[] {
    return this.#families.flatMap((family) => family.endpointsOf(service));
  }

  status(): { cluster: string; family: IpFamily; answers: boolean }[] {
    return this.#families.flatMap((family) => family.status());
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const family of this.#families) family.stop();
    this.#families = [];
    this.#signature = '';
  }
}

function only(family: IpFamily, shared: SharedEndpoints): SharedEndpoints {
  return new Map(
    [...shared].map(([service, endpoints]) => [
      service,
      endpoints.filter(({ address }) => familyOf(address) === family),
    ]),
  );
}

class PeersOfFamily implements SessionOwner, ConnectionUser {
  readonly family: IpFamily;
  readonly #address: string;
  readonly #onChange: (cluster: string, cause: string) => void;
  /** By neighbour. */
  readonly #sessions: ReadonlyMap<string, Session>;
  /** The session that tells of a cluster, by cluster. */
  readonly #sources: ReadonlyMap<string, Session>;
  readonly #server: Server;
  #own: EndpointsDocument = { cluster: '', services: {} };
  #ownText = '';

  constructor(
    family: IpFamily,
    address: string,
    { cluster, peers, periodMs }: PeersConfig,
    onChange: (cluster: string, cause: string) => void,
  ) {
    this.family = family;
    this.#address = address;
    this.#onChange = onChange;
    const neighbours = peers.flatMap((peer) => {
      const at = peer.addresses[family];
      return peer.via === undefined && at !== undefined ? [{ peer: peer.cluster, address: at }] : [];
    });
    this.#sessions = new Map(
      neighbours.map(({ peer, address: at }) => [
        peer,
        new Session(
          {
            self: cluster,
            peer,
            address: at,
            from: address,
            dials: cluster < peer,
            wants: peers.filter((one) => (one.via ?? one.cluster) === peer).map((one) => one.cluster),
            beatsUntilLost: beatsUntilLost(periodMs),
          },
          this,
        ),
      ]),
    );
    this.#sources = new Map(
      peers.flatMap(({ cluster: name, via = name }) => {
        const session = this.#sessions.get(via);
        return session ? [[name, session] as const] : [];
      }),
    );
    this.#server = createServer((socket) => {
      new Connection(socket, this).endWhenIdle(HELLO_MS);
    });
    this.#server.maxConnections = CONNECTION_LIMIT;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: this.#address, port: PEER_PORT }, () => {
        this.#server.off('error', reject).on('error', () => undefined);
        resolve();
      });
    });
  }

  beat(): void {
    for (const session of this.#sessions.values()) session.beat();
  }

  publish(document: EndpointsDocument): void {
    const text = JSON.stringify(document);
    if (text === this.#ownText) return;
    this.#own = document;
    this.#ownText = text;
    for (const session of this.#sessions.values()) session.tell(document.cluster);
  }

  endpointsOf(service: string): Endpoint[] {
    return [...this.#sources].flatMap(([cluster, session]) => [...session.endpointsOf(cluster, service)]);
  }

  status(): { cluster: string; family: IpFamily; answers: boolean }[] {
    return [...this.#sources].map(([cluster, session]) => ({
      cluster,
      family: this.family,
      answers: session.documentOf(cluster) !== undefined,
    }));
  }

  stop(): void {
    this.#server.close();
    for (const session of this.#sessions.values()) session.stop();
  }

  documentOf(cluster: string): EndpointsDocument | undefined {
    return cluster === this.#own.cluster ? this.#own : this.#sources.get(cluster)?.documentOf(cluster);
  }

  changed(cluster: string, cause: string, source: Session): void {
    for (const session of this.#sessions.values()) if (session !== source) session.tell(cluster);
    this.#onChange(cluster, `${cause} (${this.family})`);
  }

  take(message: Parameters<ConnectionUser['take']>[0], connection: Connection): void {
    const session = 'hello' in message ? this.#sessions.get(message.hello) : undefined;
    if (!('hello' in message) || !session || session.facts.dials) throw new Error('nobody who dials here');
    session.accept(connection, message.wants);
  }

  ended(): void {
    // It never said who it is.
  }
}
