/** Faults that one nftables table makes: packets dropped, policed, doubled or rewritten on their way. */
import { RANGE_KINDS } from '../../../model/addressing.ts';
import { type IpFamily, firstOf } from '../../../model/cidr.ts';
import type { Fleet, Workload } from '../../../model/cluster.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { PORTS, keyOf } from '../../../model/workload.ts';
import type { LabCluster } from '../cluster.ts';
import { SORTED, WAITING_BYTES, hasLimited, renderRemoval, renderShaper, showShaper } from '../../shaper.ts';
import { CLUSTER_INTERFACE, WORKLOAD_INTERFACE, wanNetns, workloadNetns } from '../names.ts';
import { runInNetns } from '../namespace.ts';
import { type FaultOf, type Injection, workloadOf } from '../../../model/injection.ts';
import {
  addTable,
  addressesOf,
  answersPing,
  clusterOf,
  ping,
  portOf,
  prepareMending,
  refuseForwarded,
} from './injector.ts';

const HEADER: Readonly<Record<IpFamily, 'ip' | 'ip6'>> = { ipv4: 'ip', ipv6: 'ip6' };
/** An IP header and that of an echo request, in bytes. */
const PING_OVERHEAD: Readonly<Record<IpFamily, number>> = { ipv4: 28, ipv6: 48 };
/** The finest share that can be asked for: one packet in so many. */
const SHARES = 100_000;
const EXCHANGE_MS = 1_000;

/** Elements of a set: the ranges of a cluster in one family. */
const rangesOf = (cluster: LabCluster, family: IpFamily): string =>
  RANGE_KINDS.flatMap((kind) => cluster.ranges[kind][family] ?? []).join(', ');

const FORWARD = 'filter hook forward priority filter; policy accept;';
const OUTPUT = 'filter hook output priority filter; policy accept;';

const chain = (name: string, type: string, rules: readonly string[]): string =>
  [`  chain ${name} {`, `    type ${type}`, ...rules.map((rule) => `    ${rule}`), '  }'].join('\n');

/** Where packets from one cluster to another pass, and how to send some. */
interface Way {
  readonly family: 'bridge' | 'inet';
  readonly netns: string;
  readonly cluster: string;
  /** Chains in which the statement meets exactly these packets. */
  chains(statement: string): string;
  /** The interface that exactly these packets leave by last, and chains there. */
  readonly exit: {
    readonly netns: string;
    readonly interfaceName: string;
    chains(statement: string): string;
  };
  ping(...args: string[]): ReturnType<typeof ping>;
  readonly ipFamily: IpFamily;
}

function wayOf(
  fleet: Fleet,
  fault: {
    readonly from: string;
    readonly to: string;
    readonly workload?: string;
    readonly forwarded?: true;
    readonly both?: boolean;
  },
): Way {
  refuseForwarded(fault);
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const ipFamily = receiver.gateway.wanAddresses.ipv4 === undefined ? 'ipv6' : 'ipv4';
  if (fault.workload === undefined) {
    const ports = [portOf(fleet, fault.from), portOf(fleet, fault.to)] as const;
    const ways = fault.both ? [ports, ports.toReversed()] : [ports];
    return {
      family: 'bridge',
      netns: wanNetns(fleet.run),
      cluster: fault.from,
      chains: (statement) =>
        chain(
          'forward',
          FORWARD,
          ways.flatMap(([from, to]) => wanRules(from, to, statement)),
        ),
      exit: {
        netns: wanNetns(fleet.run),
        interfaceName: portOf(fleet, fault.to),
        chains: (statement) =>
          chain('forward', FORWARD, wanRules(portOf(fleet, fault.from), portOf(fleet, fault.to), statement)),
      },
      ping: (...args) => ping(sender.gateway.netns, [...args, firstOf(receiver.gateway.wanAddresses)]),
      ipFamily,
    };
  }
  const { spec, addresses } = workloadOf(sender, fault.workload);
  const netns = workloadNetns(fleet.run, sender.name, spec);
  const rules = (statement: string): string[] =>
    fleet.families.map(
      (family) =>
        `${HEADER[family]} saddr ${addresses[family]} ${HEADER[family]} daddr { ${rangesOf(receiver, family)} } ${statement}`,
    );
  return {
    family: 'inet',
    netns: sender.gateway.netns,
    cluster: fault.from,
    chains: (statement) => chain('forward', FORWARD, rules(statement)),
    exit: {
      netns,
      interfaceName: WORKLOAD_INTERFACE,
      chains: (statement) => chain('output', OUTPUT, rules(statement)),
    },
    ping: (...args) => ping(netns, [...args, firstOf(receiver.gateway.nodeAddresses)]),
    ipFamily,
  };
}

