/** ping(8) of iputils: how it is called and what its words mean. */
import net from 'node:net';
import type { PingRequest, PingResult } from '../../model/probe.ts';
import { DEFAULTS } from '../protocol.ts';
import { checkAddress, checkInteger, checkNumber, checkTimeout } from './checks.ts';
import { mapLimited } from './concurrency.ts';
import { MOST_OUTPUT_BYTES, NOT_FOUND, runBriefly } from './brief.ts';
import { type Command, ToolMissingError, type ToolResult, runTool } from './tools.ts';
import { refusalMtu } from './links.ts';

/** How long ping may take beyond its last wait before it counts as hung. */
const SLACK_MS = 3_000;
export const ICMP_HEADERS = { ipv4: 28, ipv6: 48 } as const;
const LARGEST_PAYLOAD = 65_507;

interface PingArguments {
  readonly address: string;
  readonly count: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly payload?: number;
  readonly dontFragment?: boolean;
  readonly ttl?: number;
  /** The interval only bounds the wait for the last answer. */
  readonly atOnce?: boolean;
}

/** What ping printed. */
export interface PingReport {
  readonly sent: number;
  readonly received: number;
  readonly rttMs?: { readonly min: number; readonly avg: number; readonly max: number };
  readonly signalledMtu?: number;
  /** Who sent the first error or "time to live exceeded", when somebody did. */
  readonly errorFrom?: string;
  readonly error?: string;
}

function pingCommand(request: PingArguments): Command {
  return [
    'ping',
    '-n',
    ...['-c', String(request.count)],
    ...(request.atOnce ? ['-l', String(request.count)] : []),
    ...['-i', String(request.intervalMs / 1_000)],
    ...['-W', String(request.timeoutMs / 1_000)],
    ...(request.payload === undefined ? [] : ['-s', String(request.payload)]),
    ...(request.dontFragment ? ['-M', 'do'] : []),
    ...(request.ttl === undefined ? [] : ['-t', String(request.ttl)]),
    request.address,
  ];
}

/** @returns undefined when there is no summary: ping could not even start, or this is not ping */
export function parsePing(output: Pick<ToolResult, 'stdout' | 'stderr'>): PingReport | undefined {
  const text = `${output.stderr}\n${output.stdout}`;
  const summary = /^(\d+) packets transmitted, (\d+) received/m.exec(text);
  if (!summary) return undefined;
  const rtt = /^rtt min\/avg\/max\/mdev = ([\d.]+)\/([\d.]+)\/([\d.]+)\//m.exec(text);
  const mtus = [...text.matchAll(/\bmtu(?: ?=|:) ?(\d+)/gi)].map((match) => Number(match[1]));
  const error = /^From (\S+?):? icmp_seq=\d+ (.+)$/m.exec(text);
  const local = /^ping: (.+)$/m.exec(text);
  const words = error?.[2] ?? local?.[1];
  return {
    sent: Number(summary[1]),
    received: Number(summary[2]),
    ...(rtt && { rttMs: { min: Number(rtt[1]), avg: Number(rtt[2]), max: Number(rtt[3]) } }),
    ...(mtus.length > 0 && { signalledMtu: Math.min(...mtus) }),
    ...(error?.[1] !== undefined && { errorFrom: error[1] }),
    ...(words !== undefined && { error: words }),
  };
}

/** A line for each answer, of some 80 bytes. */
const MOST_BRIEF_PINGS = Math.floor(MOST_OUTPUT_BYTES / 100);

async function callPing(request: PingArguments, signal: AbortSignal): Promise<ToolResult> {
  const limit = {
    timeoutMs: (request.count - 1) * request.intervalMs + request.timeoutMs + SLACK_MS,
    signal,
  };
  if (request.count > MOST_BRIEF_PINGS) return runTool(pingCommand(request), limit);
  const result = await runBriefly(pingCommand(request), limit);
  if (result === 'killed') return { stdout: '', stderr: '', exitCode: null, killed: true };
  if (result.exitCode === NOT_FOUND) throw new ToolMissingError('ping');
  return { stdout: '', stderr: result.output, exitCode: result.exitCode, killed: false };
}

