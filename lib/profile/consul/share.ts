/** Services that clusters share: each exports its own to its peers, and callers are led to all of them. */
import { isDeepStrictEqual } from 'node:util';
import type {
  AppliedIntent,
  Cluster,
  IntentHandler,
  KubernetesCluster,
  Workload,
} from '../../model/cluster.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import type { ShareServiceIntent } from '../../model/intent.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf } from '../../model/workload.ts';
import { systemClock } from '../../system/clock.ts';
import { type Peers, asKubernetes } from './clusters.ts';
import {
  type ConfigEntry,
  type Treatment,
  USUAL,
  callerDefaults,
  exportedServices,
  protocolEntries,
  routeEntries,
  treatedIn,
  treatments,
} from './entries.ts';
import { type CarriedPort, carriedPorts, servicesOf } from './names.ts';
import { endpointsOfPeers, knowsService, namesTaken, takesFor } from './proxies.ts';
import {
  type Peering,
  type Request,
  deleteEntry,
  isActive,
  peeringsOf,
  putEntry,
  readEntry,
  tell,
} from './server.ts';

export const EXPORTED = { Kind: 'exported-services', Name: 'default' } as const;

const callerOf = (spec: WorkloadSpec) => ({
  name: servicesOf(spec)[0] ?? '',
  byPeerName: spec.callsByPeerName ?? false,
});

export const exportedIn = (entry: ConfigEntry | undefined): string[] =>
  ((entry?.['Services'] ?? []) as readonly { Name: string }[]).map(({ Name }) => Name);

/**
 * Work that goes on alone: whoever asks while it does waits for the next time, which serves all who have asked by then.
 *
 * @param restMs between the end of one and the beginning of the next
 */
export function coalescing<T>(work: () => Promise<T>, restMs = 0): () => Promise<T> {
  let current: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  let ended = -Infinity;
  const begin = async (): Promise<T> => {
    const rest = ended + restMs - systemClock.monotonic();
    if (rest > 0) await systemClock.sleep(rest);
    next = undefined;
    try {
      return await work();
    } finally {
      ended = systemClock.monotonic();
    }
  };
  return () => {
    if (next) return next;
    next = current.then(begin, begin);
    current = next;
    return next;
  };
}

/** Every look at a proxy starts a process in a pod: more of them would keep busy what they wait for. */
const LOOK_MS = 500;
/** Servers are asked without one; many who wait for them ask at the same time. */
const ASK_MS = 100;

interface Standing {
  readonly exported: Set<string>;
  /** What callers make of endpoints that fail, where it is not usual, by route. */
  readonly treated: Map<string, Treatment>;
}

/** What stands in one cluster in entries that several services share: written by one change at a time. */
class SharedEntries {
  readonly #cluster: KubernetesCluster;
  readonly #peers: Peers;
  #standing: Standing | undefined;
  #pending: { readonly alter: (standing: Standing) => void; readonly more: readonly Request[] }[] = [];
  readonly #write = coalescing(() => this.#writeAll());
  /** As this cluster's server says it; asked once for all who ask at the same time. */
  readonly peerings: () => Promise<readonly Peering[]>;
  /** What the gateway lets peers call, in the same way. */
  readonly #taken: () => Promise<string | undefined>;
  /** What the proxies of callers know of peers' services, in the same way. */
  readonly #known: () => Promise<readonly string[]>;
  /** Services that callers here are led to. */
  readonly #routed = new Set<string>();
  /** What leads callers here, by service; it stays when that is not shared any more. */
  readonly #leading = new Map<string, readonly ConfigEntry[]>();

  constructor(cluster: KubernetesCluster, peers: Peers) {
    this.#cluster = cluster;
    this.#peers = peers;
    this.peerings = coalescing(() => peeringsOf(cluster), ASK_MS);
    this.#taken = coalescing(() => namesTaken(cluster), LOOK_MS);
    this.#known = coalescing(
      () => Promise.all(this.#callers().map((workload) => endpointsOfPeers(workload, cluster))),
      LOOK_MS,
    );
  }

  /** @param more sent before what changes here, in the same way */
  change(alter: (standing: Standing) => void, more: readonly Request[] = []): Promise<void> {
    this.#pending.push({ alter, more });
    return this.#write();
  }

