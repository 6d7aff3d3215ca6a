/** A client at a fixed rate, whatever the answers do. */
import type { Agent, ClientRequest } from 'node:http';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Sample, SampleRequest, Sampling } from '../../model/probe.ts';
import { lineSplitter } from '../lines.ts';
import { MAX_ECHO_BYTES, isIdentity, isRecord, parseEchoAnswer, parseJson } from '../protocol.ts';
import { checkAddress, checkNumber, checkPort } from './checks.ts';
import { failureOf } from './outcomes.ts';

const MOST_SAMPLES = 100_000;
const MOST_IN_FLIGHT = 4_096;
/** Samplings that nobody stopped are kept up to this number; then the oldest ended one is forgotten. */
const MOST_KEPT = 64;
const POOL_SIZE = 4;
const MOST_POOLED = 1_024;
/**
 * A timer fires up to this late. A sample that starts within it counts from when it started; a later one, because the
 * process was held up, from when it should have started ("coordinated omission").
 */
const TIMER_RESOLUTION_MS = 1.5;

type Result = Omit<Sample, 'at' | 'latencyMs'>;
/** Sends one request; calls back exactly once, at the latest after `timeoutMs`. */
interface Caller {
  call(timeoutMs: number, done: (result: Result) => void): void;
  close(): void;
}

interface Plan {
  readonly address: string;
  readonly port: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly durationMs: number;
  readonly connections: SampleRequest['connections'];
  readonly pool: number;
}

export class Samplers {
  readonly #samplers = new Map<string, Sampler>();

  start(request: SampleRequest): string {
    const plan = toPlan(request);
    if (this.#samplers.size >= MOST_KEPT) {
      const ended = [...this.#samplers].find(([, sampler]) => sampler.ended);
      if (!ended) throw new Error(`${MOST_KEPT} samplings are running already`);
      this.#samplers.delete(ended[0]);
    }
    const id = randomBytes(4).toString('hex');
    this.#samplers.set(id, new Sampler(plan));
    return id;
  }

  /** Resolves when the requests under way have ended too; none takes longer than its time-out. */
  async stop(id: unknown): Promise<Sampling> {
    const sampler = this.#samplers.get(String(id));
    if (!sampler) throw new Error(`there is no sampling ${JSON.stringify(id)}`);
    this.#samplers.delete(String(id));
    return sampler.stop();
  }
}

function toPlan(request: SampleRequest): Plan {
  const rate = checkNumber('ratePerSecond', request.ratePerSecond, 0.01, 5_000);
  const timeoutMs = checkNumber('timeoutMs', request.timeoutMs, 1, 120_000);
  const durationMs = checkNumber('durationMs', request.durationMs, 1, 3_600_000);
  if ((rate * durationMs) / 1_000 > MOST_SAMPLES) {
    throw new TypeError(`ratePerSecond × durationMs is more than ${MOST_SAMPLES} samples`);
  }
  if ((rate * timeoutMs) / 1_000 > MOST_IN_FLIGHT) {
    throw new TypeError(`ratePerSecond × timeoutMs is more than ${MOST_IN_FLIGHT} requests under way`);
  }
  if (!['new', 'keep-alive', 'stream'].includes(request.connections)) {
    throw new TypeError(`connections: unknown ${JSON.stringify(request.connections)}`);
  }
  return {
    address: checkAddress(request.address),
    port: checkPort(request.port),
    intervalMs: 1_000 / rate,
    timeoutMs,
    durationMs,
    connections: request.connections,
    pool: Math.trunc(checkNumber('pool', request.pool ?? POOL_SIZE, 1, MOST_POOLED)),
  };
}

function callerFor(plan: Plan): Caller {
  if (plan.connections === 'stream') return new StreamCaller(plan);
  return new RequestCaller(plan, plan.connections === 'keep-alive' ? plan.pool : 0);
}

class Sampler {
  readonly #plan: Plan;
  readonly #caller: Caller;
  readonly #startedAtMs = Date.now();
  readonly #origin = performance.now();
  readonly #samples: Sample[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #ticks = 0;
  #underWay = 0;
  #stopped = false;
  ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#caller = callerFor(plan);
    this.#tick();
  }

  async stop(): Promise<Sampling> {
    this.#finish();
    await this.#ended.promise;
    return { startedAtMs: this.#startedAtMs, samples: this.#samples.toSorted((a, b) => a.at - b.at) };
  }

  #finish(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (!this.#stopped || this.#underWay > 0 || this.ended) return;
    this.ended = true;
    this.#caller.close();
    this.#ended.resolve();
  }

  /** Sends all that is due, then waits for the next instant of the schedule. */
  #tick(): void {
    const { intervalMs, durationMs } = this.#plan;
    for (;;) {
      const at = this.#ticks * intervalMs;
      if (at >= durationMs) {
        this.#finish();
        return;
      }
      const waitMs = at - (performance.now() - this.#origin);
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#tick(), waitMs);
        return;
      }
      this.#ticks++;
      this.#send(at);
    }
  }

  #send(at: number): void {
    const scheduled = this.#origin + at;
    const now = performance.now();
    const late = now - scheduled;
    const from = late <= TIMER_RESOLUTION_MS ? now : scheduled;
    this.#underWay++;
    const record = (result: Result): void => {
      const latencyMs = Math.round((performance.now() - from) * 1_000) / 1_000;
      this.#samples.push({ at: Math.round(at * 1_000) / 1_000, latencyMs, ...result });
      this.#underWay--;
      this.#endIfIdle();
    };
    const leftMs = this.#plan.timeoutMs - (now - from);
    if (leftMs <= 0) record({ outcome: 'timed-out' });
    else this.#caller.call(leftMs, record);
  }
}

