/** The near end of a probe: calls over a byte stream to the agent, each with a deadline. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { messageOf } from '../model/errors.ts';
import {
  type Exchange,
  type ExchangeRequest,
  type Handshake,
  type Probe,
  ProbeError,
  type ProbeStream,
  type ProbeTransport,
  type Receipt,
  type Resolution,
  type ResolveRequest,
  type SampleRequest,
  type Sampling,
} from '../model/probe.ts';
import { gathering } from './gather.ts';
import { lineSplitter } from './lines.ts';
import {
  type ClientLine,
  DEFAULTS,
  MAX_CALL_BYTES,
  MAX_REPLY_BYTES,
  type Method,
  isRecord,
  parseJson,
} from './protocol.ts';
import { RESULT_SHAPES } from './shapes.ts';

export interface ProbeClientOptions {
  /** Longest wait for a method's answer; default: what the request allows the network, and a margin. */
  readonly timeoutMs?: Partial<Record<Method, number>>;
  /** Every call under way and every later one rejects when it is aborted. */
  readonly signal?: AbortSignal;
}

export interface ProbeClient extends Probe {
  /** Rejects what is under way; the agent stays. */
  close(): void;
}

/** What an agent on a busy machine may take beyond the waits of the request. */
const MARGIN_MS = 8_000;
const NONCE_BYTES = 12;
/** How long exchanges wait for others while some are under way. */
const HOLD_MS = 50;
const MOST_TOGETHER = 4 * DEFAULTS.exchangeConcurrency;

/**
 * A probe whose agent listens on this Unix socket, or is reached by this transport. It connects with the first call,
 * again after a loss, and does not keep the process alive while no call is under way. Every call ends: with a result,
 * or with ProbeError.
 */