/** @returns the report; `sent: count, received: 0` when the kernel refused to send at all @throws Error when ping is broken */
export async function runPing(request: PingArguments, signal: AbortSignal): Promise<PingReport> {
  const result = await callPing(request, signal);
  if (result.killed) throw new Error('ping did not end in time');
  const report = parsePing(result);
  if (report) return withRefusal(report, request, signal);
  const words = /^ping: (.+)$/m.exec(result.stderr)?.[1];
  // "connect: Network is unreachable" is a finding; anything else without a summary is a broken tool.
  if (result.exitCode === 2 && words?.startsWith('connect: ')) {
    return { sent: request.count, received: 0, error: words };
  }
  throw new Error(
    `ping failed (exit ${result.exitCode}): ${result.stderr.trim().slice(0, 200) || 'no output'}`,
  );
}

/** What ping lets others than root send at once (ping(8), -l). */
const MOST_AT_ONCE = process.getuid?.() === 0 ? 64 : 3;
/** Once it has had an answer, ping waits for the last one for two round trips, or for one interval if that is longer. */
const LAST_WAIT_MS = 500;

/** Since 2024 iputils no longer says which MTU made the kernel refuse. */
async function withRefusal(
  report: PingReport,
  { address }: PingArguments,
  signal: AbortSignal,
): Promise<PingReport> {
  if (report.signalledMtu !== undefined || !/message too long/i.test(report.error ?? '')) return report;
  const mtu = await refusalMtu(address, signal);
  return { ...report, ...(mtu !== undefined && { signalledMtu: mtu }) };
}

export async function ping(request: PingRequest, signal: AbortSignal): Promise<PingResult> {
  const { payload, dontFragment } = request;
  const count = checkInteger('count', request.count ?? DEFAULTS.pingCount, 1, 10_000);
  const interval = request.intervalMs ?? DEFAULTS.pingIntervalMs;
  const atOnce = interval === 0;
  const common = {
    address: checkAddress(request.address),
    intervalMs: atOnce ? LAST_WAIT_MS : checkNumber('intervalMs', interval, 2, 60_000),
    timeoutMs: checkTimeout(request.timeoutMs, DEFAULTS.pingTimeoutMs),
    ...(payload !== undefined && { payload: checkInteger('payload', payload, 0, LARGEST_PAYLOAD) }),
    ...(dontFragment && { dontFragment }),
    ...(atOnce && { atOnce }),
  };
  const counts = atOnce ? inGroups(count, MOST_AT_ONCE) : [count];
  const reports = await mapLimited(counts, 1, (part) => runPing({ ...common, count: part }, signal));
  const { sent, received, rttMs, signalledMtu, error, errorFrom } = mergeReports(reports);
  return {
    sent,
    received,
    ...(rttMs && { rttMs }),
    ...(signalledMtu !== undefined && { signalledMtu }),
    ...(error !== undefined && { detail: errorFrom ? `${error} (from ${errorFrom})` : error }),
  };
}

function inGroups(count: number, most: number): number[] {
  const groups = Array.from({ length: Math.floor(count / most) }, () => most);
  return count % most === 0 ? groups : [...groups, count % most];
}

/** Of pings of the same target, one after the other. */
export function mergeReports(reports: readonly PingReport[]): PingReport {
  const [first, ...others] = reports as [PingReport, ...PingReport[]];
  return others.reduce((a, b): PingReport => {
    const received = a.received + b.received;
    const mtus = [a.signalledMtu, b.signalledMtu].filter((mtu) => mtu !== undefined);
    const rttMs =
      a.rttMs && b.rttMs
        ? {
            min: Math.min(a.rttMs.min, b.rttMs.min),
            avg: (a.rttMs.avg * a.received + b.rttMs.avg * b.received) / received,
            max: Math.max(a.rttMs.max, b.rttMs.max),
          }
        : (a.rttMs ?? b.rttMs);
    const { error = b.error, errorFrom = b.errorFrom } = a;
    return {
      sent: a.sent + b.sent,
      received,
      ...(rttMs && { rttMs }),
      ...(mtus.length > 0 && { signalledMtu: Math.min(...mtus) }),
      ...(error !== undefined && { error }),
      ...(errorFrom !== undefined && { errorFrom }),
    };
  }, first);
}

export const familyOf = (address: string): 'ipv4' | 'ipv6' => (net.isIPv6(address) ? 'ipv6' : 'ipv4');
