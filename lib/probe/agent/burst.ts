/** Numbered datagrams at a set rate; the target counts them and is asked afterwards. */
import dgram from 'node:dgram';
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Burst, BurstRequest } from '../../model/probe.ts';
import { lineSplitter } from '../lines.ts';
import { DEFAULTS, type TallyAnswer, type TallyRequest, isRecord, parseJson } from '../protocol.ts';
import { checkAddress, checkInteger, checkNumber, checkPort } from './checks.ts';
import { MOST_DATAGRAMS, SMALLEST_DATAGRAM, encodeDatagram } from './flows.ts';

const LONGEST_MS = 120_000;
const LARGEST_PAYLOAD = 65_507;
/** For what is still on the way when the last datagram has been sent. */
const SETTLE_MS = 100;
const TALLY_ATTEMPTS = 4;
const TALLY_TCP_MS = 900;

export async function burst(request: BurstRequest, signal: AbortSignal): Promise<Burst> {
  const address = checkAddress(request.address);
  const port = checkPort(request.port);
  const count = checkInteger('count', request.count, 1, MOST_DATAGRAMS);
  const rate = checkNumber('packetsPerSecond', request.packetsPerSecond, 1, 200_000);
  const payload = checkInteger('payload', request.payload, SMALLEST_DATAGRAM, LARGEST_PAYLOAD);
  if ((count / rate) * 1_000 > LONGEST_MS) {
    throw new TypeError(`count ÷ packetsPerSecond is more than ${LONGEST_MS / 1_000} s`);
  }
  const socket = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  try {
    const failure = await connect(socket, address, port);
    if (failure) return { sent: 0, received: 0, duplicates: 0, reordered: 0, jitterMs: 0, detail: failure };
    const flow = randomBytes(8).toString('hex');
    const { sent, error } = await sendAll(socket, { flow, count, rate, payload }, signal);
    await wait(SETTLE_MS, undefined, { signal });
    const tally =
      (await tallyByUdp(socket, flow, signal)) ?? (await tallyByTcp({ address, port, flow }, signal));
    const { received = 0, duplicates = 0, reordered = 0, jitterMs = 0 } = tally ?? {};
    const detail = [
      error,
      tally ? undefined : 'the tally could not be fetched: the target answers neither by UDP nor by TCP',
      tally && !tally.known ? 'the target has seen nothing of this burst' : undefined,
    ].filter((text) => text !== undefined);
    return {
      ...{ sent, received, duplicates, reordered, jitterMs },
      ...(detail.length > 0 && { detail: detail.join('; ') }),
    };
  } finally {
    socket.close();
  }
}

function connect(socket: dgram.Socket, address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.connect(port, address, ((error?: Error) => resolve(error?.message)) as () => void);
  });
}

async function sendAll(
  socket: dgram.Socket,
  { flow, count, rate, payload }: { flow: string; count: number; rate: number; payload: number },
  signal: AbortSignal,
): Promise<{ sent: number; error?: string }> {
  let failed = 0;
  let firstError: string | undefined;
  // ICMP errors arrive here; a failed send in its callback.
  const note = (error: Error | null): void => {
    if (error) firstError ??= error.message;
  };
  socket.on('error', note);
  const startedAt = performance.now();
  for (let sequence = 0; sequence < count; sequence++) {
    const waitMs = (sequence / rate) * 1_000 - (performance.now() - startedAt);
    if (waitMs > 0) await wait(waitMs, undefined, { signal });
    signal.throwIfAborted();
    const datagram = encodeDatagram({ flow, sequence, sentUs: performance.now() * 1_000 }, payload);
    socket.send(datagram, (error) => {
      if (error) failed++;
      note(error);
    });
  }
  await wait(0, undefined, { signal });
  return { sent: count - failed, ...(firstError !== undefined && { error: firstError }) };
}

function parseTally(text: string, flow: string): TallyAnswer | undefined {
  const value = parseJson(text);
  const counts = ['received', 'duplicates', 'reordered', 'jitterMs'];
  if (!isRecord(value) || value.tally !== flow || typeof value.known !== 'boolean') return undefined;
  return counts.every((key) => Number.isFinite(value[key])) ? (value as unknown as TallyAnswer) : undefined;
}

/** From the same socket, so that behind a service address the same backend answers. */
async function tallyByUdp(
  socket: dgram.Socket,
  flow: string,
  signal: AbortSignal,
): Promise<TallyAnswer | undefined> {
  const { promise, resolve } = Promise.withResolvers<TallyAnswer>();
  socket.on('message', (message) => {
    const answer = parseTally(message.toString('utf8'), flow);
    if (answer) resolve(answer);
  });
  const question: TallyRequest = { tally: flow };
  const intervalMs = (DEFAULTS.burstTallyMs - TALLY_TCP_MS) / TALLY_ATTEMPTS;
  for (let attempt = 0; attempt < TALLY_ATTEMPTS; attempt++) {
    socket.send(JSON.stringify(question), () => {});
    const answer = await Promise.race([promise, wait(intervalMs, undefined, { signal, ref: false })]);
    if (answer) return answer;
  }
  return undefined;
}

async function tallyByTcp(
  { address, port, flow }: { address: string; port: number; flow: string },
  signal: AbortSignal,
): Promise<TallyAnswer | undefined> {
  const socket = net.connect({ host: address, port });
  const { promise, resolve } = Promise.withResolvers<TallyAnswer | undefined>();
  const split = lineSplitter(4_096, (line) => resolve(parseTally(line, flow)));
  socket.on('data', (chunk: Buffer) => {
    if (!split(chunk)) resolve(undefined);
  });
  socket.on('error', () => resolve(undefined));
  socket.on('close', () => resolve(undefined));
  socket.write(`${JSON.stringify({ tally: flow } satisfies TallyRequest)}\n`);
  try {
    return await Promise.race([promise, wait(TALLY_TCP_MS, undefined, { signal, ref: false })]);
  } finally {
    socket.destroy();
  }
}
