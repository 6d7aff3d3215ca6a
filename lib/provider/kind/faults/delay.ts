/** Packets of one workload, or all of its cluster, that come later, or in another order: its gateway sends them by a detour. */
import { RANGE_KINDS } from '../../../model/addressing.ts';
import { type IpFamily, firstOf } from '../../../model/cidr.ts';
import type { Gateway, Workload } from '../../../model/cluster.ts';
import { InternalError, NotApplicableError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { type FaultOf, type Injection, clusterOf, workloadOf } from '../../../model/injection.ts';
import { prepareMendingAt } from '../../../model/mending.ts';
import { PORTS } from '../../../model/workload.ts';
import { randomBelow, randomHex, within } from '../../../system/clock.ts';
import type { Command } from '../../../system/commands.ts';
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
import type { RelayConfig } from '../../relay/config.ts';
import { DAEMON_MARK, KindGateway } from '../gateway.ts';
import { GATEWAY_FOLDER } from '../names.ts';
import { anyWorkload } from './injector.ts';

/** Where the gateway's image has it. */
const RELAY: Command = ['/usr/local/bin/node', '--max-old-space-size=64', '/opt/mcnet-conformance/relay.js'];

type HeldFault = FaultOf<'delayed' | 'reordered'>;

/** Lines for a shell that end a daemon of the gateway, also when nobody knows its id. */
const ending = (name: string): string => {
  const file = `${GATEWAY_FOLDER}/${name}`;
  return [
    `if read -r pid < ${file}.pid; then`,
    `  if tr '\\0' '\\n' < /proc/$pid/environ 2> /dev/null | grep -qxF ${DAEMON_MARK}=${name}; then kill -KILL $pid; fi`,
    'fi 2> /dev/null',
    `rm -f ${file}.pid ${file}.log`,
  ].join('\n');
};

/** The kernel's WireGuard where it has it, else wireguard-go. */
async function makeInterface(gateway: KindGateway, name: string, daemon: string): Promise<void> {
  const made = await gateway.exec(['sh', '-c', `ip link add ${name} type wireguard 2> /dev/null || echo no`]);
  if (made.trim() !== 'no') return;
  await gateway.startDaemon(daemon, ['wireguard-go', '-f', name], { WG_PROCESS_FOREGROUND: '1' });
  const isThere = async (): Promise<boolean> =>
    (await gateway.exec(['sh', '-c', `wg show ${name} > /dev/null 2>&1 && echo yes || true`])).trim() ===
    'yes';
  if (!(await within(START_MS, isThere))) throw new Error(`wireguard-go did not make ${name}`);
}

function asKindGateway(gateway: Gateway): KindGateway {
  if (gateway instanceof KindGateway) return gateway;
  throw new InternalError(`the gateway of ${gateway.cluster} is not kind's`);
}

async function takeDetour(
  { fault, fleet, ledger }: Injection<HeldFault>,
  held: Pick<RelayConfig, 'delayMs' | 'heldShare' | 'holdMs'>,
): Promise<{ readonly workload: Workload; readonly target: string; readonly mend: () => Promise<void> }> {
  if (fault.workload === undefined && !fault.forwarded)
    throw new NotApplicableError('only what workloads send can be held here, not the whole wan');
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  const workload = fault.workload === undefined ? anyWorkload(sender) : workloadOf(sender, fault.workload);
  const gateway = asKindGateway(sender.gateway);
  const id = randomHex(4);
  const detour = {
    into: `d${id}i`,
    out: `d${id}o`,
    port: FIRST_PORT + 2 * randomBelow(PORT_PAIRS),
  };
  const table = FIRST_TABLE + randomBelow(TABLES);
  const rules = (Object.entries(workload.addresses) as [IpFamily, string][]).flatMap(([family, address]) =>
    RANGE_KINDS.flatMap((kind) => {
      const range = receiver.ranges[kind][family];
      const ip = `ip ${family === 'ipv6' ? '-6' : '-4'}`;
      return range === undefined
        ? []
        : [
            {
              ip,
              rule: `pref ${RULE_PREFERENCE} iif ${gateway.clusterInterface} ${fault.forwarded ? '' : `from ${address} `}to ${range} lookup ${table}`,
            },
          ];
    }),
  );
  const daemons = { relay: `fault-${id}-relay`, into: `fault-${id}-in`, out: `fault-${id}-out` };
  const mend = await prepareMendingAt(
    gateway,
    { fault, id, means: MEANS },
    [
      ...rules.map(({ ip, rule }) => `${ip} rule del ${rule} 2> /dev/null || true`),
      ...Object.values(daemons).map(ending),
      ...[detour.into, detour.out].map((name) => `ip link del ${name} 2> /dev/null || true`),
      '',
    ].join('\n'),
    ledger,
  );
  const listen = { address: '127.0.0.1', port: detour.port };
  const config: RelayConfig = {
    ...held,
    ways: [{ listen, to: { ...listen, port: detour.port + 1 } }],
  };
  await gateway.startDaemon(daemons.relay, [...RELAY, JSON.stringify(config)]);
  await makeInterface(gateway, detour.into, daemons.into);
  await makeInterface(gateway, detour.out, daemons.out);
  const families = new Set(rules.map(({ ip }) => ip));
  await gateway.exec(['sh', '-e', '-s'], {
    input: [
      ...renderDetour(detour),
      ...[...families].map((ip) => `${ip} route replace default dev ${detour.into} table ${table}`),
      ...rules.map(({ ip, rule }) => `${ip} rule add ${rule}`),
      '',
    ].join('\n'),
  });
  return { workload, target: firstOf(receiver.gateway.nodeAddresses), mend };
}

const SAMPLES = 3;

export async function delay(injection: Injection<FaultOf<'delayed'>>): Promise<Disturbance> {
  const { milliseconds } = injection.fault;
  const held = { delayMs: milliseconds, heldShare: 0, holdMs: 0 };
  const { workload, target, mend } = await takeDetour(injection, held);
  return {
    async tookHold() {
      // The first may wait for the detour's own handshake.
      const { rttMs } = await workload.probe.ping({
        address: target,
        count: SAMPLES,
        intervalMs: 200,
        timeoutMs: 3_000,
      });
      // Timers count whole milliseconds, and may end one early.
      return rttMs !== undefined && rttMs.min >= milliseconds - 1;
    },
    mend,
  };
}

const BURST = { packetsPerSecond: 500, payload: 64 };

export async function reorder(injection: Injection<FaultOf<'reordered'>>): Promise<Disturbance> {
  const { fault, fleet } = injection;
  const held = { delayMs: 0, heldShare: fault.share, holdMs: HELD_MS };
  const { workload, mend } = await takeDetour(injection, held);
  const address = firstOf(anyWorkload(clusterOf(fleet, fault.to)).addresses);
  return {
    async tookHold() {
      const count = pingsFor(fault.share);
      const { reordered } = await workload.probe.burst({ ...BURST, address, port: PORTS.echo, count });
      return reordered > 0;
    },
    mend,
  };
}
