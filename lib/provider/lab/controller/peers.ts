/** Endpoints of the other clusters, learned by asking their controllers: what an MCS controller does. */
import { createHash } from 'node:crypto';
import { type Server, createServer } from 'node:net';
import { type IpFamily, type PerFamily, parseAddress } from '../../../model/cidr.ts';
import { messageOf } from '../../../model/errors.ts';
import { type ControllerPeer, PEER_PORT } from './config.ts';
import { KeptConnection, serveConnection } from './exchange.ts';
import { isLabel } from './parse.ts';
import { type Endpoint, familyOf } from './state.ts';

/** Between two polls of a peer, in fleets of up to ten clusters. */
export const PEER_PERIOD_MS = 200;
/** Two crossings of a tunnel over the widest links that a lab imitates, with room. */
export const PEER_TIMEOUT_MS = 600;
/** One lost packet must not empty a service. */
export const FAILURES_UNTIL_LOST = 2;
/** What a fleet of n clusters, each polling n − 1, may cost in all: 300 polls a second are some 5 % of a processor. */
export const FLEET_POLLS_PER_SECOND = 300;
/** A connection that a peer has not used for this long is closed; longer than the longest period. */
const IDLE_MS = 120_000;
const CONNECTION_LIMIT = 1024;
/** Endpoints of one peer, over all its services. */
const ENDPOINT_LIMIT = 4096;

const ENDPOINTS_PATH = '/v1/endpoints';

/** 200 ms with up to seven peers; beyond, the fleet as a whole keeps to FLEET_POLLS_PER_SECOND: n (n − 1) / 300 seconds. */
export function peerPeriodMs(peers: number): number {
  return Math.max(PEER_PERIOD_MS, Math.ceil((1000 * peers * (peers + 1)) / FLEET_POLLS_PER_SECOND));
}

/** Longest time from a peer's silence to the removal of its endpoints here. */
export function worstCasePeerLossMs(peers: number): number {
  const period = peerPeriodMs(peers);
  return period + (FAILURES_UNTIL_LOST - 1) * Math.max(period, PEER_TIMEOUT_MS) + PEER_TIMEOUT_MS;
}

/** Healthy endpoints of the services that a cluster shares, by `namespace/name`. */
export type SharedEndpoints = ReadonlyMap<string, readonly Endpoint[]>;

/** The document that peers get. */
interface EndpointsDocument {
  readonly cluster: string;
  readonly services: Readonly<
    Record<string, readonly { readonly workload: string; readonly address: string }[]>
  >;
}

export function renderDocument(cluster: string, shared: SharedEndpoints): string {
  const services: Record<string, { workload: string; address: string }[]> = {};
  for (const [key, endpoints] of shared) {
    services[key] = endpoints.map(({ workload, address }) => ({ workload, address }));
  }
  return JSON.stringify({ cluster, services } satisfies EndpointsDocument);
}

/** Takes only what is well formed: its names go into rules and DNS records. @throws Error saying what is wrong */
export function parseDocument(text: string, expectedCluster: string): SharedEndpoints {
  const document = JSON.parse(text) as Partial<EndpointsDocument> | null;
  if (document?.cluster !== expectedCluster) {
    throw new Error(`this is the controller of another cluster: ${String(document?.cluster)}`);
  }
  const shared = new Map<string, Endpoint[]>();
  let count = 0;
  for (const [key, endpoints] of Object.entries(document.services ?? {})) {
    if (!key.split('/').every(isLabel) || !Array.isArray(endpoints)) throw new Error(`bad service "${key}"`);
    count += endpoints.length;
    if (count > ENDPOINT_LIMIT) throw new Error(`more than ${ENDPOINT_LIMIT} endpoints`);
    shared.set(
      key,
      endpoints.map((endpoint: unknown) => parseEndpoint(endpoint, expectedCluster)),
    );
  }
  return shared;
}

function parseEndpoint(value: unknown, cluster: string): Endpoint {
  const { workload, address } = (value ?? {}) as Partial<Endpoint>;
  if (!isLabel(workload) || typeof address !== 'string') throw new Error('bad endpoint');
  parseAddress(address);
  return { cluster, workload, address };
}

export const revisionOf = (document: string): string =>
  createHash('sha256').update(document).digest('hex').slice(0, 16);

/** Tells whoever asks which endpoints this cluster shares. */
export class PeerServer {
  #servers: Server[] = [];
  #listening = '';
  readonly #document: () => string;
  readonly #onAsked: (cluster: string, revision: string) => void;

  /** @param onAsked hears who asked, and the revision of what that cluster shares itself */
  constructor(document: () => string, onAsked: (cluster: string, revision: string) => void) {
    this.#document = document;
    this.#onAsked = onAsked;
  }

  /** Listens on these addresses only. @throws the system's error when one cannot be used */
  async listen(addresses: PerFamily<string>): Promise<void> {
    const wanted = Object.values(addresses).toSorted();
    if (this.#listening === wanted.join()) return;
    this.close();
    this.#servers = await Promise.all(wanted.map((address) => this.#start(address)));
    this.#listening = wanted.join();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    this.#servers = [];
    this.#listening = '';
  }

  #start(address: string): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) =>
        serveConnection(socket, (target) => this.#answer(target), IDLE_MS),
      );
      server.maxConnections = CONNECTION_LIMIT;
      server.once('error', reject);
      server.listen({ host: address, port: PEER_PORT }, () => {
        server.off('error', reject).on('error', () => undefined);
        resolve(server);
      });
    });
  }

  #answer(target: string): string | undefined {
    const [path, query] = target.split('?');
    if (path !== ENDPOINTS_PATH) return undefined;
    const asked = new URLSearchParams(query);
    const cluster = asked.get('cluster');
    if (cluster !== null) this.#onAsked(cluster, asked.get('revision') ?? '');
    return this.#document();
  }
}