export function connectProbe(agent: string | ProbeTransport, options: ProbeClientOptions = {}): ProbeClient {
  const transport = typeof agent === 'string' ? { where: agent, open: () => net.connect(agent) } : agent;
  const connection = new Connection(transport, options.signal);

  /** Derived deadlines are for calls whose length the request itself bounds. */
  const call = <T>(method: Method, params: readonly unknown[], expectedMs: number): Promise<T> =>
    connection.call<T>(method, params, options.timeoutMs?.[method] ?? expectedMs + MARGIN_MS);

  /** Longest time-out of those samplings that have not been stopped yet. */
  const samplingTimeouts = new Map<string, number>();

  const exchange = async (
    requests: readonly (ExchangeRequest & { nonce: string })[],
    concurrency: number,
  ): Promise<Exchange[]> => {
    const longest = Math.max(0, ...requests.map(({ timeoutMs = DEFAULTS.exchangeTimeoutMs }) => timeoutMs));
    const expectedMs = Math.ceil(requests.length / concurrency) * longest;
    const exchanges = await call<Exchange[]>('exchange', [requests, { concurrency }], expectedMs);
    checkSameOrder('exchange', requests, exchanges, isAnswerTo);
    return exchanges;
  };
  const exchangeTogether = gathering(
    (requests: readonly (ExchangeRequest & { nonce: string })[]) =>
      exchange(requests, DEFAULTS.exchangeConcurrency),
    { holdMs: HOLD_MS, most: MOST_TOGETHER },
  );

  return {
    facts: () => call('facts', [], 3_000),

    exchange(requests, { concurrency } = {}) {
      const filled = requests.map((request) => ({ ...request, nonce: request.nonce ?? newNonce() }));
      // Whoever says how many at once means that as it is.
      return concurrency === undefined ? exchangeTogether(filled) : exchange(filled, concurrency);
    },

    async handshake(requests) {
      const filled = requests.map((request) => ({ ...request, nonce: request.nonce ?? newNonce() }));
      const longest = Math.max(0, ...filled.map(({ timeoutMs = DEFAULTS.exchangeTimeoutMs }) => timeoutMs));
      const handshakes = await call<Handshake[]>('handshake', [filled], longest);
      checkSameOrder('handshake', filled, handshakes, (answer, request) => answer.nonce === request.nonce);
      return handshakes;
    },

    async received(nonces) {
      const receipts = await call<Receipt[]>('received', [nonces], 0);
      const asked = new Set(nonces);
      const stranger = receipts.find(({ nonce }) => !asked.has(nonce));
      if (stranger) throw new ProbeError('received: the agent names a nonce that was not asked for');
      return receipts;
    },

    ping: (request) => {
      const { count = DEFAULTS.pingCount, intervalMs = DEFAULTS.pingIntervalMs } = request;
      return call('ping', [request], count * intervalMs + (request.timeoutMs ?? DEFAULTS.pingTimeoutMs));
    },
    sweepPathMtu: (request) => call('sweepPathMtu', [request], request.timeoutMs ?? DEFAULTS.sweepTimeoutMs),
    transfer: (request) => {
      const { timeoutMs = DEFAULTS.transferTimeoutMs } = request;
      return call('transfer', [request], DEFAULTS.transferSilences * timeoutMs);
    },

    async resolve(requests) {
      const longest = Math.max(0, ...requests.map(({ timeoutMs = DEFAULTS.resolveTimeoutMs }) => timeoutMs));
      const expectedMs = Math.ceil(requests.length / DEFAULTS.resolveConcurrency) * longest;
      const resolutions = await call<Resolution[]>('resolve', [requests], expectedMs);
      checkSameOrder('resolve', requests, resolutions, isResolutionOf);
      return resolutions;
    },

    async startSampling(request: SampleRequest) {
      const id = await call<string>('startSampling', [request], 0);
      samplingTimeouts.set(id, request.timeoutMs);
      return id;
    },
    stopSampling(id) {
      const timeoutMs = samplingTimeouts.get(id) ?? Math.max(0, ...samplingTimeouts.values());
      samplingTimeouts.delete(id);
      return call<Sampling>('stopSampling', [id], timeoutMs);
    },

    serveThroughput: (request) => callForNothing('serveThroughput', [request], 4_000),
    throughput: (request) => {
      const seconds = request.seconds + (request.omitSeconds ?? 0);
      const { throughputRetryMs, throughputSlackMs } = DEFAULTS;
      // The last attempt may begin when the retries are just over.
      return call('throughput', [request], seconds * 1_000 + throughputRetryMs + throughputSlackMs);
    },
    burst: (request) => {
      const sendingMs = (request.count / request.packetsPerSecond) * 1_000;
      return call('burst', [request], sendingMs + DEFAULTS.burstTallyMs);
    },
    trace: (request) => call('trace', [request], (request.maxHops ?? DEFAULTS.traceMaxHops) * 1_500),
    startBackend: (request) => callForNothing('startBackend', [request], 10_000),
    disturbBackend: (port, event) => callForNothing('disturbBackend', [port, event], 2_000),
    stopBackend: (port) => callForNothing('stopBackend', [port], 1_000),
    forgetPathMtu: () => call('forgetPathMtu', [], 5_000),
    setMtuProbing: (mode) => callForNothing('setMtuProbing', [mode], 0),
    close: () => connection.close(),
  };

  async function callForNothing(
    method: Method,
    params: readonly unknown[],
    expectedMs: number,
  ): Promise<void> {
    await call(method, params, expectedMs);
  }
}

function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString('hex');
}

function checkSameOrder<Q, A>(
  method: Method,
  requests: readonly Q[],
  answers: readonly A[],
  belongs: (answer: A, request: Q) => boolean,
): void {
  const fits =
    answers.length === requests.length &&
    answers.every((answer, index) => belongs(answer, requests[index] as Q));
  if (!fits) throw new ProbeError(`${method}: the agent's answers do not belong to the requests`);
}

function isAnswerTo(answer: Exchange, request: ExchangeRequest): boolean {
  return (
    answer.nonce === request.nonce &&
    answer.protocol === request.protocol &&
    answer.address === request.address &&
    answer.port === request.port
  );
}

