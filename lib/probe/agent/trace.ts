import type { Trace, TraceHop } from '../../model/probe.ts';
import { DEFAULTS } from '../protocol.ts';
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

/** The routers on the way, by pings with a rising hop limit, some at once. */
export async function trace(
  request: { address: string; maxHops?: number },
  signal: AbortSignal,
): Promise<Trace> {
  const address = checkAddress(request.address);
  const maxHops = checkInteger('maxHops', request.maxHops ?? DEFAULTS.traceMaxHops, 1, 64);
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
