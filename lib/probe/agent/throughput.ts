/** TCP throughput by iperf3, whose JSON is believed only where it is consistent. */
import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Throughput, ThroughputRequest } from '../../model/probe.ts';
import { DEFAULTS, isRecord, parseJson } from '../protocol.ts';
import { checkAddress, checkInteger, checkPort } from './checks.ts';
import { type ToolResult, ToolMissingError, killCompanion, runTool, startCompanion } from './tools.ts';

const CONNECT_TIMEOUT_MS = 1_000;
const RETRY_INTERVAL_MS = 150;
const SERVER_START_MS = 3_000;
/** Without it a server waits two minutes for a client that has vanished, and serves nobody else. */
const SERVER_RECEIVE_TIMEOUT_MS = 4_000;
/** No link is as fast as that: 10 Tbit/s. */
const ABSURD_BITS_PER_SECOND = 1e13;
/** By how much figures that describe the same thing may differ. */
const TOLERANCE = 0.1;

/** The iperf3 servers of this agent, by port. */
export class ThroughputServers {
  readonly #servers = new Map<number, { child: ChildProcess; ready: Promise<void> }>();

  /** Idempotent while the server lives. Resolves when it listens. */
  async serve(request: { port: number }): Promise<void> {
    const port = checkPort(request.port);
    let server = this.#servers.get(port);
    if (!server || server.child.exitCode !== null || server.child.signalCode !== null) {
      const child = startCompanion(
        [
          'iperf3',
          '-s',
          '-p',
          String(port),
          '--forceflush',
          '--rcv-timeout',
          String(SERVER_RECEIVE_TIMEOUT_MS),
        ],
        'ignore',
      );
      server = { child, ready: listening(child, port) };
      this.#servers.set(port, server);
    }
    try {
      await server.ready;
    } catch (error) {
      this.#servers.delete(port);
      await killCompanion(server.child);
      throw error;
    }
  }
}

function listening(child: ChildProcess, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error('iperf3 -s did not start in time')), SERVER_START_MS);
    const settle = (failure?: Error): void => {
      clearTimeout(timer);
      if (failure) reject(failure);
      else resolve();
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      // Read for as long as it lives, or the server would block; kept only until it has started.
      if (said.length < 4_096) said += chunk.toString();
      if (said.includes(`Server listening on ${port}`)) settle();
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      settle(error.code === 'ENOENT' ? new ToolMissingError('iperf3') : error);
    });
    child.once('exit', (code) => {
      settle(
        code === 127
          ? new ToolMissingError('iperf3')
          : new Error(`iperf3 -s ended (${code}): ${said.trim()}`),
      );
    });
  });
}

export async function throughput(request: ThroughputRequest, signal: AbortSignal): Promise<Throughput> {
  // iperf3 takes whole seconds, and 0 for ever.
  const seconds = checkInteger('seconds', request.seconds, 1, 600);
  const omitSeconds = checkInteger('omitSeconds', request.omitSeconds ?? 0, 0, 60);
  const streams = checkInteger('streams', request.streams ?? 1, 1, 64);
  const pace = checkInteger('megabits', request.megabits ?? 0, 0, 1_000_000);
  const command = [
    'iperf3',
    '-J',
    ...['-c', checkAddress(request.address)],
    ...['-p', String(checkPort(request.port))],
    ...['-t', String(seconds)],
    ...['-P', String(streams)],
    // For each stream.
    ...(pace > 0 ? ['-b', `${Math.max(1, Math.round(pace / streams))}M`] : []),
    ...(omitSeconds > 0 ? ['-O', String(omitSeconds)] : []),
    ...['--connect-timeout', String(CONNECT_TIMEOUT_MS)],
  ] as [string, ...string[]];
  const timeoutMs = (seconds + omitSeconds) * 1_000 + DEFAULTS.throughputSlackMs;
  const giveUpAt = performance.now() + DEFAULTS.throughputRetryMs;
  for (;;) {
    const before = await cpuTimes();
    const measured = await measure(command, { timeoutMs, seconds, streams }, signal);
    if (measured.outcome === 'measured') {
      const cpuBusy = busyShare(before, await cpuTimes());
      return { ...measured, ...(cpuBusy !== undefined && { cpuBusy }) };
    }
    const again = /server is busy|Connection refused/i.test(measured.detail ?? '');
    if (!again || performance.now() > giveUpAt) return measured;
    await wait(RETRY_INTERVAL_MS, undefined, { signal });
  }
}

async function measure(
  command: [string, ...string[]],
  { timeoutMs, seconds, streams }: { timeoutMs: number; seconds: number; streams: number },
  signal: AbortSignal,
): Promise<Throughput> {
  try {
    return judgeIperf(await runTool(command, { timeoutMs, signal }), { seconds, streams });
  } catch (error) {
    if (error instanceof ToolMissingError) return failed(error.message);
    throw error;
  }
}

function failed(detail: string): Throughput {
  return { outcome: 'error', bitsPerSecond: 0, detail };
}

