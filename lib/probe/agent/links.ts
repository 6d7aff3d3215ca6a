/** Interfaces as ip(8) shows them: /sys/class/net may belong to another network namespace. */
import { readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { isRecord, parseJson } from '../protocol.ts';
import { checkInteger } from './checks.ts';
import { type Command, runTool } from './tools.ts';

const IP_TIMEOUT_MS = 5_000;

async function ip(args: readonly string[], signal: AbortSignal): Promise<Record<string, unknown>[]> {
  const command: Command = ['ip', '-j', ...args];
  const { stdout, stderr, exitCode } = await runTool(command, { timeoutMs: IP_TIMEOUT_MS, signal });
  const rows = parseRows(stdout || '[]');
  if (exitCode !== 0 || !rows) {
    throw new Error(`\`${command.join(' ')}\` failed: ${stderr.trim().slice(0, 200)}`);
  }
  return rows;
}

function parseRows(text: string): Record<string, unknown>[] | undefined {
  const rows = parseJson(text);
  return Array.isArray(rows) ? rows.filter(isRecord) : undefined;
}

async function mtuOf(device: string, signal: AbortSignal): Promise<number> {
  const [link] = await ip(['link', 'show', 'dev', device], signal);
  if (typeof link?.mtu !== 'number') throw new Error(`\`ip link\` names no MTU for ${device}`);
  return link.mtu;
}

interface Way {
  readonly interfaceMtu: number;
  /** A path MTU that the kernel remembers. */
  readonly remembered?: number;
}

/** How packets to this address leave; undefined when there is no route. */
async function wayTo(address: string, signal: AbortSignal): Promise<Way | undefined> {
  const command: Command = ['sh', '-c', 'ip -j route get "$1" && echo && ip -j link show', 'sh', address];
  const { stdout, stderr, exitCode } = await runTool(command, { timeoutMs: IP_TIMEOUT_MS, signal });
  if (exitCode !== 0) {
    if (/unreachable|Permission denied|Invalid argument/i.test(stderr)) return undefined;
    throw new Error(`\`ip route get ${address}\` failed: ${stderr.trim().slice(0, 200)}`);
  }
  const [routes, links] = stdout.split('\n').filter(Boolean).map(parseRows);
  const { dev, metrics } = routes?.[0] ?? {};
  if (typeof dev !== 'string') return undefined;
  const mtu = links?.find(({ ifname }) => ifname === dev)?.mtu;
  if (typeof mtu !== 'number') throw new Error(`\`ip link\` names no MTU for ${dev}`);
  const remembered = Array.isArray(metrics) ? metrics.find(isRecord)?.mtu : undefined;
  return { interfaceMtu: mtu, ...(typeof remembered === 'number' && { remembered }) };
}

/** MTU of the interface by which packets to this address leave; undefined when there is no route. */
export async function mtuTowards(address: string, signal: AbortSignal): Promise<number | undefined> {
  return (await wayTo(address, signal))?.interfaceMtu;
}

/** Above which the kernel itself refuses to send there: the path MTU that it remembers, else the interface's. */
export async function refusalMtu(address: string, signal: AbortSignal): Promise<number | undefined> {
  const way = await wayTo(address, signal);
  return way?.remembered ?? way?.interfaceMtu;
}

/** MTU of this workload's own interface: the one of the default route, else the first one, else loopback. */
export async function ownMtu(signal: AbortSignal): Promise<number> {
  for (const family of ['-4', '-6']) {
    const [route] = await ip([family, 'route', 'show', 'default'], signal);
    if (typeof route?.dev === 'string') return mtuOf(route.dev, signal);
  }
  const links = await ip(['link', 'show', 'up'], signal);
  const link = links.find(({ link_type: type }) => type !== 'loopback') ?? links[0];
  if (typeof link?.mtu !== 'number') throw new Error('there is no network interface');
  return link.mtu;
}

/** What `ip -4 route flush cache` writes as well; IPv6 keeps what it learned where only ip(8) can remove it. */
const FLUSH_IPV4 = { file: '/proc/sys/net/ipv4/route/flush', value: '-1' };

/** @returns false where this process may not */
export async function flushRouteCache(signal: AbortSignal): Promise<boolean> {
  try {
    await writeFile(FLUSH_IPV4.file, FLUSH_IPV4.value);
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
  if (!usesIpv6()) return true;
  const command: Command = ['ip', '-6', 'route', 'flush', 'cache'];
  const { exitCode, stderr } = await runTool(command, { timeoutMs: IP_TIMEOUT_MS, signal });
  if (exitCode !== 0) throw new Error(`\`${command.join(' ')}\` failed: ${stderr.trim().slice(0, 200)}`);
  return true;
}

/** Has an address that others can be reached from: those with a scope are for their own link. */
function usesIpv6(): boolean {
  return Object.values(networkInterfaces())
    .flat()
    .some((one) => one?.family === 'IPv6' && !one.internal && one.scopeid === 0);
}

const MTU_PROBING = '/proc/sys/net/ipv4/tcp_mtu_probing';

/** Taken when the agent starts, because its starter may be gone later. */
const starterNetwork = networkOf(process.ppid);

/** Undefined for a process that is gone or not ours to look at. */
function networkOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Switches packetization layer path MTU discovery (RFC 4821) here; never in the network namespace of the starter. */
export async function setMtuProbing(mode: unknown): Promise<void> {
  if (networkOf('self') === starterNetwork) {
    throw new Error("tcp_mtu_probing is only changed in a network namespace of the workload's own");
  }
  await writeFile(MTU_PROBING, String(checkInteger('mode', mode, 0, 1)));
}
