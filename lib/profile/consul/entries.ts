/** Configuration entries of Consul: https://developer.hashicorp.com/consul/docs/connect/config-entries. Pure. */
import type { IdentityPolicyIntent, ShareServiceIntent } from '../../model/intent.ts';
import type { ConsulGateways } from '../../model/spec.ts';
import { type CarriedPort, identityName, routeName } from './names.ts';

export interface ConfigEntry {
  readonly Kind: string;
  readonly Name: string;
  readonly [field: string]: unknown;
}

/**
 * A splitter of nobody's. A server looks for one of every service that callers are led to, and waits for it to come where
 * there is none; of the first kind that has no entry at all it waits for anything of a name that begins alike, so that with
 * every policy, and with every other service that is shared, it forgot whom callers know of their peers and asked anew.
 * `agent/consul/watch` and `resetWatchesFromChain` in `agent/proxycfg` have it; where this stands, others' entries wake nobody.
 */
export const LONE_SPLITTER: ConfigEntry = {
  Kind: 'service-splitter',
  Name: 'nobody',
  Splits: [{ Weight: 100 }],
};

/** What every cluster has. Peers' servers talk through the gateways too, whichever of them callers go by. */
export const meshEntries = (mode: ConsulGateways): readonly ConfigEntry[] => [
  { Kind: 'mesh', Name: 'mesh', Peering: { PeerThroughMeshGateways: true } },
  {
    Kind: 'proxy-defaults',
    Name: 'global',
    MeshGateway: { Mode: mode },
    Config: { protocol: 'http' },
  },
  LONE_SPLITTER,
];

/** There is one for all services of a cluster, and it is written as a whole. */
export const exportedServices = (services: readonly string[], peers: readonly string[]): ConfigEntry => ({
  Kind: 'exported-services',
  Name: 'default',
  Services: services.toSorted().map((Name) => ({ Name, Consumers: peers.map((Peer) => ({ Peer })) })),
});

/** Less than most clients wait for a connection that nobody answers. */
const CONNECT_TIMEOUT = '1s';
const RETRIES = 2;

interface Place {
  readonly cluster: string;
  /** Clusters whose services may be called from here, this one left out. */
  readonly peers: readonly string[];
}

type Sharing = Pick<ShareServiceIntent, 'preference' | 'ejectFailing'>;

/**
 * Whose instances callers are led to by a route: in this order, the next where one has none that answers. Whether a peer
 * offers any, it says by what it exports: callers are led there all the same, or its mistake would be nobody's to notice.
 */
function orderOf({ preference }: Sharing, route: string, { cluster, peers }: Place): string[] {
  switch (preference) {
    case 'spread':
      return [...new Set([route, cluster, ...peers])];
    case 'prefer-local':
      return [cluster, ...peers];
    case 'prefer-remote':
      return [...new Set([...peers.filter((peer) => peer === route), ...peers, cluster])];
  }
}

/**
 * What a cluster knows of a peer's service is how the gateway is by which it is called, never whether any instance is left
 * behind it: where a peer comes before others, only failing calls tell that it has none. The reference of service-resolver
 * says so at `Failover.Targets.Peer`.
 */
const isEjecting = (sharing: Sharing, place: Place): boolean =>
  [place.cluster, ...place.peers].some((route) =>
    orderOf(sharing, route, place)
      .slice(0, -1)
      .some((where) => where !== place.cluster),
  );

/** What callers make of an endpoint that fails: they leave it alone after so many failures in a row, or keep it. */
export type Treatment = number | 'kept';

/**
 * Failures in a row by which callers leave an endpoint alone. Where nobody has asked for it, only those that come from a
 * peer without anything left, not from a moment's trouble.
 */
const FAILURES = { asked: 3, otherwise: 10 } as const;

/** Of every route that nothing else is said of: with the treatment of one more its callers' whole configuration changes. */
export const USUAL: Treatment = FAILURES.otherwise;

const treatmentOf = (sharing: Sharing, place: Place): Treatment =>
  isEjecting(sharing, place) ? FAILURES[sharing.ejectFailing ? 'asked' : 'otherwise'] : 'kept';

/** By route. @param names of the services of Consul that are shared */
export const treatments = (
  sharing: Sharing,
  names: readonly string[],
  place: Place,
): (readonly [string, Treatment])[] =>
  names.flatMap((name) =>
    [place.cluster, ...place.peers].map((to) => [routeName(name, to), treatmentOf(sharing, place)] as const),
  );

