/** A TCP stream of messages of given lengths, each answered before the next is sent. */
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import type { Transfer, TransferRequest } from '../../model/probe.ts';
import {
  DEFAULTS,
  LARGEST_MESSAGE,
  MAX_ECHO_BYTES,
  MOST_MESSAGES,
  type TransferOpening,
  parseEchoAnswer,
} from '../protocol.ts';
import { lineSplitter } from '../lines.ts';
import { checkAddress, checkInteger, checkList, checkPort, checkTimeout } from './checks.ts';
import { MessageReader, messageOf } from './messages.ts';
import { failureOf } from './outcomes.ts';
import { runTool } from './tools.ts';

const SS_TIMEOUT_MS = 2_000;

export async function transfer(request: TransferRequest, signal: AbortSignal): Promise<Transfer> {
  const address = checkAddress(request.address);
  const port = checkPort(request.port);
  const timeoutMs = checkTimeout(request.timeoutMs, DEFAULTS.transferTimeoutMs);
  const lengths = checkLengths('lengths', request.lengths);
  const answerLengths = checkLengths('answerLengths', request.answerLengths ?? request.lengths);
  if (lengths.length !== answerLengths.length) {
    throw new TypeError('answerLengths: as many as lengths are expected');
  }
  const socket = net.connect({ host: address, port, noDelay: true });
  try {
    const { arrived, detail } = await exchangeMessages(socket, { lengths, answerLengths }, timeoutMs, signal);
    const complete = arrived.length === lengths.length;
    const facts = request.facts === true ? await socketFacts(socket, signal) : undefined;
    const stalledAt = lengths[arrived.length];
    return {
      complete,
      arrived,
      ...(!complete && stalledAt !== undefined && { stalledAt }),
      ...(detail !== undefined && { detail }),
      ...(facts && { socket: facts }),
    };
  } finally {
    socket.destroy();
  }
}

function checkLengths(name: string, value: unknown): number[] {
  return checkList(name, value, MOST_MESSAGES).map((length) =>
    checkInteger(name, length, 1, LARGEST_MESSAGE),
  );
}

interface Progress {
  readonly arrived: readonly number[];
  /** Why it ended early. */
  readonly detail?: string;
}

function exchangeMessages(
  socket: net.Socket,
  { lengths, answerLengths }: TransferOpening['transfer'],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Progress> {
  const arrived: number[] = [];
  const nonce = randomBytes(8).toString('hex');
  return new Promise((resolve, reject) => {
    let connected = false;
    const finish = (detail?: string): void => {
      clearTimeout(timer);
      clearTimeout(limit);
      signal.removeEventListener('abort', onAbort);
      socket.pause();
      resolve({ arrived, ...(detail !== undefined && { detail }) });
    };
    const timer = setTimeout(() => finish(connected ? 'silence' : 'no connection'), timeoutMs);
    const limit = setTimeout(() => finish('too slow'), DEFAULTS.transferSilences * timeoutMs);
    socket.on('data', () => timer.refresh());
    const onAbort = (): void => {
      clearTimeout(timer);
      clearTimeout(limit);
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => {
      const failure = failureOf(error, connected);
      finish(`${failure.outcome}: ${failure.detail}`);
    });
    socket.on('end', () => finish('the other side ended the connection'));

    const reader = new MessageReader();
    const onMessages = (chunk: Buffer): void => {
      reader.push(chunk);
      const index = arrived.length;
      const answer = reader.take(answerLengths[index] ?? 0);
      if (!answer) return;
      if (!answer.equals(messageOf(index, answer.length)) || reader.buffered > 0) {
        finish('an answer came back changed');
        return;
      }
      arrived.push(lengths[index] as number);
      sendNext();
    };
    const sendNext = (): void => {
      const length = lengths[arrived.length];
      if (length === undefined) finish();
      else socket.write(messageOf(arrived.length, length));
    };
    const onOpening = (chunk: Buffer): void => {
      if (!splitOpening(chunk)) finish('the opening was answered by something else');
    };
    const splitOpening = lineSplitter(MAX_ECHO_BYTES, (line) => {
      socket.off('data', onOpening);
      if (parseEchoAnswer(line)?.nonce !== nonce) {
        finish('the opening was answered by something else');
        return;
      }
      socket.on('data', onMessages);
      sendNext();
    });
    const opening: TransferOpening = { nonce, transfer: { lengths, answerLengths } };
    socket.once('connect', () => {
      connected = true;
      socket.write(`${JSON.stringify(opening)}\n`);
    });
    socket.on('data', onOpening);
  });
}

/** What ss(8) says of one established connection. */
export function parseSocketFacts(text: string): Transfer['socket'] {
  const number = (pattern: RegExp): number | undefined => {
    const found = pattern.exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const pmtu = number(/\bpmtu:(\d+)/);
  const mss = number(/\bmss:(\d+)/);
  if (pmtu === undefined && mss === undefined) return undefined;
  return {
    ...(pmtu !== undefined && { pmtu }),
    ...(mss !== undefined && { mss }),
    // ss leaves the field out while nothing has been sent again.
    retransmits: number(/\bretrans:\d+\/(\d+)/) ?? 0,
  };
}

/** Facts are a figure beside the finding: without ss(8), or when the connection is gone, there are none. */
async function socketFacts(socket: net.Socket, signal: AbortSignal): Promise<Transfer['socket']> {
  const { localPort, remotePort } = socket;
  if (!localPort || !remotePort) return undefined;
  const filter = `( sport = :${localPort} and dport = :${remotePort} )`;
  try {
    const { stdout } = await runTool(['ss', '-tinH', 'state', 'established', filter], {
      timeoutMs: SS_TIMEOUT_MS,
      signal,
    });
    return parseSocketFacts(stdout);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
