/**
 * Faults that one nftables table in a gateway makes. Those of the wan strike where packets come in at the far gateway,
 * before anything there sees them: the bridge between the gateways belongs to the machine, and is left alone.
 */
import { type IpFamily, addressAt, firstOf, parseCidr } from '../../../model/cidr.ts';
import type { Cluster, Fleet, Gateway, KubernetesCluster, Workload } from '../../../model/cluster.ts';
import { InternalError, NotApplicableError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { prepareMendingAt } from '../../../model/mending.ts';
import { PORTS, keyOf } from '../../../model/workload.ts';
import { randomHex } from '../../../system/clock.ts';
import { type FaultOf, type Injection, clusterOf, workloadOf } from '../../../model/injection.ts';
import { SORTED, WAITING_BYTES, hasLimited, renderRemoval, renderShaper, showShaper } from '../../shaper.ts';
import { HEADER, addTable, answersPing, anyWorkload, ping, rangesOf, renderChain } from './injector.ts';

/** Before connection tracking, which would still note what is dropped later. */
const ARRIVAL = 'filter hook prerouting priority -450; policy accept;';
const FORWARD = 'filter hook forward priority filter; policy accept;';
const DEPARTURE = 'filter hook postrouting priority filter; policy accept;';
/** An IP header and that of an echo request, in bytes. */
const PING_OVERHEAD: Readonly<Record<IpFamily, number>> = { ipv4: 28, ipv6: 48 };
/** The finest share that can be asked for: one packet in so many. */
const SHARES = 100_000;
const EXCHANGE_MS = 1_000;
/** A payload that fits into the smallest MTU that IPv6 allows, headers included. */
const FLOODED_BYTES = 1_200;
const FRAGMENTED_BYTES = 60_000;
/** Packets a second: more than any machine sends. */
const AT_ONCE = 200_000;

interface OneWay {
  readonly from: string;
  readonly to: string;
  readonly workload?: string;
  readonly forwarded?: true;
}

/** Where packets from one cluster to another pass, and how to send some. */
interface Way {
  readonly gateway: Gateway;
  /** Chains in which the statement meets exactly these packets. */
  chains(statement: string): string;
  /** Whether any of `count` echo requests with this payload is answered. */
  ping(options: { count: number; payload?: number; intervalMs?: number }): Promise<boolean>;
  /** Where exactly these packets leave a gateway, and chains that meet them before. */
  exit(): Promise<{
    readonly gateway: Gateway;
    readonly interfaceName: string;
    readonly chains: (statement: string) => string;
  }>;
  /** Sends so many bytes at once, whether or not anybody wants them. */
  flood(bytes: number): Promise<unknown>;
  readonly family: IpFamily;
}

async function wayOf(fleet: Fleet, fault: OneWay): Promise<Way> {
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const family = receiver.gateway.wanAddresses.ipv4 === undefined ? 'ipv6' : 'ipv4';
  if (fault.forwarded) return forwardedWay(fleet, sender, receiver, family);
  return fault.workload === undefined
    ? wanWay(sender, receiver, family)
    : workloadWay(fleet, workloadOf(sender, fault.workload), receiver, family);
}

async function wanWay(sender: Cluster, receiver: Cluster, family: IpFamily): Promise<Way> {
  const { gateway } = receiver;
  const file = `/sys/class/net/${sender.gateway.wanInterface}/address`;
  const linkAddress = (await sender.gateway.exec(['cat', file])).trim();
  const send: Way['ping'] = ({ count, payload = 56, intervalMs = 2 }) =>
    ping(sender.gateway, [
      '-q',
      ...['-c', String(count), '-i', String(intervalMs / 1_000), '-s', String(payload), '-W', '0.5'],
      firstOf(gateway.wanAddresses),
    ]);
  return {
    gateway,
    chains: (statement) => renderChain('arrival', ARRIVAL, arrivals(gateway, linkAddress, statement)),
    exit: async () => ({
      gateway: sender.gateway,
      interfaceName: sender.gateway.wanInterface,
      chains: (statement) =>
        renderChain('departure', DEPARTURE, departures(sender.gateway, receiver, statement)),
    }),
    ping: send,
    // In fragments, which the kernel sends at once, however busy the machine is.
    flood: (bytes) => send({ count: Math.ceil(bytes / FRAGMENTED_BYTES), payload: FRAGMENTED_BYTES }),
    family,
  };
}

/**
 * Told by the link address that they come from, since without a tunnel they carry those of pods. Neighbour discovery
 * passes, or the other direction would soon stop too, for want of a link address.
 */
function arrivals(at: Gateway, linkAddress: string, statement: string): string[] {
  const arriving = `iifname "${at.wanInterface}" ether saddr ${linkAddress}`;
  return [
    `${arriving} icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
    `${arriving} ${statement}`,
  ];
}

/** In a tunnel, or as they are where there is none. */
function departures(at: Gateway, receiver: Cluster, statement: string): string[] {
  return (Object.keys(HEADER) as IpFamily[]).flatMap((family) => {
    const present = [receiver.gateway.wanAddresses[family], rangesOf(receiver, family)].filter(Boolean);
    return present.length === 0
      ? []
      : [`oifname "${at.wanInterface}" ${HEADER[family]} daddr { ${present.join(', ')} } ${statement}`];
  });
}

/** What a gateway passes on to the receiver, of those that the match names. */
const forwardChains =
  (fleet: Fleet, receiver: Cluster, from: (family: IpFamily) => string): Way['chains'] =>
  (statement) =>
    renderChain(
      'forward',
      FORWARD,
      fleet.families.map(
        (one) => `${from(one)} ${HEADER[one]} daddr { ${rangesOf(receiver, one)} } ${statement}`,
      ),
    );

function workloadWay(
  fleet: Fleet,
  { cluster, addresses, probe }: Workload,
  receiver: Cluster,
  family: IpFamily,
): Way {
  const { gateway } = clusterOf(fleet, cluster);
  const chains = forwardChains(fleet, receiver, (one) => `${HEADER[one]} saddr ${addresses[one]}`);
  return throughGateway(
    { gateway, probe, receiver, family, chains },
    firstOf(anyWorkload(receiver).addresses),
  );
}

/** Whatever comes from its own cluster: of a technology's gateway nobody here knows which packets are whose. */
function forwardedWay(fleet: Fleet, sender: Cluster, receiver: Cluster, family: IpFamily): Way {
  const { gateway } = sender;
  const chains = forwardChains(fleet, receiver, () => `iifname "${gateway.clusterInterface}"`);
  // Not every technology routes pods: nodes, and the gateway among them, are reached over all.
  const target = firstOf(receiver.gateway.nodeAddresses);
  return throughGateway({ gateway, probe: anyWorkload(sender).probe, receiver, family, chains }, target);
}

/** @param flooded the address of somebody over there who may get more than it wants */
function throughGateway(
  {
    gateway,
    probe,
    receiver,
    family,
    chains,
  }: Pick<Way, 'gateway' | 'family' | 'chains'> & Pick<Workload, 'probe'> & { readonly receiver: Cluster },
  flooded: string,
): Way {
  return {
    gateway,
    chains,
    exit: async () => ({
      gateway,
      interfaceName: await interfaceTowards(gateway, firstOf(receiver.gateway.nodeAddresses)),
      chains,
    }),
    async ping({ count, payload, intervalMs = 20 }) {
      const { received } = await probe.ping({
        address: firstOf(receiver.gateway.nodeAddresses),
        count,
        intervalMs,
        timeoutMs: 1_000,
        ...(payload !== undefined && { payload }),
      });
      return received > 0;
    },
    // UDP in whole packets: not every network of pods carries fragments of ICMP (Cilium's does not).
    flood: (bytes) =>
      probe.burst({
        address: flooded,
        port: PORTS.echo,
        count: Math.ceil(bytes / FLOODED_BYTES),
        packetsPerSecond: AT_ONCE,
        payload: FLOODED_BYTES,
      }),
    family,
  };
}

async function interfaceTowards(gateway: Gateway, address: string): Promise<string> {
  const shown = await gateway.exec(['ip', '-json', 'route', 'get', address]);
  const [route] = JSON.parse(shown) as { dev?: string }[];
  if (route?.dev === undefined) throw new InternalError(`${gateway.cluster} has no route to ${address}`);
  return route.dev;
}

const shareOf = (share: number): string => `numgen random mod ${SHARES} < ${Math.round(share * SHARES)}`;
/** So many packets that a share of them meets one as good as surely, and no more than pass in a moment. */
const enoughFor = (share: number): number => Math.min(2_000, Math.ceil(7 / share));

export async function dropOnWan(injection: Injection<FaultOf<'wan-drop'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const back = { from: fault.to, to: fault.from };
  const ways = [await wayOf(fleet, fault), ...(fault.both ? [await wayOf(fleet, back)] : [])];
  const tables: Awaited<ReturnType<typeof addTable>>[] = [];
  for (const way of ways)
    tables.push(await addTable(injection, way.gateway, 'inet', way.chains('counter drop')));
  return {
    async tookHold() {
      for (const [index, way] of ways.entries()) {
        if ((await way.ping({ count: 1 })) || !(await tables[index]?.counted())) return false;
      }
      return true;
    },
    async mend() {
      for (const { mend } of tables) await mend();
    },
  };
}

export async function loseOnWan(injection: Injection<FaultOf<'wan-loss'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const way = await wayOf(fleet, fault);
  const chains = way.chains(`${shareOf(fault.share)} counter drop`);
  const { mend, counted } = await addTable(injection, way.gateway, 'inet', chains, 'nftables at random');
  return {
    async tookHold() {
      await way.ping({ count: enoughFor(fault.share) });
      return counted();
    },
    mend,
  };
}

export async function limitRate(injection: Injection<FaultOf<'rate-limited'>>): Promise<Disturbance> {
  const { fleet, fault, ledger } = injection;
  const way = await wayOf(fleet, fault);
  const { gateway, interfaceName, chains } = await way.exit();
  const endShaper = await prepareMendingAt(
    gateway,
    { fault, id: randomHex(4), means: 'a shaper (tc htb)' },
    renderRemoval(interfaceName),
    ledger,
  );
  await gateway.exec(['tc', '-batch', '-'], { input: renderShaper(interfaceName, fault.megabits) });
  const { mend: endSorting } = await addTable(injection, gateway, 'inet', chains(SORTED));
  return {
    async tookHold() {
      await way.flood(WAITING_BYTES);
      return hasLimited(await gateway.exec(showShaper(interfaceName)));
    },
    async mend() {
      await endSorting();
      await endShaper();
    },
  };
}

export async function dropLargePackets(
  injection: Injection<FaultOf<'large-packets-dropped'>>,
): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const way = await wayOf(fleet, fault);
  const chains = way.chains(`meta length > ${fault.above} counter drop`);
  const { mend } = await addTable(injection, way.gateway, 'inet', chains);
  const passes = (bytes: number): Promise<boolean> =>
    way.ping({ count: 1, payload: bytes - PING_OVERHEAD[way.family] });
  return {
    tookHold: async () => !(await passes(fault.above + 1)) && (await passes(fault.above)),
    mend,
  };
}

/** From other clusters: inside its own a pod is reached past the gateway. */
export async function cutWorkload(injection: Injection<FaultOf<'workload-cut'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const workload = workloadOf(cluster, fault.workload);
  const caller = anyWorkload(otherThan(fleet, fault.cluster));
  const chains = renderChain(
    'forward',
    FORWARD,
    fleet.families.map((family) => `${HEADER[family]} daddr ${workload.addresses[family]} counter drop`),
  );
  const { mend, counted } = await addTable(injection, cluster.gateway, 'inet', chains);
  const address = firstOf(workload.addresses);
  return {
    async tookHold() {
      const { received } = await caller.probe.ping({ address, count: 1, timeoutMs: 500 });
      return received === 0 && (await counted()) && (await answersPing(cluster.gateway, address));
    },
    mend,
  };
}

/** The last of several, at the gateway of its cluster: within the cluster it is as good as the others. */
export async function cutNode(injection: Injection<FaultOf<'node-cut'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster) as KubernetesCluster;
  const nodes = await cluster.nodes();
  const node = nodes.at(-1);
  if (!node || nodes.length < 2) {
    throw new NotApplicableError(`${cluster.name} has no second node: \`--nodes 2\``);
  }
  const caller = anyWorkload(otherThan(fleet, fault.cluster));
  const ranges = fleet.families.flatMap((family) => {
    const range = node.podRanges[family];
    return range === undefined ? [] : [{ family, range }];
  });
  const chains = renderChain(
    'forward',
    FORWARD,
    ranges.flatMap(({ family, range }) =>
      ['daddr', 'saddr'].map((end) => `${HEADER[family]} ${end} ${range} counter drop`),
    ),
  );
  const { mend, counted } = await addTable(injection, cluster.gateway, 'inet', chains);
  return {
    async tookHold() {
      const [first] = ranges;
      if (!first) return false;
      // Whoever has that address, or nobody: what counts is that the gateway has dropped it.
      const address = addressAt(parseCidr(first.range), 1);
      const { received } = await caller.probe.ping({ address, count: 1, timeoutMs: 500 });
      return received === 0 && (await counted());
    },
    mend,
  };
}

