/** What WireGuard itself says of its links. No private key ever leaves a gateway. */
import { hostCidr } from '../../model/addressing.ts';
import type { Fleet, Gateway } from '../../model/cluster.ts';
import { areNeighbours } from '../../model/topology.ts';
import { INTERFACE_PATTERN, interfaceName, tunnelAddresses } from './configuration.ts';

/** What `wg show <interface> dump` says of each peer; the line before them holds the private key, and stays where it is. */
const DUMP_PEERS = `dump=$(wg show "$1" dump) && printf '%s\\n' "$dump" | sed 1d`;

/** A neighbour as the gateway has it configured now: its endpoint may have roamed. */
export interface Peer {
  readonly publicKey: string;
  readonly presharedKey?: string;
  readonly endpoint?: string;
  readonly allowedIps: readonly string[];
  /** Seconds since the epoch; 0 is never. */
  readonly lastHandshake: number;
  /** Seconds, or `off`. */
  readonly keepalive: string;
}

async function showPeers(gateway: Gateway, tunnel: string): Promise<Peer[]> {
  const text = await gateway.exec(['sh', '-c', DUMP_PEERS, 'sh', tunnel]);
  return text.split('\n').filter(Boolean).map(parsePeer);
}

function parsePeer(line: string): Peer {
  const [publicKey = '', presharedKey, endpoint, blocks, handshake, , , keepalive = 'off'] = line
    .split('\t')
    .map((field) => (field === '(none)' ? undefined : field));
  return {
    publicKey,
    allowedIps: blocks?.split(',') ?? [],
    lastHandshake: Number(handshake ?? 0),
    keepalive,
    ...(endpoint !== undefined && { endpoint }),
    ...(presharedKey !== undefined && { presharedKey }),
  };
}

/** By public key, seconds since the epoch; 0 is never. */
export async function latestHandshakes(gateway: Gateway, tunnel: string): Promise<Map<string, number>> {
  const peers = await showPeers(gateway, tunnel);
  return new Map(peers.map(({ publicKey, lastHandshake }) => [publicKey, lastHandshake]));
}

/**
 * Neighbours by cluster, as the gateway has them configured now. They are told apart by their tunnel addresses, not by
 * keys: these are known only to the process that joined, and one may have been replaced since.
 */
export async function peersOf(gateway: Gateway, fleet: Fleet): Promise<Map<string, Peer>> {
  const tunnel = interfaceName(fleet, gateway.cluster);
  const neighbours = fleet.clusters
    .map(({ name }) => name)
    .filter((name) => areNeighbours(fleet.topology, gateway.cluster, name));
  const peers = new Map<string, Peer>();
  for (const peer of await showPeers(gateway, tunnel)) {
    const cluster = neighbours.find((name) =>
      tunnelAddresses(fleet, name).some((address) => peer.allowedIps.includes(hostCidr(address))),
    );
    if (cluster !== undefined) peers.set(cluster, peer);
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