/** No instance has the name of a route, so that all of it is failover. */
export function routeEntries(sharing: Sharing, { name, protocol }: CarriedPort, place: Place): ConfigEntry[] {
  const { cluster, peers } = place;
  const target = (where: string) => ({ Service: name, ...(where !== cluster && { Peer: where }) });
  return [cluster, ...peers].flatMap((route): ConfigEntry[] => {
    const Name = routeName(name, route);
    return [
      ...protocolEntries({ name: Name, protocol }),
      {
        Kind: 'service-resolver',
        Name,
        ConnectTimeout: CONNECT_TIMEOUT,
        Failover: { '*': { Targets: orderOf(sharing, route, place).map(target) } },
      },
      ...((sharing.ejectFailing || isEjecting(sharing, place)) && protocol === 'http'
        ? [
            {
              Kind: 'service-router',
              Name,
              Routes: [
                {
                  Match: { HTTP: { PathPrefix: '/' } },
                  Destination: {
                    NumRetries: RETRIES,
                    RetryOnConnectFailure: true,
                    RetryOnStatusCodes: [503],
                  },
                },
              ],
            },
          ]
        : []),
    ];
  });
}

export const protocolEntries = ({ name, protocol }: Pick<CarriedPort, 'name' | 'protocol'>): ConfigEntry[] =>
  protocol === 'tcp' ? [{ Kind: 'service-defaults', Name: name, Protocol: 'tcp' }] : [];

/** How often failures are counted. */
const COUNTED = '1s';
const passiveHealthCheck = (treatment: Treatment): object =>
  treatment === 'kept' ? { EnforcingConsecutive5xx: 0 } : { Interval: COUNTED, MaxFailures: treatment };

/**
 * How a caller treats endpoints that fail. Of a peer's service that it calls by name the one endpoint is a gateway: giving
 * it up for half a minute because of the backends behind it would lose the whole peer.
 *
 * @param treated what is not usual, by route
 */
export const callerDefaults = (
  { name, byPeerName = false }: { readonly name: string; readonly byPeerName?: boolean },
  treated: ReadonlyMap<string, Treatment>,
): ConfigEntry => ({
  Kind: 'service-defaults',
  Name: name,
  Protocol: 'http',
  UpstreamConfig: {
    Defaults: { PassiveHealthCheck: passiveHealthCheck(byPeerName ? 'kept' : USUAL) },
    ...(treated.size > 0 && {
      Overrides: [...treated]
        .toSorted(([one], [other]) => (one < other ? -1 : 1))
        .map(([Name, treatment]) => ({ Name, PassiveHealthCheck: passiveHealthCheck(treatment) })),
    }),
  },
});

/** What such an entry says that is not usual, by route. */
export function treatedIn(entry: ConfigEntry | undefined): Map<string, Treatment> {
  const { Overrides } = (entry?.['UpstreamConfig'] ?? {}) as {
    readonly Overrides?:
      | readonly {
          readonly Name: string;
          readonly PassiveHealthCheck?: {
            readonly MaxFailures?: number;
            readonly EnforcingConsecutive5xx?: number;
          };
        }[]
      | null;
  };
  return new Map(
    (Overrides ?? []).flatMap(({ Name, PassiveHealthCheck: said }): [string, Treatment][] => {
      if (said?.MaxFailures) return [[Name, said.MaxFailures]];
      return said?.EnforcingConsecutive5xx === 0 ? [[Name, 'kept']] : [];
    }),
  );
}

/** Only these callers, of every cluster that is named; `*` alone does not mean callers of peers. */
export function intentions(
  { allow }: Pick<IdentityPolicyIntent, 'allow'>,
  destination: string,
  { cluster, peers }: Place,
  nameOf: (caller: IdentityPolicyIntent['allow'][number]) => string = ({ namespace, serviceAccount = '' }) =>
    identityName({ name: serviceAccount }, namespace),
): ConfigEntry {
  const everywhere = [cluster, ...peers];
  const source = (Name: string, where: string, Action: 'allow' | 'deny') => ({
    Name,
    ...(where !== cluster && { Peer: where }),
    Action,
  });
  return {
    Kind: 'service-intentions',
    Name: destination,
    Sources: [
      ...allow.flatMap((caller) =>
        everywhere
          .filter((where) => caller.cluster === undefined || caller.cluster === where)
          .map((where) => source(nameOf(caller), where, 'allow')),
      ),
      ...everywhere.map((where) => source('*', where, 'deny')),
    ],
  };
}
