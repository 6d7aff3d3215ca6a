/** Starts tcpdump(1) in a network namespace of the lab. */
import path from 'node:path';
import { randomHex } from '../../system/clock.ts';
import { readBytes, readIfPresent, removePath } from '../../system/files.ts';
import { isAlive, sendSignal, startTimeOf } from '../../system/processes.ts';
import { LISTENING, type RunningTcpdump, type View, tcpdumpCommand } from '../capture/tcpdump.ts';
import { startInNetns } from './namespace.ts';
import { untilReady } from './processes.ts';

const START_MS = 10_000;

/** @returns once tcpdump listens, so that no packet sent from now on is missed */
export async function startTcpdump(
  place: { readonly run: string; readonly netns: string; readonly folder: string },
  view: View,
): Promise<RunningTcpdump> {
  const base = path.join(place.folder, `capture-${randomHex(4)}`);
  const files = { pcap: `${base}.pcap`, log: `${base}.log` };
  const pid = await startInNetns(place.netns, tcpdumpCommand(view, files.pcap), {
    run: place.run,
    logPath: files.log,
  });
  const log = async (): Promise<string> => (await readIfPresent(files.log)) ?? '';
  await untilReady(
    { name: 'tcpdump', pid, logPath: files.log },
    async () => (await log()).includes(LISTENING),
    { timeoutMs: START_MS },
  );
  const startTime = (await startTimeOf(pid)) ?? '';
  return {
    pollMs: 10,
    log,
    async signal(name) {
      sendSignal(pid, name);
    },
    hasEnded: async () => !(await isAlive(pid, startTime)),
    readPcap: () => readBytes(files.pcap),
    async remove() {
      await Promise.all([removePath(files.pcap), removePath(files.log)]);
    },
  };
}
