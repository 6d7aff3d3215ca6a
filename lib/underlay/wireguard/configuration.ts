/** The configuration of a gateway, computed from the fleet alone. Pure. */
import { addressesAt, hostCidr } from '../../model/addressing.ts';
import { InternalError } from '../../model/errors.ts';
import { areNeighbours } from '../../model/topology.ts';
import {
  type Network,
  type Place,
  ROUTE_METRIC,
  lines,
  placesOf,
  rangesOf,
  renderClosed,
  renderSegments,
  renderTable,
} from '../routing.ts';
import type { KeyPair } from './keys.ts';

export const LISTEN_PORT = 51820;
/**
 * A wan of 1500 bytes less 80: IPv6 header 40, UDP 8, WireGuard 32. An IPv4 header would leave 20 more; the same value
 * for both keeps the tunnel from depending on the family outside.
 */
export const TUNNEL_MTU = 1420;
/** Keeps mappings of stateful filters on the way alive: they forget UDP after 30 s at the earliest. */
const KEEPALIVE_SECONDS = 25;

/** Another gateway at the far end of a tunnel. */
export interface Neighbour {
  readonly cluster: string;
  readonly endpoint: string;
  /** What may come from it, and what is sent to it. */
  readonly allowedIps: readonly string[];
  /**
   * 0 where the other end does it. One end keeps a link alive and so begins its handshake: if both began at the same
   * moment, each would drop the other's answer and wait for 5 s.
   */
  readonly keepaliveSeconds: number;
}

/** Holds no key, so it may go anywhere. */
export interface Configuration {
  readonly cluster: string;
  readonly interface: string;
  readonly listenPort: number;
  readonly mtu: number;
  /** Its own addresses on the tunnel, as host routes: the hops that a trace shows. */
  readonly addresses: readonly string[];
  readonly neighbours: readonly Neighbour[];
  /** What the tunnel carries. */
  readonly routes: readonly string[];
  /** What must never leave by another way. */
  readonly closed: readonly string[];
  /** nftables rules; empty when there are none. */
  readonly rules: string;
  readonly transit: boolean;
}

export interface ConfigurationOptions {
  /** Lower the MSS of forwarded TCP connections to what the path's MTU allows (RFC 4459, section 3.2). */
  readonly clampMss: boolean;
}

/**
 * Unique on the machine: wireguard-go keeps the sockets of all network namespaces in one folder. 15 characters at most
 * (IFNAMSIZ less the final zero).
 */
export function interfaceName(network: Network, cluster: string): string {
  return `wg${network.run}${indexOf(network, cluster)}`;
}

/** Recognises what `interfaceName` gives. */
export const INTERFACE_PATTERN = /^wg[a-z][a-z0-9]{5}\d{1,3}$/;

function indexOf(network: Network, cluster: string): number {
  const index = network.clusters.findIndex(({ name }) => name === cluster);
  if (index === -1) throw new InternalError(`there is no cluster "${cluster}" in this fleet`);
  return index;
}

/** The addresses of a gateway's tunnel interface in the families in use; IPv4 first. */
export function tunnelAddresses(network: Network, cluster: string): string[] {
  const addresses = addressesAt(network.plan.tunnel, indexOf(network, cluster) + 1);
  return [addresses.ipv4, addresses.ipv6].filter(
    (address, index) => address !== undefined && network.families.includes(index === 0 ? 'ipv4' : 'ipv6'),
  ) as string[];
}

/** The hub first: of a link, the end that comes later begins, so that spokes call their hub. */
function joinOrder(network: Network): string[] {
  const { hub } = network.topology;
  return network.clusters.map(({ name }) => name).toSorted((a, b) => Number(b === hub) - Number(a === hub));
}

/** Configurations of all gateways, by cluster, the hub first. */
export function configurationsOf(
  network: Network,
  options: ConfigurationOptions,
): ReadonlyMap<string, Configuration> {
  const places = placesOf(network);
  const order = joinOrder(network);
  return new Map(
    order.map((name) => [name, configurationOf(network, name, places.get(name) as Place, order, options)]),
  );
}

