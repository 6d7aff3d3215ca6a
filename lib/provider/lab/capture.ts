/** Captures packets with tcpdump(1) in a network namespace of the lab. */
import path from 'node:path';
import type { Capture, Gateway } from '../../model/cluster.ts';
import type { CaptureSummary } from '../../model/probe.ts';
import { randomHex, systemClock } from '../../system/clock.ts';
import { readBytes, readIfPresent, removePath } from '../../system/files.ts';
import { isAlive, sendSignal, startTimeOf } from '../../system/processes.ts';
import { startInNetns } from './namespace.ts';
import { summarisePcap } from './pcap.ts';
import { untilReady } from './processes.ts';

const START_MS = 10_000;
const CATCH_UP_MS = 2_000;
const END_MS = 5_000;
const POLL_MS = 10;
/** Each packet takes a whole frame of the largest size in immediate mode. */
const BUFFER_KIB = 32_768;

type Request = Parameters<Gateway['startCapture']>[0];

/** @returns once tcpdump listens, so that no packet sent from now on is missed */
export async function startCapture(
  place: { readonly run: string; readonly netns: string; readonly folder: string },
  request: Request,
): Promise<Capture> {
  const base = path.join(place.folder, `capture-${randomHex(4)}`);
  const files = { pcap: `${base}.pcap`, log: `${base}.log` };
  const pid = await startInNetns(
    place.netns,
    [
      'tcpdump',
      '-i',
      request.interface,
      '-n',
      '-U',
      '-w',
      files.pcap,
      '--immediate-mode',
      `--buffer-size=${BUFFER_KIB}`,
      '--snapshot-length=0',
      '--relinquish-privileges=root',
      ...(request.filter ? [request.filter] : []),
    ],
    { run: place.run, logPath: files.log },
  );
  await untilReady({ name: 'tcpdump', pid, logPath: files.log }, () => listens(files.log), {
    timeoutMs: START_MS,
  });
  const startTime = (await startTimeOf(pid)) ?? '';
  let summary: Promise<CaptureSummary> | undefined;
  return { stop: () => (summary ??= stopCapture({ pid, startTime }, files, request.marker)) };
}

const listens = async (log: string): Promise<boolean> =>
  ((await readIfPresent(log)) ?? '').includes('listening on');

async function stopCapture(
  process: { pid: number; startTime: string },
  files: { pcap: string; log: string },
  marker: string,
): Promise<CaptureSummary> {
  // What the kernel has handed over but tcpdump has not yet read would be lost with SIGINT.
  await repeatUntil(CATCH_UP_MS, async () => {
    sendSignal(process.pid, 'SIGUSR1');
    await systemClock.sleep(POLL_MS);
    const counts = parseCounts((await readIfPresent(files.log)) ?? '');
    return counts !== undefined && counts.captured + counts.dropped >= counts.received;
  });
  sendSignal(process.pid, 'SIGINT');
  const ended = await repeatUntil(END_MS, async () => {
    await systemClock.sleep(POLL_MS);
    return !(await isAlive(process.pid, process.startTime));
  });
  const words = (await readIfPresent(files.log)) ?? '';
  const counts = parseCounts(words);
  if (!ended || !counts) throw new Error(`tcpdump did not end as it should: ${words.trim()}`);
  const summary = summarisePcap(await readBytes(files.pcap), marker);
  await Promise.all([removePath(files.pcap), removePath(files.log)]);
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
