/** Captures packets with tcpdump(1), wherever a provider starts it. */
import type { Capture, Gateway } from '../../model/cluster.ts';
import type { CaptureSummary } from '../../model/probe.ts';
import { systemClock } from '../../system/clock.ts';
import type { Command } from '../../system/commands.ts';
import { shared } from '../concurrency.ts';
import { summarisePcap } from './pcap.ts';

const CATCH_UP_MS = 2_000;
const END_MS = 5_000;
/** The largest packet that offloading makes, and its Ethernet header. */
const SNAPSHOT_BYTES = 65_600;
/** Each packet takes a whole frame of the largest size in immediate mode: there is room for 250. */
const BUFFER_KIB = 16_384;

type CaptureRequest = Parameters<Gateway['startCapture']>[0];
/** What a tcpdump looks at. */
export type View = Omit<CaptureRequest, 'marker'>;

/** A tcpdump that runs, as whoever started it can reach it; its clock is that of this process. */
export interface RunningTcpdump {
  /** Between two questions, in milliseconds: what a question costs depends on who is asked. */
  readonly pollMs: number;
  /** Whatever it has printed so far. */
  log(): Promise<string>;
  signal(name: 'SIGUSR1' | 'SIGINT'): Promise<void>;
  hasEnded(): Promise<boolean>;
  readPcap(): Promise<Buffer>;
  /** Removes its files. */
  remove(): Promise<void>;
}

export const tcpdumpCommand = (view: View, pcap: string): Command => [
  'tcpdump',
  '-i',
  view.interface,
  '-n',
  '-U',
  '-w',
  pcap,
  '--immediate-mode',
  `--buffer-size=${BUFFER_KIB}`,
  `--snapshot-length=${SNAPSHOT_BYTES}`,
  '--relinquish-privileges=root',
  ...(view.filter ? [view.filter] : []),
];

/** Printed once no packet that is sent from then on is missed. */
export const LISTENING = 'listening on';

interface Shared {
  readonly tap: Promise<Tap>;
  users: number;
}

/** The captures of one gateway: those that run at the same time and look at the same packets share one tcpdump. */
export class Captures {
  readonly #start: (view: View) => Promise<RunningTcpdump>;
  readonly #taps = new Map<string, Shared>();

  /** @param start resolves once tcpdump listens */
  constructor(start: (view: View) => Promise<RunningTcpdump>) {
    this.#start = start;
  }

  /** @returns once no packet that is sent from then on is missed. Stopped twice, it gives the same summary */
  async start({ marker, ...view }: CaptureRequest): Promise<Capture> {
    const key = `${view.interface} ${view.filter}`;
    const entry = this.#taps.get(key) ?? {
      tap: this.#start(view).then((tcpdump) => new Tap(tcpdump)),
      users: 0,
    };
    this.#taps.set(key, entry);
    entry.users++;
    let tap: Tap;
    try {
      tap = await entry.tap;
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    }
    // The clock counts whole milliseconds, and what was seen within this one may have been sent before.
    const since = systemClock.now() + 1;
    while (systemClock.now() < since) await systemClock.sleep(1);
    const stop = async (): Promise<CaptureSummary> => {
      try {
        return await tap.summarise(marker, since);
      } catch (error) {
        // Who comes next is not to share what is broken.
        this.#forget(key, entry);
        throw error;
      } finally {
        if (--entry.users === 0) {
          this.#forget(key, entry);
          await tap.end();
        }
      }
    };
    let summary: Promise<CaptureSummary> | undefined;
    return { stop: () => (summary ??= stop()) };
  }

  #forget(key: string, entry: Shared): void {
    if (this.#taps.get(key) === entry) this.#taps.delete(key);
  }
}

/** One tcpdump, and the file that it writes. */
class Tap {
  readonly #tcpdump: RunningTcpdump;
  /** Resolves when everything is in the file that the kernel had let through when it was asked. */
  readonly #catchUp: () => Promise<void>;

  constructor(tcpdump: RunningTcpdump) {
    this.#tcpdump = tcpdump;
    this.#catchUp = shared(() => catchUp(tcpdump));
  }

  /** What it has seen since then, milliseconds since the epoch, up to now. */
  async summarise(marker: string, since: number): Promise<CaptureSummary> {
    if (await this.#tcpdump.hasEnded()) {
      throw new Error(`tcpdump ended before it should: ${(await this.#tcpdump.log()).trim()}`);
    }
    await this.#catchUp();
    const summary = summarisePcap(await this.#tcpdump.readPcap(), marker, since);
    return { ...summary, droppedByKernel: countsIn(await this.#tcpdump.log()).at(-1)?.dropped ?? 0 };
  }

  async end(): Promise<void> {
    await this.#tcpdump.signal('SIGINT');
    const ended = await repeatUntil(END_MS, async () => {
      await systemClock.sleep(this.#tcpdump.pollMs);
      return this.#tcpdump.hasEnded();
    });
    if (!ended) throw new Error(`tcpdump did not end as it should: ${(await this.#tcpdump.log()).trim()}`);
    await this.#tcpdump.remove();
  }
}

async function catchUp(tcpdump: RunningTcpdump): Promise<void> {
  const printedBefore = countsIn(await tcpdump.log()).length;
  let wanted: number | undefined;
  await repeatUntil(CATCH_UP_MS, async () => {
    await tcpdump.signal('SIGUSR1');
    await systemClock.sleep(tcpdump.pollMs);
    const printed = countsIn(await tcpdump.log()).slice(printedBefore);
    // More may come for as long as others send.
    wanted ??= printed[0]?.received;
    const last = printed.at(-1);
    return last !== undefined && wanted !== undefined && last.captured + last.dropped >= wanted;
  });
  if (wanted === undefined) {
    throw new Error(`tcpdump does not say what it has captured: ${(await tcpdump.log()).trim()}`);
  }
}

async function repeatUntil(limitMs: number, attempt: () => Promise<boolean>): Promise<boolean> {
  const end = systemClock.monotonic() + limitMs;
  do {
    if (await attempt()) return true;
  } while (systemClock.monotonic() < end);
  return false;
}

interface Counts {
  readonly captured: number;
  readonly received: number;
  readonly dropped: number;
}

/** All counts that tcpdump has printed, in order; a line that is still being written is left out. */
export function countsIn(words: string): Counts[] {
  // On one line when asked by SIGUSR1, on three at the end.
  const printed = words.matchAll(
    /(\d+) packets? captured[,\n] ?(\d+) packets? received by filter[,\n] ?(\d+) packets? dropped by kernel(?=[,\n])/g,
  );
  return [...printed].map(([, captured, received, dropped]) => ({
    captured: Number(captured),
    received: Number(received),
    dropped: Number(dropped),
  }));
}