/** Neighbour discovery passes, or the other direction would soon stop too, for want of a link address. */
export function wanRules(fromPort: string, toPort: string, statement: string): string[] {
  const flow = `iifname "${fromPort}" oifname "${toPort}"`;
  return [
    `${flow} icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`,
    `${flow} ether type { ip, ip6 } ${statement}`,
  ];
}

const shareOf = (share: number): string => `numgen random mod ${SHARES} < ${Math.round(share * SHARES)}`;
/** So many packets that a share of them meets one as good as surely, and no more than pass in a moment. */
const enoughFor = (share: number): string => String(Math.min(2_000, Math.ceil(7 / share)));

export async function dropOnWan(injection: Injection<FaultOf<'wan-drop'>>): Promise<Disturbance> {
  const way = wayOf(injection.fleet, injection.fault);
  const { mend, counted } = await addTable(injection, way, way.family, way.chains('counter drop'));
  return {
    tookHold: async () => !(await way.ping('-c', '1', '-W', '0.5')).answered && (await counted()),
    mend,
  };
}

export async function loseOnWan(injection: Injection<FaultOf<'wan-loss'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const way = wayOf(fleet, fault);
  const { mend, counted } = await addTable(
    injection,
    { ...way, means: 'nftables at random' },
    way.family,
    way.chains(`${shareOf(fault.share)} counter drop`),
  );
  return {
    async tookHold() {
      await way.ping('-q', '-f', '-c', enoughFor(fault.share), '-w', '5');
      return counted();
    },
    mend,
  };
}

/** In fragments, which the kernel sends at once, however busy the machine is. */
const FRAGMENTED_BYTES = 60_000;

