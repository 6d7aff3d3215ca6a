/**
 * Renders the shell scripts that build a lab: one per namespace, each run once as `sh -e -s`. Everything is created
 * inside namespaces, both ends of a veth included, so that the host sees no interface, address, route or sysctl.
 */
import { hostCidr } from '../../model/addressing.ts';
import { type IpFamily, type PerFamily, parseCidr } from '../../model/cidr.ts';
import {
  CLUSTER_INTERFACE,
  WAN_BRIDGE,
  WAN_INTERFACE,
  WORKLOAD_INTERFACE,
  netnsPath,
  wanPort,
  workloadPort,
} from './names.ts';

type Settings = readonly (readonly [string, string | number])[];

/** Set before any interface exists, so that those that come later (a tunnel's too) inherit them. */
function commonSettings(families: readonly IpFamily[]): Settings {
  return [
    ...['all', 'default'].flatMap((scope): Settings => [
      [`ipv4/conf/${scope}/rp_filter`, 0],
      [`ipv4/conf/${scope}/send_redirects`, 0],
      [`ipv4/conf/${scope}/accept_redirects`, 0],
      // Otherwise IPv6 says things of its own on every link of a run that does not use it.
      [`ipv6/conf/${scope}/disable_ipv6`, families.includes('ipv6') ? 0 : 1],
      [`ipv6/conf/${scope}/accept_ra`, 0],
      [`ipv6/conf/${scope}/accept_redirects`, 0],
      // Duplicate address detection makes every new address unusable for a second.
      [`ipv6/conf/${scope}/accept_dad`, 0],
    ]),
    // The default allows one ICMP error a second to each peer: too few for a sweep of path MTUs.
    ['ipv4/icmp_ratelimit', 0],
    ['ipv6/icmp/ratelimit', 0],
    ['ipv4/ping_group_range', '0 2147483647'],
  ];
}

const FORWARDING: Settings = [
  ['ipv4/ip_forward', 1],
  ['ipv6/conf/all/forwarding', 1],
  ['ipv6/conf/default/forwarding', 1],
];

/**
 * Seconds that a gateway remembers an exchange by UDP; the default of half a minute outlasts hundreds of lookups, and one
 * that gets the port of an earlier one would pass what has been put in the way of lookups since.
 */
const SHORT_MEMORY: Settings = [['netfilter/nf_conntrack_udp_timeout', 2]];

/** Where the host has loaded br_netfilter, bridged frames would pass the IP hooks a second time. */
const PLAIN_BRIDGES: Settings = [
  ['bridge/bridge-nf-call-iptables', 0],
  ['bridge/bridge-nf-call-ip6tables', 0],
  ['bridge/bridge-nf-call-arptables', 0],
];

/** Without IPv6 or br_netfilter in the kernel some files are missing: then there is nothing to set. */
function renderSettings(settings: Settings): string {
  return settings
    .map(([name, value]) =>
      `/proc/sys/net/${name}`.replace(/.*/, (file) => `[ ! -e ${file} ] || echo ${value} > ${file}`),
    )
    .join('\n');
}

const batch = (lines: readonly string[], netns?: string): string =>
  `ip ${netns ? `-n ${netns} ` : ''}-batch - <<'BATCH'\n${lines.join('\n')}\nBATCH`;

const inNewNetns = (netns: string, ...commands: readonly string[]): string =>
  `ip netns add ${netns}\nnsenter --net=${netnsPath(netns)} sh -e <<'INSIDE'\n${commands.join('\n')}\nINSIDE\n`;

const addressLines = (addresses: readonly string[], device: string): string[] =>
  addresses.map((address) => `addr add ${address} dev ${device}`);

const values = <T>(perFamily: PerFamily<T>): T[] => Object.values(perFamily);

/** The network between the gateways: one bridge, and nothing that could filter or answer. */
export function renderWan(netns: string): string {
  return inNewNetns(
    netns,
    renderSettings([...commonSettings([]), ...PLAIN_BRIDGES]),
    batch([`link add ${WAN_BRIDGE} type bridge mcast_snooping 0`, `link set ${WAN_BRIDGE} up`]),
  );
}

/** What tunnels in user space carry on two processors, in Mbit/s, and the least that a link is worth. */
const CARRIED_MEGABITS = 100;
const LEAST_MEGABITS = 10;

/**
 * The uplink of every gateway, so slow that all of them can be used at once. Without a limit the processor is one, and then
 * the longer way of workloads costs them a share of it that no real network takes. Not every kernel has the queue for it.
 */