/**
 * What an iperf3 client's output is worth. `measured` takes an end in good order, no `error` in the JSON (iperf3 ends
 * with 0 in spite of some errors), and figures that are there, possible and agree with each other.
 */
export function judgeIperf(
  result: ToolResult,
  asked: { readonly seconds: number; readonly streams: number },
): Throughput {
  if (result.killed) return failed('iperf3 did not end in time');
  const report = parseJson(result.stdout);
  const error = isRecord(report) ? report.error : undefined;
  if (error !== undefined)
    return failed(`iperf3: ${(typeof error === 'string' ? error : JSON.stringify(error)).slice(0, 200)}`);
  if (result.exitCode !== 0) {
    const said = result.stderr.trim() || result.stdout.trim();
    return failed(`iperf3 ended with ${result.exitCode ?? 'a signal'}: ${said.slice(0, 200)}`);
  }
  if (!isRecord(report)) return failed('iperf3 printed no JSON');
  const end = isRecord(report.end) ? report.end : {};
  const received = isRecord(end.sum_received) ? end.sum_received : {};
  const lie = implausible(received, isRecord(end.sum_sent) ? end.sum_sent : {}, asked.seconds);
  if (lie) return failed(`iperf3's figures cannot be right: ${lie}`);
  const details = streamDetails(end, report.intervals);
  if (details.streams !== asked.streams) {
    return failed(`iperf3's figures cannot be right: ${details.streams} streams instead of ${asked.streams}`);
  }
  return { outcome: 'measured', bitsPerSecond: received.bits_per_second as number, ...details.figures };
}

function implausible(
  received: Record<string, unknown>,
  sent: Record<string, unknown>,
  askedSeconds: number,
): string | undefined {
  const { bits_per_second: rate, bytes, seconds } = received;
  if (!isPositive(rate) || rate > ABSURD_BITS_PER_SECOND) return `bits_per_second is ${String(rate)}`;
  if (!isPositive(bytes)) return `bytes received is ${String(bytes)}`;
  if (!isPositive(seconds)) return `seconds is ${String(seconds)}`;
  if (seconds < askedSeconds * (1 - TOLERANCE))
    return `${seconds} s were measured instead of ${askedSeconds}`;
  if (!near(rate, (bytes * 8) / seconds)) return `${rate} bit/s is not ${bytes} bytes in ${seconds} s`;
  if (!isPositive(sent.bytes)) return `bytes sent is ${String(sent.bytes)}`;
  if (bytes > sent.bytes * (1 + TOLERANCE)) return `more bytes received (${bytes}) than sent (${sent.bytes})`;
  return undefined;
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0;
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= TOLERANCE * Math.max(a, b);
}

function streamDetails(
  end: Record<string, unknown>,
  intervals: unknown,
): { streams: number; figures: Partial<Throughput> } {
  const streams = (Array.isArray(end.streams) ? end.streams : []).filter(isRecord);
  const senders = streams.map(({ sender }) => sender).filter(isRecord);
  const rtts = senders.map(({ mean_rtt: microseconds }) => microseconds).filter(isPositive);
  const { retransmits } = isRecord(end.sum_sent) ? end.sum_sent : {};
  const cpu = isRecord(end.cpu_utilization_percent) ? end.cpu_utilization_percent : {};
  const lastInterval = Array.isArray(intervals) ? intervals.at(-1) : undefined;
  const [lastStream] =
    isRecord(lastInterval) && Array.isArray(lastInterval.streams) ? lastInterval.streams : [];
  const pmtu = isRecord(lastStream) ? lastStream.pmtu : undefined;
  return {
    streams: streams.length,
    figures: {
      ...(typeof retransmits === 'number' && { retransmits }),
      ...(rtts.length > 0 && { meanRttMs: rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length / 1_000 }),
      ...(isPositive(pmtu) && { pmtu }),
      ...(typeof cpu.host_total === 'number' && { hostCpuPercent: cpu.host_total }),
      ...(typeof cpu.remote_total === 'number' && { remoteCpuPercent: cpu.remote_total }),
    },
  };
}

interface CpuTimes {
  readonly total: number;
  readonly idle: number;
}

/** The first line of proc_stat(5): user nice system idle iowait irq softirq steal. */
export function parseCpuTimes(stat: string): CpuTimes | undefined {
  const line = /^cpu +(.+)$/m.exec(stat)?.[1];
  if (line === undefined) return undefined;
  const times = line.split(' ').slice(0, 8).map(Number);
  return { total: times.reduce((sum, time) => sum + time, 0), idle: (times[3] ?? 0) + (times[4] ?? 0) };
}

async function cpuTimes(): Promise<CpuTimes | undefined> {
  return parseCpuTimes(await readFile('/proc/stat', 'utf8').catch(() => ''));
}

function busyShare(before: CpuTimes | undefined, after: CpuTimes | undefined): number | undefined {
  if (!before || !after || after.total <= before.total) return undefined;
  const share = 1 - (after.idle - before.idle) / (after.total - before.total);
  return Math.round(Math.min(1, Math.max(0, share)) * 1_000) / 1_000;
}
