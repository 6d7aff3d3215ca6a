/** Packets that come later, or in another order: they make a detour through a tunnel of the fault's own. */
import { firstOf } from '../../../model/cidr.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { RANGE_KINDS } from '../../../model/addressing.ts';
import { randomBelow } from '../../../system/clock.ts';
import { runInNetns } from '../namespace.ts';
import { workloadNetns } from '../names.ts';
import {
  FIRST_PORT,
  FIRST_TABLE,
  HELD_MS,
  MEANS,
  PORT_PAIRS,
  RULE_PREFERENCE,
  START_MS,
  TABLES,
  pingsFor,
  renderDetour,
} from '../../detour.ts';
import { relayCommand } from '../../relay/config.ts';
import { type FaultOf, type Injection, workloadOf } from '../../../model/injection.ts';
import { clusterOf, faultFile, newFaultId, ping, prepareMending, refuseForwarded } from './injector.ts';
import { type Companion, companion } from './processes.ts';

const SOCKET_FOLDER = '/var/run/wireguard';

interface Detour {
  readonly netns: string;
  readonly cluster: string;
  /** Destinations of what is sent here that takes the detour, each with the source address it leaves with. */
  readonly routes: readonly { readonly to: string; readonly source: string }[];
  /** A ping that takes it. */
  ping(...args: string[]): ReturnType<typeof ping>;
}

/** For the wan: what the gateway itself sends to the other gateway, which is the tunnel. */
function detourOf({ fault, fleet }: Injection<FaultOf<'delayed' | 'reordered'>>): Detour {
  refuseForwarded(fault);
  const [sender, receiver] = [clusterOf(fleet, fault.from), clusterOf(fleet, fault.to)];
  const atWorkload = fault.workload === undefined ? undefined : workloadOf(sender, fault.workload);
  const sources = atWorkload?.addresses ?? sender.gateway.wanAddresses;
  const netns = atWorkload ? workloadNetns(fleet.run, sender.name, atWorkload.spec) : sender.gateway.netns;
  const target = firstOf(atWorkload ? receiver.gateway.nodeAddresses : receiver.gateway.wanAddresses);
  return {
    netns,
    cluster: sender.name,
    routes: fleet.families.flatMap((family) => {
      const source = sources[family];
      const destinations = atWorkload
        ? RANGE_KINDS.map((kind) => receiver.ranges[kind][family])
        : [receiver.gateway.wanAddresses[family]];
      return source === undefined
        ? []
        : destinations.flatMap((to) => (to === undefined ? [] : [{ to, source }]));
    }),
    ping: (...args) => ping(netns, [...args, target]),
  };
}

/**
 * What is sent from here goes into the interface `in`, through the relay, out of the interface `out`, and on as it would
 * have gone: so any packet can be held, without a change to the tunnel under test, its peers or its endpoints.
 */
