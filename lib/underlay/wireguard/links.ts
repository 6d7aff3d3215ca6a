/** What WireGuard itself says of its links. Never reads a private key. */
import { hostCidr } from '../../model/addressing.ts';
import type { Fleet, Gateway } from '../../model/cluster.ts';
import { areNeighbours } from '../../model/topology.ts';
import { INTERFACE_PATTERN, interfaceName, tunnelAddresses } from './configuration.ts';

/** Lines of `wg show <interface> <what>`: by public key the rest of the line. */
async function showPeers(gateway: Gateway, tunnel: string, what: string): Promise<Map<string, string>> {
  const text = await gateway.exec(['wg', 'show', tunnel, what]);
  return new Map(
    text
      .split('\n')
      .filter((line) => line.includes('\t'))
      .map((line) => [line.slice(0, line.indexOf('\t')), line.slice(line.indexOf('\t') + 1)]),
  );
}

/** By public key, seconds since the epoch; 0 is never. */
export async function latestHandshakes(gateway: Gateway, tunnel: string): Promise<Map<string, number>> {
  const shown = await showPeers(gateway, tunnel, 'latest-handshakes');
  return new Map([...shown].map(([key, seconds]) => [key, Number(seconds)]));
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
}

/**
 * Neighbours by cluster, as the gateway has them configured now. They are told apart by their tunnel addresses, not by
 * keys: these are known only to the process that joined, and one may have been replaced since.
 */
export async function peersOf(gateway: Gateway, fleet: Fleet): Promise<Map<string, Peer>> {
  const tunnel = interfaceName(fleet, gateway.cluster);
  const [allowed, keepalives, endpoints, presharedKeys] = await Promise.all(
    ['allowed-ips', 'persistent-keepalive', 'endpoints', 'preshared-keys'].map((what) =>
      showPeers(gateway, tunnel, what),
    ),
  );
  const neighbours = fleet.clusters
    .map(({ name }) => name)
    .filter((name) => areNeighbours(fleet.topology, gateway.cluster, name));
  const peers = new Map<string, Peer>();
  const present = (value: string | undefined): string | undefined => (value === '(none)' ? undefined : value);
  for (const [publicKey, blocks] of allowed ?? []) {
    const allowedIps = blocks.split(' ');
    const cluster = neighbours.find((name) =>
      tunnelAddresses(fleet, name).some((address) => allowedIps.includes(hostCidr(address))),
    );
    if (cluster === undefined) continue;
    const endpoint = present(endpoints?.get(publicKey));
    const presharedKey = present(presharedKeys?.get(publicKey));
    peers.set(cluster, {
      publicKey,
      allowedIps,
      keepalive: keepalives?.get(publicKey) ?? 'off',
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
  const [peers, latest] = await Promise.all([
    peersOf(gateway, fleet),
    latestHandshakes(gateway, interfaceName(fleet, gateway.cluster)),
  ]);
  const ages: Record<string, number> = {};
  for (const [cluster, { publicKey }] of peers) {
    const seconds = latest.get(publicKey);
    if (seconds) ages[cluster] = Math.max(0, Math.round(nowMs / 1_000 - seconds));
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