function otherThan(fleet: Fleet, name: string): Cluster {
  const other = fleet.clusters.find((cluster) => cluster.name !== name);
  if (!other) throw new InternalError(`nobody could call ${name}`);
  return other;
}

const call = async (from: Workload, address: string) => {
  const [exchange] = await from.probe.exchange([
    { protocol: 'tcp', address, port: PORTS.echo, timeoutMs: EXCHANGE_MS },
  ]);
  return exchange;
};

/** Two that talk while nothing is broken: policies of the run keep others apart. */
async function talkingPair(
  sender: Cluster,
  receiver: Cluster,
): Promise<{ readonly caller: Workload; readonly target: Workload }> {
  for (const caller of sender.workloads) {
    const exchanges = await caller.probe.exchange(
      receiver.workloads.map(({ addresses }) => ({
        protocol: 'tcp',
        address: firstOf(addresses),
        port: PORTS.echo,
        timeoutMs: EXCHANGE_MS,
      })),
    );
    const target = receiver.workloads[exchanges.findIndex(({ outcome }) => outcome === 'answered')];
    if (target) return { caller, target };
  }
  throw new InternalError(`no workload of ${sender.name} is answered by one of ${receiver.name}`);
}

/**
 * To an address of the pod range that no node hands out. One of the gateway's own would not do: the Docker engine
 * masquerades what comes from a range of its networks and leaves by another, bridged packets too, so answers went to the
 * machine and never back through the tunnel.
 */