function answeredBy(identity: { cluster: string; workload: string }): Result {
  return { outcome: 'answered', cluster: identity.cluster, workload: identity.workload };
}

/** HTTP requests, each over a connection of its own, or over a pool. */
class RequestCaller implements Caller {
  readonly #plan: Plan;
  /**
   * One agent for each connection of the pool, taken in turn: each keeps one idle connection and opens another while
   * that one is busy. A connection that went dead silently is noticed only by a time-out, and then discarded.
   */
  readonly #pool: readonly Agent[];
  #turn = 0;

  constructor(plan: Plan, poolSize: number) {
    this.#plan = plan;
    const { Agent } = process.getBuiltinModule('node:http');
    this.#pool = Array.from({ length: poolSize }, () => new Agent({ keepAlive: true, maxFreeSockets: 1 }));
  }

  call(timeoutMs: number, done: (result: Result) => void): void {
    const { request: send } = process.getBuiltinModule('node:http');
    const { address, port } = this.#plan;
    const agent = this.#pool[this.#turn++ % Math.max(1, this.#pool.length)] ?? false;
    const request = send({ host: address, port, path: '/echo', agent });
    let over = false;
    const settle = (result: Result): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      done(result);
    };
    const timer = setTimeout(() => {
      settle({ outcome: 'timed-out' });
      request.destroy();
    }, timeoutMs);
    let connected = false;
    request.on('socket', (socket) => {
      connected = !socket.connecting;
      if (!connected) socket.once('connect', () => (connected = true));
    });
    request.on('error', (error) => settle({ outcome: failureOf(error, connected).outcome }));
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length <= MAX_ECHO_BYTES) return;
        settle({ outcome: 'garbled' });
        request.destroy();
      });
      response.on('end', () => settle(judgeResponse(response.statusCode ?? 0, text)));
      response.on('error', (error) => settle({ outcome: failureOf(error, true).outcome }));
    });
    request.end();
  }

  close(): void {
    for (const agent of this.#pool) agent.destroy();
  }
}

function judgeResponse(status: number, text: string): Result {
  if (status >= 500) return { outcome: 'server-error' };
  const answer = status === 200 ? parseEchoAnswer(text) : undefined;
  return answer ? answeredBy(answer.identity) : { outcome: 'garbled' };
}

interface PendingLine {
  readonly line: string;
  readonly done: (result: Result) => void;
  readonly timer: NodeJS.Timeout;
}

/** One long-lived request: a line for each tick, answered in order. It reconnects when the connection has died. */
class StreamCaller implements Caller {
  readonly #plan: Plan;
  #request: ClientRequest | undefined;
  #pending: PendingLine[] = [];
  #lines = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  call(timeoutMs: number, done: (result: Result) => void): void {
    this.#request ??= this.#connect();
    const line = String(this.#lines++);
    // Answers come in order: when this one is late, all before and after it on this connection are lost.
    const timer = setTimeout(() => this.#drop('timed-out'), timeoutMs);
    this.#pending.push({ line, done, timer });
    this.#request.write(`${line}\n`);
  }

  #connect(): ClientRequest {
    const { request: send } = process.getBuiltinModule('node:http');
    const { address, port } = this.#plan;
    const socket = net.connect({ host: address, port, noDelay: true });
    let connected = false;
    socket.once('connect', () => (connected = true));
    const request = send({
      createConnection: () => socket,
      method: 'POST',
      path: '/stream',
      headers: {
        host: net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
        'transfer-encoding': 'chunked',
      },
    });
    const drop = (outcome: Result['outcome']): void => {
      if (this.#request === request) this.#drop(outcome);
    };
    request.on('error', (error) => drop(failureOf(error, connected).outcome));
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        drop((response.statusCode ?? 0) >= 500 ? 'server-error' : 'garbled');
        return;
      }
      const split = lineSplitter(MAX_ECHO_BYTES, (text) => {
        if (this.#request === request) this.#take(text);
      });
      response.on('data', (chunk: Buffer) => {
        if (!split(chunk)) drop('garbled');
      });
      response.on('end', () => drop('closed'));
      response.on('error', (error) => drop(failureOf(error, true).outcome));
    });
    request.flushHeaders();
    return request;
  }

  #take(text: string): void {
    const answer = parseJson(text);
    const expected = this.#pending.shift();
    if (!expected) return;
    clearTimeout(expected.timer);
    if (isRecord(answer) && answer.line === expected.line && isIdentity(answer.identity)) {
      expected.done(answeredBy(answer.identity));
      return;
    }
    expected.done({ outcome: 'garbled' });
    this.#drop('garbled');
  }

  #drop(outcome: Result['outcome']): void {
    const request = this.#request;
    const lost = this.#pending;
    this.#request = undefined;
    this.#pending = [];
    request?.destroy();
    for (const { timer, done } of lost) {
      clearTimeout(timer);
      done({ outcome });
    }
  }

  close(): void {
    this.#drop('closed');
  }
}