interface Polled {
  readonly cluster: string;
  readonly family: IpFamily;
  readonly connection: KeptConnection;
  timer: NodeJS.Timeout | undefined;
  polling: boolean;
  /** Somebody asked for a poll while one was under way. */
  again: boolean;
  stopped: boolean;
  failures: number;
  answers: boolean;
  revision: string;
  endpoints: SharedEndpoints;
}

/**
 * Asks each peer, in each family on its own: so that a path broken in one family costs that family's endpoints only.
 * A poll tells the peer the revision of what is shared here; a peer that does not know it yet asks back at once. So news
 * travel with the next packet, and the period only bounds how late a silent peer is noticed.
 */
export class PeerPolls {
  #polled: Polled[] = [];
  #signature = '';
  #periodMs = PEER_PERIOD_MS;
  #self = { cluster: '', revision: '' };
  readonly #onChange: (cluster: string, cause: string) => void;

  constructor(onChange: (cluster: string, cause: string) => void) {
    this.#onChange = onChange;
  }

  /**
   * Polls these peers, node to node; starts afresh when anything about them has changed.
   * @param from the own node address
   */
  watch(peers: readonly ControllerPeer[], families: readonly IpFamily[], from: PerFamily<string>): void {
    const signature = JSON.stringify([peers, families, from]);
    if (signature === this.#signature) return;
    this.#signature = signature;
    this.stop();
    this.#periodMs = peerPeriodMs(peers.length);
    this.#polled = peers.flatMap(({ cluster, addresses }) =>
      families.flatMap((family) => {
        const address = addresses[family];
        return address === undefined ? [] : [startOf(cluster, family, address, from[family])];
      }),
    );
    for (const polled of this.#polled) void this.#poll(polled);
  }

  /** What this cluster shares has changed: the peers hear of it by being asked. */
  announce(cluster: string, revision: string): void {
    this.#self = { cluster, revision };
    for (const polled of this.#polled) void this.#poll(polled);
  }

  /** A peer asked here and said what it has; if that is news, or it was thought lost, ask back. */
  heardFrom(cluster: string, revision: string): void {
    for (const polled of this.#polled) {
      if (polled.cluster === cluster && (!polled.answers || polled.revision !== revision)) {
        void this.#poll(polled);
      }
    }
  }

  /** Healthy endpoints of a service in all clusters that answer. */
  endpointsOf(service: string): Endpoint[] {
    return this.#polled.flatMap(({ answers, endpoints, family }) =>
      answers ? (endpoints.get(service) ?? []).filter(({ address }) => familyOf(address) === family) : [],
    );
  }

  status(): { cluster: string; family: IpFamily; answers: boolean }[] {
    return this.#polled.map(({ cluster, family, answers }) => ({ cluster, family, answers }));
  }

  stop(): void {
    for (const polled of this.#polled) {
      polled.stopped = true;
      clearTimeout(polled.timer);
      polled.connection.close();
    }
    this.#polled = [];
  }

  /** Never rejects. */
  async #poll(polled: Polled): Promise<void> {
    if (polled.polling) {
      polled.again = true;
      return;
    }
    polled.polling = true;
    polled.again = false;
    clearTimeout(polled.timer);
    const started = performance.now();
    const change = await this.#ask(polled);
    polled.polling = false;
    if (polled.stopped) return;
    const delay = polled.again ? 0 : Math.max(0, this.#periodMs - (performance.now() - started));
    polled.timer = setTimeout(() => void this.#poll(polled), delay);
    if (change) this.#onChange(polled.cluster, `${change} (${polled.family})`);
  }

  /** @returns what changed, for people */
  async #ask(polled: Polled): Promise<string | undefined> {
    const { cluster, revision } = this.#self;
    try {
      const text = await polled.connection.get(
        `${ENDPOINTS_PATH}?cluster=${cluster}&revision=${revision}`,
        PEER_TIMEOUT_MS,
      );
      const news = revisionOf(text);
      if (news !== polled.revision) polled.endpoints = parseDocument(text, polled.cluster);
      const change = !polled.answers
        ? 'the peer answers'
        : news === polled.revision
          ? undefined
          : 'the peer shares other endpoints';
      polled.failures = 0;
      polled.answers = true;
      polled.revision = news;
      return change;
    } catch (error) {
      polled.failures += 1;
      if (!polled.answers || polled.failures < FAILURES_UNTIL_LOST) return undefined;
      polled.answers = false;
      return `the peer is lost: ${messageOf(error)}`;
    }
  }
}

function startOf(cluster: string, family: IpFamily, address: string, from: string | undefined): Polled {
  return {
    cluster,
    family,
    connection: new KeptConnection(address, PEER_PORT, from),
    timer: undefined,
    polling: false,
    again: false,
    stopped: false,
    failures: 0,
    answers: false,
    revision: '',
    endpoints: new Map(),
  };
}