export async function rewriteSource(injection: Injection<FaultOf<'source-rewritten'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const { caller, target } = await talkingPair(sender, receiver);
  const chains = renderChain(
    'postrouting',
    'nat hook postrouting priority srcnat; policy accept;',
    fleet.families.map((family) => {
      const header = HEADER[family];
      const pods = sender.ranges.pods[family] as string;
      const unused = addressAt(parseCidr(pods), -2);
      return `${header} saddr ${pods} ${header} daddr { ${rangesOf(receiver, family)} } snat ${header} to ${unused}`;
    }),
  );
  const { mend } = await addTable(injection, sender.gateway, 'inet', chains);
  return {
    async tookHold() {
      const source = (await call(caller, firstOf(target.addresses)))?.seenSource?.address;
      return source !== undefined && !Object.values(caller.addresses).includes(source);
    },
    mend,
  };
}

/** Answers have to come back by the gateway, so the namesake sees the gateway's address. */
export async function answerFromElsewhere(
  injection: Injection<FaultOf<'wrong-answerer'>>,
): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const here = clusterOf(fleet, fault.at);
  const namesake = workloadOf(here, fault.workload);
  const target = workloadOf(clusterOf(fleet, fault.cluster), fault.workload);
  const caller = here.workloads.find(({ spec }) => keyOf(spec) !== fault.workload);
  if (!caller) throw new InternalError(`cluster ${here.name} has nobody else to call ${fault.workload}`);
  const rules = (render: (header: string, own: string, other: string) => string): string[] =>
    fleet.families.flatMap((family) => {
      const [own, other] = [namesake.addresses[family], target.addresses[family]];
      return own === undefined || other === undefined ? [] : [render(HEADER[family], own, other)];
    });
  const chains = [
    renderChain(
      'prerouting',
      'nat hook prerouting priority dstnat - 1; policy accept;',
      rules((header, own, other) => `${header} daddr ${other} dnat ${header} to ${own}`),
    ),
    renderChain(
      'postrouting',
      'nat hook postrouting priority srcnat - 1; policy accept;',
      rules((header, own) => `ct status dnat ${header} daddr ${own} masquerade`),
    ),
  ].join('\n');
  const { mend } = await addTable(injection, here.gateway, 'inet', chains);
  return {
    async tookHold() {
      const exchange = await call(caller, firstOf(target.addresses));
      return exchange?.outcome === 'answered' && exchange.answeredBy?.cluster === here.name;
    },
    mend,
  };
}

