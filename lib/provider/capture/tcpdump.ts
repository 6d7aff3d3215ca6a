/** Captures packets with tcpdump(1), wherever a provider starts it. */
import type { Capture, Gateway } from '../../model/cluster.ts';
import type { CaptureSummary } from '../../model/probe.ts';
import { systemClock } from '../../system/clock.ts';
import type { Command } from '../../system/commands.ts';
import { summarisePcap } from './pcap.ts';

const CATCH_UP_MS = 2_000;
const END_MS = 5_000;
const POLL_MS = 10;
/** Each packet takes a whole frame of the largest size in immediate mode. */
const BUFFER_KIB = 32_768;

export type CaptureRequest = Parameters<Gateway['startCapture']>[0];

/** A tcpdump that runs, as whoever started it can reach it. */
export interface RunningTcpdump {
  /** Whatever it has printed so far. */
  log(): Promise<string>;
  signal(name: 'SIGUSR1' | 'SIGINT'): Promise<void>;
  hasEnded(): Promise<boolean>;
  readPcap(): Promise<Buffer>;
  /** Removes its files. */
  remove(): Promise<void>;
}

export const tcpdumpCommand = (request: CaptureRequest, pcap: string): Command => [
  'tcpdump',
  '-i',
  request.interface,
  '-n',
  '-U',
  '-w',
  pcap,
  '--immediate-mode',
  `--buffer-size=${BUFFER_KIB}`,
  '--snapshot-length=0',
  '--relinquish-privileges=root',
  ...(request.filter ? [request.filter] : []),
];

/** Printed once no packet that is sent from then on is missed. */
export const LISTENING = 'listening on';

/** Stopped twice, it gives the same summary. */
export function captureOf(tcpdump: RunningTcpdump, marker: string): Capture {
  let summary: Promise<CaptureSummary> | undefined;
  return { stop: () => (summary ??= stop(tcpdump, marker)) };
}

async function stop(tcpdump: RunningTcpdump, marker: string): Promise<CaptureSummary> {
  // What the kernel has handed over but tcpdump has not yet read would be lost with SIGINT.
  await repeatUntil(CATCH_UP_MS, async () => {
    await tcpdump.signal('SIGUSR1');
    await systemClock.sleep(POLL_MS);
    const counts = parseCounts(await tcpdump.log());
    return counts !== undefined && counts.captured + counts.dropped >= counts.received;
  });
  await tcpdump.signal('SIGINT');
  const ended = await repeatUntil(END_MS, async () => {
    await systemClock.sleep(POLL_MS);
    return tcpdump.hasEnded();
  });
  const words = await tcpdump.log();
  const counts = parseCounts(words);
  if (!ended || !counts) throw new Error(`tcpdump did not end as it should: ${words.trim()}`);
  const summary = summarisePcap(await tcpdump.readPcap(), marker);
  await tcpdump.remove();
  return { ...summary, droppedByKernel: counts.dropped };
}

async function repeatUntil(limitMs: number, attempt: () => Promise<boolean>): Promise<boolean> {
  const end = systemClock.monotonic() + limitMs;
  do {
    if (await attempt()) return true;
  } while (systemClock.monotonic() < end);
  return false;
}

/** The last counts that tcpdump printed; undefined when it has printed none. */
export function parseCounts(
  words: string,
): { captured: number; received: number; dropped: number } | undefined {
  const last = (what: string): number | undefined => {
    const match = [...words.matchAll(new RegExp(`(\\d+) packets? ${what}`, 'g'))].at(-1);
    return match && Number(match[1]);
  };
  const captured = last('captured');
  const received = last('received by filter');
  const dropped = last('dropped by kernel');
  return captured === undefined || received === undefined || dropped === undefined
    ? undefined
    : { captured, received, dropped };
}