function limitUplink(clusters: number): string {
  const megabits = Math.max(LEAST_MEGABITS, Math.round(CARRIED_MEGABITS / clusters));
  return `tc qdisc add dev ${WAN_INTERFACE} root tbf rate ${megabits}mbit burst 64kb latency 30ms 2> /dev/null || true`;
}

/**
 * Index of the uplink, which no port of the wan has. A port with the index of its other end looks to the kernel like no half of
 * anything: its carrier is looked at once a second only, and until then the bridge forwards nothing by it.
 */
const UPLINK_INDEX = 10_000;

export interface GatewayLayout {
  readonly cluster: string;
  readonly netns: string;
  readonly wanNetns: string;
  /** Place of the cluster in the fleet, from 0. */
  readonly index: number;
  readonly clusters: number;
  readonly families: readonly IpFamily[];
  /** With the prefix length of their ranges. */
  readonly podAddresses: PerFamily<string>;
  readonly wanAddresses: PerFamily<string>;
  readonly nodeAddresses: PerFamily<string>;
}

export function renderGateway(layout: GatewayLayout): string {
  const port = wanPort(layout.index);
  return inNewNetns(
    layout.netns,
    renderSettings([...commonSettings(layout.families), ...FORWARDING, ...SHORT_MEMORY, ...PLAIN_BRIDGES]),
    batch([
      'link set lo up',
      // With an address of its own the bridge does not take that of its ports, which would change as they come.
      `link add ${CLUSTER_INTERFACE} address ${bridgeMac(layout.index)} type bridge mcast_snooping 0`,
      ...addressLines(values(layout.podAddresses), CLUSTER_INTERFACE),
      `link set ${CLUSTER_INTERFACE} up`,
      ...addressLines(values(layout.nodeAddresses).map(hostCidr), 'lo'),
      `link add ${WAN_INTERFACE} index ${UPLINK_INDEX} type veth peer name ${port} netns ${layout.wanNetns}`,
      ...addressLines(values(layout.wanAddresses), WAN_INTERFACE),
      `link set ${WAN_INTERFACE} up`,
    ]),
    limitUplink(layout.clusters),
    batch(
      [
        `link set ${port} alias ${layout.cluster}`,
        `link set ${port} master ${WAN_BRIDGE}`,
        `link set ${port} up`,
      ],
      layout.wanNetns,
    ),
  );
}

/** Locally administered, the same for every run: seen only inside the cluster. */
function bridgeMac(index: number): string {
  const hex = index.toString(16).padStart(4, '0');
  return `02:6d:63:6e:${hex.slice(0, 2)}:${hex.slice(2)}`;
}

export interface WorkloadLayout {
  readonly key: string;
  readonly netns: string;
  readonly gatewayNetns: string;
  /** Place of the workload in its cluster, from 0. */
  readonly order: number;
  readonly families: readonly IpFamily[];
  readonly addresses: PerFamily<string>;
  readonly gatewayAddresses: PerFamily<string>;
}

/**
 * A host route only, and an isolated bridge port: every packet goes to the gateway, also to a neighbour, because its
 * forward hook is where policy and service addresses are.
 */
export function renderWorkload(layout: WorkloadLayout): string {
  const port = workloadPort(layout.order);
  return inNewNetns(
    layout.netns,
    renderSettings(commonSettings(layout.families)),
    batch([
      'link set lo up',
      `link add ${WORKLOAD_INTERFACE} type veth peer name ${port} netns ${layout.gatewayNetns}`,
      `link set ${WORKLOAD_INTERFACE} up`,
      ...addressLines(values(layout.addresses).map(hostCidr), WORKLOAD_INTERFACE),
      ...values(layout.gatewayAddresses).map(
        (address) => `route add default via ${address} dev ${WORKLOAD_INTERFACE} onlink`,
      ),
    ]),
    batch(
      [
        `link set ${port} alias ${layout.key}`,
        // A port needs no address; the bridge has them.
        `link set ${port} addrgenmode none`,
        `link set ${port} master ${CLUSTER_INTERFACE}`,
        `link set ${port} type bridge_slave isolated on`,
        `link set ${port} up`,
      ],
      layout.gatewayNetns,
    ),
  );
}

/** Address and prefix length of the range that it is taken from. */
export function withPrefix(addresses: PerFamily<string>, ranges: PerFamily<string>): PerFamily<string> {
  return Object.fromEntries(
    Object.entries(addresses).map(([family, address]) => [
      family,
      `${address}/${parseCidr(ranges[family as IpFamily] as string).prefix}`,
    ]),
  );
}