export async function limitRate(injection: Injection<FaultOf<'rate-limited'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const way = wayOf(fleet, fault);
  const { netns, interfaceName } = way.exit;
  const place = { netns, cluster: way.cluster, means: 'a shaper (tc htb)' };
  const endShaper = await prepareMending(injection, place, renderRemoval(interfaceName));
  await runInNetns(netns, ['tc', '-batch', '-'], { input: renderShaper(interfaceName, fault.megabits) });
  const { mend: endSorting } = await addTable(injection, place, way.family, way.exit.chains(SORTED));
  const count = String(Math.ceil(WAITING_BYTES / FRAGMENTED_BYTES));
  return {
    async tookHold() {
      await way.ping('-q', '-l', count, '-c', count, '-s', String(FRAGMENTED_BYTES), '-w', '1');
      return hasLimited(await runInNetns(netns, showShaper(interfaceName)));
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
  const way = wayOf(fleet, fault);
  const { mend } = await addTable(
    injection,
    way,
    way.family,
    way.chains(`meta length > ${fault.above} counter drop`),
  );
  const passes = async (bytes: number): Promise<boolean> =>
    (await way.ping('-c', '1', '-W', '0.5', '-s', String(bytes - PING_OVERHEAD[way.ipFamily]))).answered;
  return {
    tookHold: async () => !(await passes(fault.above + 1)) && (await passes(fault.above)),
    mend,
  };
}

/** A workload of the fleet that is another one: of the same cluster where there is one. */
function otherWorkload(fleet: Fleet, { cluster, spec }: Workload): Workload {
  const all = fleet.clusters.toSorted((a, b) => Number(b.name === cluster) - Number(a.name === cluster));
  const found = all
    .flatMap(({ workloads }) => workloads)
    .find((other) => other.cluster !== cluster || keyOf(other.spec) !== keyOf(spec));
  if (!found) throw new InternalError(`nobody could call ${cluster}/${keyOf(spec)}`);
  return found;
}

export async function cutWorkload(injection: Injection<FaultOf<'workload-cut'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const workload = workloadOf(cluster, fault.workload);
  const caller = otherWorkload(fleet, workload);
  const { mend, counted } = await addTable(
    injection,
    { netns: cluster.gateway.netns, cluster: cluster.name },
    'inet',
    chain(
      'forward',
      FORWARD,
      fleet.families.map((family) => `${HEADER[family]} daddr ${workload.addresses[family]} counter drop`),
    ),
  );
  return {
    async tookHold() {
      const { answered } = await ping(workloadNetns(fleet.run, caller.cluster, caller.spec), [
        '-c',
        '1',
        '-W',
        '0.5',
        firstOf(workload.addresses),
      ]);
      return !answered && (await answersPing(cluster, firstOf(workload.addresses))) && (await counted());
    },
    mend,
  };
}

/** The first workload of a cluster: any will do. */
function anyWorkload(cluster: LabCluster): Workload {
  const [workload] = cluster.workloads;
  if (!workload) throw new InternalError(`cluster ${cluster.name} has no workload to prove this with`);
  return workload;
}

const call = async (from: Workload, address: string) => {
  const [exchange] = await from.probe.exchange([
    { protocol: 'tcp', address, port: PORTS.echo, timeoutMs: EXCHANGE_MS },
  ]);
  return exchange;
};

export async function rewriteSource(injection: Injection<FaultOf<'source-rewritten'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const [caller, target] = [anyWorkload(sender), anyWorkload(receiver)];
  const { mend } = await addTable(
    injection,
    { netns: sender.gateway.netns, cluster: sender.name },
    'inet',
    chain(
      'postrouting',
      'nat hook postrouting priority srcnat; policy accept;',
      fleet.families.map(
        (family) =>
          `${HEADER[family]} saddr ${sender.ranges.pods[family]} ${HEADER[family]} daddr { ${rangesOf(receiver, family)} } masquerade`,
      ),
    ),
  );
  return {
    async tookHold() {
      const exchange = await call(caller, firstOf(target.addresses));
      const source = exchange?.seenSource?.address;
      return source !== undefined && !addressesOf(caller.addresses).includes(source);
    },
    mend,
  };
}

export async function answerFromElsewhere(
  injection: Injection<FaultOf<'wrong-answerer'>>,
): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const here = clusterOf(fleet, fault.at);
  const namesake = workloadOf(here, fault.workload);
  const target = workloadOf(clusterOf(fleet, fault.cluster), fault.workload);
  const caller = here.workloads.find((workload) => workload !== namesake);
  if (!caller) throw new InternalError(`cluster ${here.name} has nobody else to call ${fault.workload}`);
  const { mend } = await addTable(
    injection,
    { netns: here.gateway.netns, cluster: here.name },
    'inet',
    chain(
      'prerouting',
      'nat hook prerouting priority dstnat - 1; policy accept;',
      fleet.families.map((family) => {
        const [header, own] = [HEADER[family], namesake.addresses[family]];
        return `${header} saddr != ${own} ${header} daddr ${target.addresses[family]} dnat ${header} to ${own}`;
      }),
    ),
  );
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
  const mends: (() => Promise<void>)[] = [];
  for (const family of fleet.families) {
    const header = HEADER[family];
    const flow = `${header} saddr { ${rangesOf(sender, family)} } ${header} daddr ${receiver.ranges.pods[family]}`;
    const { mend } = await addTable(
      injection,
      { netns: receiver.gateway.netns, cluster: receiver.name },
      header,
      chain('forward', FORWARD, [
        `${flow} ${shareOf(fault.share)} dup to ${header} daddr device "${CLUSTER_INTERFACE}"`,
      ]),
    );
    mends.push(mend);
  }
  return {
    async tookHold() {
      const { output } = await ping(workloadNetns(fleet.run, caller.cluster, caller.spec), [
        '-q',
        '-f',
        '-c',
        enoughFor(fault.share),
        '-w',
        '5',
        firstOf(target.addresses),
      ]);
      return /\+[1-9]\d* duplicates/.test(output);
    },
    async mend() {
      for (const mend of mends) await mend();
    },
  };
}
