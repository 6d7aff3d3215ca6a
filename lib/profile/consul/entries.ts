/** Configuration entries of Consul: https://developer.hashicorp.com/consul/docs/connect/config-entries. Pure. */
import type { IdentityPolicyIntent, ShareServiceIntent } from '../../model/intent.ts';
import type { ConsulGateways } from '../../model/spec.ts';
import { type CarriedPort, identityName, routeName } from './names.ts';

export interface ConfigEntry {
  readonly Kind: string;
  readonly Name: string;
  readonly [field: string]: unknown;
}

/** Peers' servers talk through the gateways too, whichever of them callers go by. */
export const meshEntries = (mode: ConsulGateways): readonly ConfigEntry[] => [
  { Kind: 'mesh', Name: 'mesh', Peering: { PeerThroughMeshGateways: true } },
  {
    Kind: 'proxy-defaults',
    Name: 'global',
    MeshGateway: { Mode: mode },
    Config: { protocol: 'http' },
  },
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

type Sharing = Pick<ShareServiceIntent, 'preference' | 'offered' | 'ejectFailing'>;

/** Whose instances callers are led to by a route: in this order, the next where one has none that answers. */
function orderOf({ preference, offered }: Sharing, route: string, { cluster, peers }: Place): string[] {
  if (offered === false) return [cluster];
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

/**
 * Failures in a row by which callers leave an endpoint alone. Where nobody has asked for it, only those that come from a
 * peer without anything left, not from a moment's trouble.
 */
const FAILURES = { asked: 3, otherwise: 10 };

/** @returns undefined where callers keep their endpoints */
export const failuresOf = (sharing: Sharing, place: Place): number | undefined =>
  isEjecting(sharing, place) ? FAILURES[sharing.ejectFailing ? 'asked' : 'otherwise'] : undefined;

/** No instance has the name of a route, so that all of it is failover. */
export function routeEntries(sharing: Sharing, { name, protocol }: CarriedPort, place: Place): ConfigEntry[] {
  const { cluster, peers } = place;
  const target = (where: string) => ({ Service: name, ...(where !== cluster && { Peer: where }) });
  return [cluster, ...peers].flatMap((route): ConfigEntry[] => {
    const Name = routeName(name, route);
    return [
      ...(protocol === 'tcp' ? [{ Kind: 'service-defaults', Name, Protocol: 'tcp' }] : []),
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

export const protocolEntries = ({ name, protocol }: CarriedPort): ConfigEntry[] =>
  protocol === 'tcp' ? [{ Kind: 'service-defaults', Name: name, Protocol: 'tcp' }] : [];

/** How often failures are counted. */
const COUNTED = '1s';
/**
 * The one endpoint of a peer is a gateway: callers that give it up for half a minute because of the backends behind it
 * would lose the whole peer.
 */
const KEEP = { EnforcingConsecutive5xx: 0 };

/** How a caller treats endpoints that fail. @param ejecting failures in a row that it takes, by route */
export const callerDefaults = (caller: string, ejecting: ReadonlyMap<string, number>): ConfigEntry => ({
  Kind: 'service-defaults',
  Name: caller,
  Protocol: 'http',
  UpstreamConfig: {
    Defaults: { PassiveHealthCheck: KEEP },
    ...(ejecting.size > 0 && {
      Overrides: [...ejecting.keys()].toSorted().map((Name) => ({
        Name,
        PassiveHealthCheck: { Interval: COUNTED, MaxFailures: ejecting.get(Name) },
      })),
    }),
  },
});

/** What such an entry says of failures in a row, by route. */
export function ejectingIn(entry: ConfigEntry | undefined): Map<string, number> {
  const { Overrides } = (entry?.['UpstreamConfig'] ?? {}) as {
    readonly Overrides?:
      | readonly { readonly Name: string; readonly PassiveHealthCheck?: { readonly MaxFailures?: number } }[]
      | null;
  };
  return new Map(
    (Overrides ?? []).flatMap(({ Name, PassiveHealthCheck }) =>
      PassiveHealthCheck?.MaxFailures === undefined ? [] : [[Name, PassiveHealthCheck.MaxFailures] as const],
    ),
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