export async function duplicate(injection: Injection<FaultOf<'duplicated'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const [caller, target] = [anyWorkload(sender), anyWorkload(receiver)];
  // `dup` exists per family only.
  const tables: Awaited<ReturnType<typeof addTable>>[] = [];
  for (const family of fleet.families) {
    const header = HEADER[family];
    const via = await nextHopAt(receiver.gateway, target.addresses[family]);
    const flow = `${header} saddr { ${rangesOf(sender, family)} } ${header} daddr ${receiver.ranges.pods[family]}`;
    const rule = `${flow} ${shareOf(fault.share)} counter dup to ${via} device "${receiver.gateway.clusterInterface}"`;
    tables.push(await addTable(injection, receiver.gateway, header, renderChain('forward', FORWARD, [rule])));
  }
  return {
    async tookHold() {
      await caller.probe.ping({
        address: firstOf(target.addresses),
        count: enoughFor(fault.share),
        intervalMs: 10,
      });
      const counted = await Promise.all(tables.map((table) => table.counted()));
      return counted.includes(true);
    },
    async mend() {
      for (const { mend } of tables) await mend();
    },
  };
}

/** The node that has a pod. */
async function nextHopAt(gateway: Gateway, address: string | undefined): Promise<string> {
  const [route] = JSON.parse(await gateway.exec(['ip', '-json', 'route', 'get', address ?? ''])) as {
    gateway?: string;
  }[];
  if (route?.gateway === undefined)
    throw new InternalError(`the gateway of ${gateway.cluster} has no way to ${address}`);
  return route.gateway;
}