function configurationOf(
  network: Network,
  name: string,
  place: Place,
  order: readonly string[],
  { clampMss }: ConfigurationOptions,
): Configuration {
  const hosts = (cluster: string): string[] => tunnelAddresses(network, cluster).map(hostCidr);
  const everythingOf = (cluster: string): string[] => [...rangesOf(network, cluster), ...hosts(cluster)];
  const others = network.clusters.map((cluster) => cluster.name).filter((other) => other !== name);

  const neighbours = others
    .filter((other) => areNeighbours(network.topology, name, other))
    .map((neighbour): Neighbour => {
      const behind = others.filter((other) => place.nextHops.get(other) === neighbour);
      return {
        cluster: neighbour,
        endpoint: endpointOf(network, neighbour),
        // Its own tunnel address always: a transit gateway's ICMP errors come from there, whatever it may reach itself.
        allowedIps: [...new Set([...hosts(neighbour), ...behind.flatMap(everythingOf)])],
        keepaliveSeconds: order.indexOf(name) > order.indexOf(neighbour) ? KEEPALIVE_SECONDS : 0,
      };
    });
  const tunnel = interfaceName(network, name);
  return {
    cluster: name,
    interface: tunnel,
    listenPort: LISTEN_PORT,
    mtu: TUNNEL_MTU,
    addresses: hosts(name),
    neighbours,
    routes: neighbours.flatMap(({ allowedIps }) => allowedIps),
    closed: [...others.flatMap((other) => rangesOf(network, other)), ...tunnelRanges(network)],
    rules:
      (clampMss ? renderClamping(tunnel) : '') +
      // From this gateway's own tunnel address come the ICMP errors about other clusters' packets: never refused.
      renderSegments(place, (cluster) =>
        cluster === name ? rangesOf(network, cluster) : everythingOf(cluster),
      ),
    transit: place.transit,
  };
}

function tunnelRanges(network: Network): string[] {
  return network.families.map((family) => network.plan.tunnel[family]).filter((range) => range !== undefined);
}

/** IPv4 outside where there is a choice. */
function endpointOf(network: Network, cluster: string): string {
  const { ipv4, ipv6 } = network.clusters[indexOf(network, cluster)]?.gateway.wanAddresses ?? {};
  if (ipv4 === undefined && ipv6 === undefined) {
    throw new InternalError(`the gateway of ${cluster} has no address on the wan`);
  }
  return ipv4 === undefined ? `[${ipv6}]:${LISTEN_PORT}` : `${ipv4}:${LISTEN_PORT}`;
}

/** `rt mtu` is the smaller MTU of both directions' routes, so one rule each way serves SYN and SYN-ACK alike. */
function renderClamping(tunnel: string): string {
  const clamp = 'tcp flags syn / syn,rst tcp option maxseg size set rt mtu';
  return renderTable('mcnet_mss', [
    '  chain forward {',
    '    type filter hook forward priority mangle; policy accept;',
    `    iifname "${tunnel}" ${clamp}`,
    `    oifname "${tunnel}" ${clamp}`,
    '  }',
  ]);
}

/** For `wg setconf`. Holds the private key: for a file of mode 0600 only. Begins no handshake yet. */
export function renderPeers(configuration: Configuration, keys: ReadonlyMap<string, KeyPair>): string {
  return lines([
    '[Interface]',
    `PrivateKey = ${keysOf(keys, configuration.cluster).privateKey}`,
    `ListenPort = ${configuration.listenPort}`,
    ...configuration.neighbours.flatMap((neighbour) => [
      '',
      `# ${neighbour.cluster}`,
      '[Peer]',
      `PublicKey = ${keysOf(keys, neighbour.cluster).publicKey}`,
      `Endpoint = ${neighbour.endpoint}`,
      `AllowedIPs = ${neighbour.allowedIps.join(', ')}`,
    ]),
  ]);
}

/** For `wg set`: switches keepalives on, the first of which leaves at once and begins the handshake. */
export function keepaliveWords(
  configuration: Configuration,
  keys: ReadonlyMap<string, KeyPair>,
): readonly string[] {
  return configuration.neighbours
    .filter(({ keepaliveSeconds }) => keepaliveSeconds > 0)
    .flatMap(({ cluster, keepaliveSeconds }) => [
      'peer',
      keysOf(keys, cluster).publicKey,
      'persistent-keepalive',
      String(keepaliveSeconds),
    ]);
}

export function keysOf(keys: ReadonlyMap<string, KeyPair>, cluster: string): KeyPair {
  const pair = keys.get(cluster);
  if (!pair) throw new InternalError(`there are no keys for the gateway of ${cluster}`);
  return pair;
}

/** For `ip -batch`: the interface with its MTU and addresses; nothing leads there yet. Every line may be repeated. */
export function renderInterface(
  configuration: Pick<Configuration, 'interface' | 'mtu' | 'addresses' | 'closed'>,
): string {
  const dev = `dev ${configuration.interface}`;
  return (
    renderClosed(configuration.closed) +
    lines([
      `link set ${dev} mtu ${configuration.mtu}`,
      // A link-local address would make a transit gateway send IPv6 redirects between its spokes.
      ...(configuration.addresses.some((address) => address.includes(':'))
        ? [`link set ${dev} addrgenmode none`, `address flush ${dev} scope link`]
        : []),
      `link set ${dev} up`,
      ...configuration.addresses.map(
        (address) => `address replace ${address} ${dev}${address.includes(':') ? ' nodad' : ''}`,
      ),
    ])
  );
}

/** For `ip -batch`: what leads through the tunnel. Every line may be repeated. */
export const renderRoutes = ({
  interface: tunnel,
  routes,
}: Pick<Configuration, 'interface' | 'routes'>): string =>
  lines(routes.map((range) => `route replace ${range} dev ${tunnel} metric ${ROUTE_METRIC}`));