  async #writeAll(): Promise<void> {
    const changes = this.#pending.splice(0);
    this.#standing ??= await this.#read();
    const { exported: names, treated } = this.#standing;
    const before = [...names].toSorted().join();
    const treatedBefore = new Map(treated);
    for (const { alter } of changes) alter(this.#standing);
    const exported = [...names];
    await tell(this.#cluster, [
      // First, so that what leads callers to others begins as it is to stay. Of what stands from the beginning they were
      // told before they registered: with every change the server makes their whole configuration anew.
      ...(isDeepStrictEqual(treated, treatedBefore) ? [] : this.#telling(treated)),
      ...changes.flatMap(({ more }) => more),
      ...(exported.toSorted().join() === before ? [] : [this.#exporting(exported)]),
    ]);
  }

  route(names: readonly string[], leads: boolean): void {
    for (const name of names) {
      if (leads) this.#routed.add(name);
      else this.#routed.delete(name);
    }
  }

  /** @returns what stood for this service, and is nothing of what leads to it from now on */
  lead(service: string, entries: readonly ConfigEntry[]): ConfigEntry[] {
    const before = this.#leading.get(service) ?? [];
    this.#leading.set(service, entries);
    return before.filter((old) => !entries.some(({ Kind, Name }) => Kind === old.Kind && Name === old.Name));
  }

  /** Whether the gateway lets these peers call these services, or which it does not. */
  async isTaken(names: readonly string[], active: readonly string[]): Promise<true | string> {
    const taken = active.length === 0 ? undefined : await this.#taken();
    // Without a gateway nothing gets in, which is for traffic to show.
    if (taken === undefined) return true;
    for (const peer of active) {
      const closed = names.find((name) => !takesFor(taken, name, peer));
      if (closed !== undefined)
        return `the gateway of ${this.#cluster.name} does not let ${peer} call ${closed}`;
    }
    return true;
  }

  /**
   * Whether the proxies of callers have endpoints of whatever of these services has been imported, or who lacks which.
   *
   * @param said what this cluster's server has just said of its peers
   */
  async isKnown(names: readonly string[], said?: readonly Peering[]): Promise<true | string> {
    const wanted = names.filter((name) => this.#routed.has(name));
    const callers = this.#callers();
    if (wanted.length === 0 || callers.length === 0) return true;
    const imported = (said ?? (await this.peerings()))
      .filter(isActive)
      .flatMap(({ Name, StreamStatus }) =>
        (StreamStatus?.ImportedServices ?? [])
          .filter((service) => wanted.includes(service))
          .map((service) => ({ service, peer: Name })),
      );
    if (imported.length === 0) return true;
    const known = await this.#known();
    for (const [index, caller] of callers.entries()) {
      const lacking = imported.find(({ service, peer }) => !knowsService(known[index] ?? '', service, peer));
      if (lacking) {
        const who = `${this.#cluster.name}/${keyOf(caller.spec)}`;
        return `the proxy of ${who} has no endpoint of ${lacking.service} of ${lacking.peer}`;
      }
    }
    return true;
  }

  #exporting(exported: readonly string[]): Request {
    // An entry without services is none.
    return exported.length === 0
      ? deleteEntry(EXPORTED)
      : putEntry(exportedServices(exported, this.#peers.of(this.#cluster.name)));
  }

  #telling(treated: Standing['treated']): Request[] {
    return this.#callers().map(({ spec }) => putEntry(callerDefaults(callerOf(spec), treated)));
  }

  /** As another process may have written it, to all callers alike. */
  async #read(): Promise<Standing> {
    const [caller] = this.#callers();
    const told = caller && (await readEntry(this.#cluster, callerDefaults(callerOf(caller.spec), new Map())));
    return {
      exported: new Set(exportedIn(await readEntry(this.#cluster, EXPORTED))),
      treated: treatedIn(told),
    };
  }

  #callers(): Workload[] {
    return this.#cluster.workloads.filter(({ spec }) => !spec.answersOnly && servicesOf(spec).length > 0);
  }
}

/** The shared entries of every cluster. */
export class Shares {
  readonly #peers: Peers;
  readonly #byCluster = new Map<string, SharedEntries>();

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  in(name: string): SharedEntries {
    const known = this.#byCluster.get(name) ?? new SharedEntries(this.#peers.named(name), this.#peers);
    this.#byCluster.set(name, known);
    return known;
  }

  /** As it stands: another process may have broken it. */
  exported(name: string): Promise<readonly string[]> {
    return readEntry(this.#peers.named(name), EXPORTED).then(exportedIn);
  }
}

/** @throws UserError for a service that is not there */
export async function portsOf(
  cluster: KubernetesCluster,
  { namespace, service }: Pick<ShareServiceIntent, 'namespace' | 'service'>,
): Promise<CarriedPort[]> {
  const found = await cluster.objects.read({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: service, namespace: cluster.namespaceOf(namespace) },
  });
  if (!found) throw new UserError(`there is no service ${namespace}/${service} in ${cluster.name}`);
  const { ports = [], clusterIP } = (found['spec'] ?? {}) as {
    readonly ports?: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
    readonly clusterIP?: string;
  };
  return carriedPorts(
    {
      name: service,
      headless: clusterIP === 'None',
      ports: ports.map((port) => ({
        ...port,
        protocol: port.protocol.toLowerCase() as ServiceSpec['ports'][number]['protocol'],
      })),
    },
    namespace,
  );
}

export function shareHandler(peers: Peers, shares: Shares): IntentHandler {
  const handler = 'consul-share';
  return {
    name: handler,
    supports: (intent) =>
      intent.kind === 'share-service' || `${handler} knows no intent of kind ${intent.kind}`,
    async apply(intent, at: Cluster): Promise<AppliedIntent> {
      if (intent.kind !== 'share-service') throw new InternalError(`${handler} was given ${intent.kind}`);
      const cluster = asKubernetes(at);
      const ports = await portsOf(cluster, intent);
      const place = { cluster: cluster.name, peers: peers.of(cluster.name) };
      const entries = ports.flatMap((port) => [
        ...protocolEntries(port),
        ...routeEntries(intent, port, place),
      ]);
      const shared = shares.in(cluster.name);
      const names = ports.map((port) => port.name);
      shared.route(names, true);
      const superseded = shared.lead(`${intent.namespace}/${intent.service}`, entries);
      await shared.change(
        (standing) => {
          if (intent.offered !== false) for (const name of names) standing.exported.add(name);
          for (const [route, treatment] of treatments(intent, names, place)) {
            if (treatment === USUAL) standing.treated.delete(route);
            else standing.treated.set(route, treatment);
          }
        },
        [...entries.map(putEntry), ...superseded.map(deleteEntry)],
      );
      return {
        rendered: JSON.stringify(entries),
        // Each peer's server has acknowledged it, and the proxies of callers have what was imported.
        settled: async () => {
          if (intent.offered === false) return true;
          const peerings = await shared.peerings();
          // Who is not joined gets nothing, which is for traffic to show.
          const active = peerings.filter(
            (peering) => isActive(peering) && place.peers.includes(peering.Name),
          );
          for (const { Name: peer, StreamStatus } of active) {
            const unsent = names.find((name) => !StreamStatus?.ExportedServices?.includes(name));
            if (unsent !== undefined) return `${place.cluster} has not told ${peer} of ${unsent}`;
          }
          const looks = await Promise.all([
            shared.isTaken(
              names,
              active.map(({ Name }) => Name),
            ),
            ...[place.cluster, ...place.peers].map((where) =>
              shares.in(where).isKnown(names, where === place.cluster ? peerings : undefined),
            ),
          ]);
          return looks.find((answer) => answer !== true) ?? true;
        },
        // What leads callers here to peers stays, and so does what they were told of failures: where nothing is exported it
        // leads nowhere. A server that has a way to a peer taken back forgets whom to trust of that peer, and with it all other
        // ways of the same caller (`resetWatchesFromChain`).
        undo: () =>
          shared.change((standing) => {
            shared.route(names, false);
            for (const port of ports) standing.exported.delete(port.name);
          }),
      };
    },
    addressFrom: (cluster, service) => cluster.serviceAddress(service),
  };
}