function isResolutionOf(answer: Resolution, request: ResolveRequest): boolean {
  return answer.name === request.name && answer.type === request.type && answer.server === request.server;
}

interface PendingCall {
  readonly method: Method;
  readonly settle: (outcome: { readonly result: unknown } | { readonly error: string }) => void;
}

/** One stream at a time, with the calls that wait for an answer on it. */
class Connection {
  readonly #transport: ProbeTransport;
  readonly #signal: AbortSignal | undefined;
  readonly #pending = new Map<number, PendingCall>();
  #socket: ProbeStream | undefined;
  #nextId = 1;
  #closed = false;

  constructor(transport: ProbeTransport, signal: AbortSignal | undefined) {
    this.#transport = transport;
    this.#signal = signal;
  }

  async call<T>(method: Method, params: readonly unknown[], timeoutMs: number): Promise<T> {
    const signal = this.#signal;
    if (this.#closed) throw new ProbeError(`${method}: the probe has been closed`);
    if (signal?.aborted) throw aborted(method, signal);
    const id = this.#nextId++;
    const line = `${JSON.stringify({ id, method, params } satisfies ClientLine)}\n`;
    if (line.length > MAX_CALL_BYTES) throw new ProbeError(`${method}: the request is too large`);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const giveUp = (error: ProbeError): void => {
      if (this.#pending.has(id)) this.#send({ cancel: id });
      reject(error);
    };
    const timer = setTimeout(
      () =>
        giveUp(
          new ProbeError(
            `${method}: no answer from the agent at ${this.#transport.where} within ${timeoutMs} ms`,
          ),
        ),
      timeoutMs,
    );
    const onAbort = (): void => giveUp(aborted(method, signal as AbortSignal));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#pending.set(id, {
      method,
      settle: (outcome) => {
        if ('error' in outcome) reject(new ProbeError(`${method}: ${outcome.error}`));
        else if (RESULT_SHAPES[method](outcome.result)) resolve(outcome.result);
        else reject(new ProbeError(`${method}: the agent's answer does not have the expected shape`));
      },
    });
    try {
      const socket = this.#open();
      socket.ref?.();
      socket.write(line);
      return (await promise) as T;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#socket?.unref?.();
    }
  }

  #send(line: ClientLine): void {
    this.#socket?.write(`${JSON.stringify(line)}\n`);
  }

  #open(): ProbeStream {
    if (this.#socket && !this.#socket.destroyed) return this.#socket;
    const socket: ProbeStream = this.#transport.open();
    this.#socket = socket;
    const lose = (why: string): void => {
      if (this.#socket === socket) this.#lose(why);
    };
    const split = lineSplitter(MAX_REPLY_BYTES, (text) => {
      if (this.#socket === socket && !this.#take(text)) lose('the agent sent garbage');
    });
    socket.on('data', (chunk: Buffer) => {
      if (!split(chunk)) lose('the agent sent an endless line');
    });
    socket.on('error', (error) =>
      lose(`the agent at ${this.#transport.where} is not reachable: ${messageOf(error)}`),
    );
    socket.on('close', () => lose(`the agent at ${this.#transport.where} ended the connection`));
    return socket;
  }

  /** @returns false when this is no answer of an agent */
  #take(text: string): boolean {
    const line = parseJson(text);
    if (!isRecord(line) || typeof line.id !== 'number') return false;
    const pending = this.#pending.get(line.id);
    // Nobody waits any longer for a call that was given up.
    if (!pending) return line.id < this.#nextId;
    if (typeof line.error === 'string') pending.settle({ error: line.error });
    else pending.settle({ result: line.result });
    return true;
  }

  #lose(why: string): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const { settle } of lost) settle({ error: why });
  }

  close(): void {
    this.#closed = true;
    this.#lose('the probe has been closed');
  }
}

function aborted(method: Method, signal: AbortSignal): ProbeError {
  return new ProbeError(`${method}: given up: ${messageOf(signal.reason)}`);
}