async function takeDetour(
  injection: Injection<FaultOf<'delayed' | 'reordered'>>,
  detour: Detour,
  relay: { delayMs: number; heldShare: number; holdMs: number },
): Promise<() => Promise<void>> {
  const { fleet } = injection;
  const { netns, routes } = detour;
  const id = newFaultId();
  const [into, out] = [`d${fleet.run}${id.slice(0, 5)}i`, `d${fleet.run}${id.slice(0, 5)}o`];
  const port = FIRST_PORT + 2 * randomBelow(PORT_PAIRS);
  const table = FIRST_TABLE + randomBelow(TABLES);
  const file = (name: string): string => faultFile(fleet, detour.cluster, `${id}-${name}.pid`);
  const [relaying, entering, leaving] = [
    companion(file('relay')),
    companion(file('in')),
    companion(file('out')),
  ];
  const rules = routes.map(({ to, source }) => ({
    ip: `ip ${to.includes(':') ? '-6' : '-4'}`,
    rule: `pref ${RULE_PREFERENCE} iif lo to ${to} lookup ${table}`,
    route: `route replace default dev ${into} src ${source} table ${table}`,
  }));
  const forwarding = '/proc/sys/net/ipv6/conf/all/forwarding';
  const forwarded = (await runInNetns(netns, ['sh', '-c', `cat ${forwarding} 2> /dev/null || true`])).trim();
  const mend = await prepareMending(
    injection,
    { netns, cluster: detour.cluster, means: MEANS },
    [
      ...rules.map(({ ip, rule }) => `${ip} rule del ${rule} 2> /dev/null || true`),
      ...[relaying, entering, leaving].map(({ ending }) => ending),
      ...[into, out].map((name) => `ip link del ${name} 2> /dev/null || true`),
      `rm -f ${SOCKET_FOLDER}/${into}.sock ${SOCKET_FOLDER}/${out}.sock`,
      ...(forwarded === '0' ? [`echo 0 > ${forwarding}`] : []),
      '',
    ].join('\n'),
  );
  const listen = { address: '127.0.0.1', port };
  const { run } = fleet;
  await relaying.start(
    netns,
    run,
    relayCommand({ ...relay, ways: [{ listen, to: { ...listen, port: port + 1 } }] }),
  );
  await Promise.all([
    makeInterface(netns, run, into, entering),
    makeInterface(netns, run, out, leaving),
    relaying.untilListening(netns, port, START_MS),
  ]);
  await runInNetns(netns, ['sh', '-e', '-s'], {
    input: [
      ...renderDetour({ into, out, port }),
      // What comes out was sent from here, and only passes through.
      `echo 1 > /proc/sys/net/ipv4/conf/${out}/accept_local`,
      `echo 1 > /proc/sys/net/ipv4/conf/${out}/forwarding`,
      ...(forwarded === '0' ? [`echo 1 > ${forwarding}`] : []),
      ...rules.map(({ ip, route }) => `${ip} ${route}`),
      ...rules.map(({ ip, rule }) => `${ip} rule add ${rule}`),
      '',
    ].join('\n'),
  });
  return mend;
}

/** The kernel's WireGuard where it has it, else wireguard-go. */
async function makeInterface(netns: string, run: string, name: string, daemon: Companion): Promise<void> {
  try {
    await runInNetns(netns, ['ip', 'link', 'add', name, 'type', 'wireguard']);
  } catch {
    await daemon.start(netns, run, ['env', 'WG_PROCESS_FOREGROUND=1', 'wireguard-go', '-f', name]);
    await daemon.untilReady(
      async () =>
        runInNetns(netns, ['wg', 'show', name]).then(
          () => true,
          () => false,
        ),
      START_MS,
    );
  }
}

const SAMPLES = 3;

export async function delay(injection: Injection<FaultOf<'delayed'>>): Promise<Disturbance> {
  const detour = detourOf(injection);
  const { milliseconds } = injection.fault;
  const mend = await takeDetour(injection, detour, { delayMs: milliseconds, heldShare: 0, holdMs: 0 });
  return {
    async tookHold() {
      // The first may wait for the detour's own handshake.
      const { answered, output } = await detour.ping('-q', '-c', String(SAMPLES), '-i', '0.2', '-W', '3');
      const least = /= ([\d.]+)\//.exec(output)?.[1];
      // Timers count whole milliseconds, and may end one early.
      return answered && least !== undefined && Number(least) >= milliseconds - 1;
    },
    mend,
  };
}

export async function reorder(injection: Injection<FaultOf<'reordered'>>): Promise<Disturbance> {
  const detour = detourOf(injection);
  const { share } = injection.fault;
  const mend = await takeDetour(injection, detour, { delayMs: 0, heldShare: share, holdMs: HELD_MS });
  const count = pingsFor(share);
  return {
    async tookHold() {
      const { output } = await detour.ping('-c', String(count), '-i', '0.002', '-W', '1');
      const order = [...output.matchAll(/icmp_seq=(\d+)/g)].map(([, number]) => Number(number));
      return order.some((number, index) => number < (order[index - 1] ?? 0));
    },
    mend,
  };
}
