/**
 * A tunnel of a fault's own, by which packets can be held on their way without a change to the tunnel under test: they go
 * into one interface, through a relay on the loopback interface, and out of the other. Pure.
 */

export const MEANS = 'a user-space relay between two WireGuard interfaces';
export const START_MS = 10_000;
/** Ports of the relay, in pairs, and routing tables: each detour draws its own. */
export const FIRST_PORT = 20_000;
export const PORT_PAIRS = 10_000;
export const FIRST_TABLE = 10_000;
export const TABLES = 10_000;
/** Whose preference comes before that of the main table. */
export const RULE_PREFERENCE = 900;

/** Of the networks here; the loopback interface takes what a packet grows by. */
const MTU = 1_500;

export interface Detour {
  /** Names of the two interfaces, made and without a configuration. */
  readonly into: string;
  readonly out: string;
  /** UDP port of the relay on 127.0.0.1; the far end has the next one. */
  readonly port: number;
}

/** Lines for a shell that configure both interfaces and set them up. */
export const renderDetour = ({ into, out, port }: Detour): string[] => [
  'a=$(wg genkey); b=$(wg genkey); pa=$(echo "$a" | wg pubkey); pb=$(echo "$b" | wg pubkey)',
  `echo "$a" | wg set ${into} private-key /dev/stdin peer "$pb" endpoint 127.0.0.1:${port} allowed-ips 0.0.0.0/0,::/0`,
  `echo "$b" | wg set ${out} listen-port ${port + 1} private-key /dev/stdin peer "$pa" allowed-ips 0.0.0.0/0,::/0`,
  ...[into, out].map((name) => `ip link set ${name} mtu ${MTU} addrgenmode none up`),
];

/** How far packets that are held fall behind: long enough to be overtaken at a moderate rate, short enough to be no loss. */
export const HELD_MS = 20;

/** Pings of which, by this share, some come in another order as good as surely. */
export const pingsFor = (share: number): number => Math.min(1_000, Math.max(200, Math.ceil(7 / share)));
