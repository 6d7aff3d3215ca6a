import type { Trace, TraceHop } from '../../model/probe.ts';
import { DEFAULTS } from '../protocol.ts';
import { runBriefly } from './brief.ts';
import { checkAddress, checkInteger } from './checks.ts';
import { runPing } from './ping.ts';

const WAIT_MS = 400;
const RETRY_WAIT_MS = 1_000;
/** Hops asked at once; most paths here end within the first batch. */
const BATCH = 4;

interface Answer extends TraceHop {
  readonly reached: boolean;
  /** A router said that it goes no further. */
  readonly stopped?: boolean;
}

/** The routers on the way: by one tracepath, or by pings where it does not come through or somebody stays silent. */
export async function trace(
  request: { address: string; maxHops?: number },
  signal: AbortSignal,
): Promise<Trace> {
  const address = checkAddress(request.address);
  const maxHops = checkInteger('maxHops', request.maxHops ?? DEFAULTS.traceMaxHops, 1, 64);
  return (await runTracepath(address, maxHops, signal)) ?? tracePings(address, maxHops, signal);
}

/** It waits a second and more for each router that says nothing. */
const TRACEPATH_SECONDS = 1;
/** So small that no packet is too large for any link, and nothing is said of the path MTU. */
const TRACEPATH_BYTES = 100;
const SLACK_MS = 3_000;

async function runTracepath(
  address: string,
  maxHops: number,
  signal: AbortSignal,
): Promise<Trace | undefined> {
  const result = await runBriefly(
    [
      ...(['timeout', '-s', 'KILL', String(TRACEPATH_SECONDS)] as const),
      ...['tracepath', '-n', '-l', String(TRACEPATH_BYTES), '-m', String(maxHops), address],
    ],
    { timeoutMs: TRACEPATH_SECONDS * 1_000 + SLACK_MS, signal },
  );
  return result === 'killed' ? undefined : parseTracepath(result.output, address);
}

/** @returns undefined unless every router up to the target itself has answered */
export function parseTracepath(output: string, target: string): Trace | undefined {
  const hops: TraceHop[] = [];
  for (const [, ttl, address = '', rest] of output.matchAll(/^ *(\d+): +(\S+) +[\d.]+ms(.*)$/gm)) {
    if (Number(ttl) !== hops.length + 1) return undefined;
    hops.push({ ttl: Number(ttl), address });
    if (/\breached\b/.test(rest ?? '')) return address === target ? { reached: true, hops } : undefined;
  }
  return undefined;
}

/** By pings with a rising hop limit, some at once. */
async function tracePings(address: string, maxHops: number, signal: AbortSignal): Promise<Trace> {
  const hops: TraceHop[] = [];
  for (let first = 1; first <= maxHops; first += BATCH) {
    const ttls = Array.from({ length: Math.min(BATCH, maxHops - first + 1) }, (_, index) => first + index);
    const answers = await Promise.all(ttls.map((ttl) => askHop(address, ttl, signal)));
    for (const { ttl, address: hop, reached, stopped } of answers) {
      hops.push({ ttl, ...(hop !== undefined && { address: hop }) });
      if (reached || stopped) return { reached, hops };
    }
  }
  return { reached: false, hops };
}

async function askHop(address: string, ttl: number, signal: AbortSignal): Promise<Answer> {
  for (const timeoutMs of [WAIT_MS, RETRY_WAIT_MS]) {
    const report = await runPing({ address, count: 1, intervalMs: 1_000, timeoutMs, ttl }, signal);
    if (report.received > 0) return { ttl, address, reached: true };
    if (report.errorFrom !== undefined) {
      const stopped = !/exceeded/i.test(report.error ?? '');
      return { ttl, address: report.errorFrom, reached: false, stopped };
    }
  }
  return { ttl, reached: false };
}
