/** ping(8) of iputils: how it is called and what its words mean. */
import net from 'node:net';
import type { PingRequest, PingResult } from '../../model/probe.ts';
import { DEFAULTS } from '../protocol.ts';
import { checkAddress, checkInteger, checkNumber, checkTimeout } from './checks.ts';
import { type Command, type ToolResult, runTool } from './tools.ts';

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

/** @returns the report; `sent: count, received: 0` when the kernel refused to send at all @throws Error when ping is broken */
export async function runPing(request: PingArguments, signal: AbortSignal): Promise<PingReport> {
  const expectedMs = (request.count - 1) * request.intervalMs + request.timeoutMs;
  const result = await runTool(pingCommand(request), { timeoutMs: expectedMs + SLACK_MS, signal });
  if (result.killed) throw new Error('ping did not end in time');
  const report = parsePing(result);
  if (report) return report;
  const words = /^ping: (.+)$/m.exec(result.stderr)?.[1];
  // "connect: Network is unreachable" is a finding; anything else without a summary is a broken tool.
  if (result.exitCode === 2 && words?.startsWith('connect: ')) {
    return { sent: request.count, received: 0, error: words };
  }
  throw new Error(
    `ping failed (exit ${result.exitCode}): ${result.stderr.trim().slice(0, 200) || 'no output'}`,
  );
}

export async function ping(request: PingRequest, signal: AbortSignal): Promise<PingResult> {
  const address = checkAddress(request.address);
  const { payload, dontFragment } = request;
  const { sent, received, rttMs, signalledMtu, error, errorFrom } = await runPing(
    {
      address,
      count: checkInteger('count', request.count ?? DEFAULTS.pingCount, 1, 10_000),
      intervalMs: checkNumber('intervalMs', request.intervalMs ?? DEFAULTS.pingIntervalMs, 2, 60_000),
      timeoutMs: checkTimeout(request.timeoutMs, DEFAULTS.pingTimeoutMs),
      ...(payload !== undefined && { payload: checkInteger('payload', payload, 0, LARGEST_PAYLOAD) }),
      ...(dontFragment && { dontFragment }),
    },
    signal,
  );
  return {
    sent,
    received,
    ...(rttMs && { rttMs }),
    ...(signalledMtu !== undefined && { signalledMtu }),
    ...(error !== undefined && { detail: errorFrom ? `${error} (from ${errorFrom})` : error }),
  };
}

export const familyOf = (address: string): 'ipv4' | 'ipv6' => (net.isIPv6(address) ? 'ipv6' : 'ipv4');
