/** What WireGuard itself says of its links. Never reads a private key. */
import { hostCidr } from '../../model/addressing.ts';
import type { Fleet, Gateway } from '../../model/cluster.ts';
import { areNeighbours } from '../../model/topology.ts';
import { execEach } from '../gateways.ts';
import { INTERFACE_PATTERN, interfaceName, tunnelAddresses } from './configuration.ts';

type Shown = 'allowed-ips' | 'persistent-keepalive' | 'endpoints' | 'preshared-keys' | 'latest-handshakes';

/** Lines of `wg show <interface> <what>`, of each what: by public key the rest of the line. */
async function showPeers<S extends Shown>(
  gateway: Gateway,
  tunnel: string,
  whats: readonly S[],
): Promise<Record<S, Map<string, string>>> {
  const texts = await execEach(
    gateway,
    whats.map((what) => ['wg', 'show', tunnel, what]),
  );
  const shown = whats.map((what, index) => [what, parsePeers(texts[index] ?? '')]);
  return Object.fromEntries(shown) as Record<S, Map<string, string>>;
}

const parsePeers = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line.includes('\t'))
      .map((line) => [line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1)]),
  );

/** By public key, seconds since the epoch; 0 is never. */
export async function latestHandshakes(gateway: Gateway, tunnel: string): Promise<Map<string, number>> {
  const shown = await showPeers(gateway, tunnel, ['latest-handshakes']);
  return new Map([...shown['latest-handshakes']].map(([key, seconds]) => [key, Number(seconds)]));
}

/** A neighbour as the gateway has it configured now. */
export interface Peer {
  readonly publicKey: string;
  /** Seconds, or `off`. */
  readonly keepalive: string;
  readonly allowedIps: readonly string[];
  /** As it is now: a peer may have roamed. */
  readonly endpoint?: string;
  readonly presharedKey?: string;
  /** Seconds since the epoch; 0 is never. */
  readonly lastHandshake: number;
}

/**
 * Neighbours by cluster, as the gateway has them configured now. They are told apart by their tunnel addresses, not by
 * keys: these are known only to the process that joined, and one may have been replaced since.
 */
export async function peersOf(gateway: Gateway, fleet: Fleet): Promise<Map<string, Peer>> {
  const tunnel = interfaceName(fleet, gateway.cluster);
  const shown = await showPeers(gateway, tunnel, [
    'allowed-ips',
    'persistent-keepalive',
    'endpoints',
    'preshared-keys',
    'latest-handshakes',
  ]);
  const neighbours = fleet.clusters
    .map(({ name }) => name)
    .filter((name) => areNeighbours(fleet.topology, gateway.cluster, name));
  const peers = new Map<string, Peer>();
  const present = (value: string | undefined): string | undefined => (value === '(none)' ? undefined : value);
  for (const [publicKey, blocks] of shown['allowed-ips']) {
    const allowedIps = blocks.split(' ');
    const cluster = neighbours.find((name) =>
      tunnelAddresses(fleet, name).some((address) => allowedIps.includes(hostCidr(address))),
    );
    if (cluster === undefined) continue;
    const endpoint = present(shown.endpoints.get(publicKey));
    const presharedKey = present(shown['preshared-keys'].get(publicKey));
    peers.set(cluster, {
      publicKey,
      allowedIps,
      keepalive: shown['persistent-keepalive'].get(publicKey) ?? 'off',
      lastHandshake: Number(shown['latest-handshakes'].get(publicKey) ?? 0),
      ...(endpoint !== undefined && { endpoint }),
      ...(presharedKey !== undefined && { presharedKey }),
    });
  }
  return peers;
}

/** Seconds since the last handshake with each neighbour, by cluster; none where there never was one. */
export async function handshakeAges(
  gateway: Gateway,
  fleet: Fleet,
  nowMs: number,
): Promise<Record<string, number>> {
  const ages: Record<string, number> = {};
  for (const [cluster, { lastHandshake }] of await peersOf(gateway, fleet)) {
    if (lastHandshake > 0) ages[cluster] = Math.max(0, Math.round(nowMs / 1_000 - lastHandshake));
  }
  return ages;
}

/** The tunnel interface of a gateway of which only the gateway is known; undefined before it has joined. */
export async function findInterface(
  gateway: Gateway,
): Promise<{ name: string; kernel: boolean } | undefined> {
  const links = JSON.parse(await gateway.exec(['ip', '-json', '-details', 'link', 'show'])) as {
    ifname: string;
    linkinfo?: { info_kind?: string };
  }[];
  const found = links.find(({ ifname }) => INTERFACE_PATTERN.test(ifname));
  return found && { name: found.ifname, kernel: found.linkinfo?.info_kind === 'wireguard' };
}
