/** One request, one answer, over a fresh socket. */
import dgram from 'node:dgram';
import net from 'node:net';
import type { DialProtocol, Exchange, ExchangeRequest } from '../../model/probe.ts';
import {
  DEFAULTS,
  type EchoAnswer,
  type EchoRequest,
  type Endpoint,
  LARGEST_NONCE,
  LARGEST_PADDING,
  MAX_ECHO_BYTES,
  MOST_HEADERS,
  paddingOf,
  parseEchoAnswer,
  plainAddress,
} from '../protocol.ts';
import { checkAddress, checkInteger, checkList, checkPort, checkRecord, checkTimeout } from './checks.ts';
import { mapLimited } from './concurrency.ts';
import { type Failure, failureOf } from './outcomes.ts';

const PROTOCOLS: readonly DialProtocol[] = ['tcp', 'udp', 'http', 'http2'];
const MOST_REQUESTS = 10_000;
/** A datagram may have 65,507 bytes; the rest is for the JSON around the padding. */
const LARGEST_DATAGRAM_PADDING = 64_000;

interface Dial {
  readonly protocol: DialProtocol;
  readonly address: string;
  readonly port: number;
  readonly nonce: string;
  readonly timeoutMs: number;
  readonly body: string;
  readonly payload: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** How a dial ended: with text from the other side, or without. */
type Ending =
  | { readonly text: string; readonly status?: number }
  | (Failure & { readonly status?: number; readonly text?: undefined });

interface Attempt {
  readonly ending: Ending;
  readonly local?: Endpoint;
}

export async function exchangeAll(
  requests: unknown,
  options: unknown,
  signal: AbortSignal,
): Promise<Exchange[]> {
  const { concurrency = DEFAULTS.exchangeConcurrency } =
    options === undefined ? {} : checkRecord('options', options);
  const dials = checkList('requests', requests, MOST_REQUESTS).map(toDial);
  return mapLimited(dials, checkInteger('concurrency', concurrency, 1, 1_024), (dial) =>
    exchange(dial, signal),
  );
}

function toDial(value: unknown): Dial {
  const request = checkRecord('request', value) as unknown as ExchangeRequest;
  const { protocol, nonce, payload = 0 } = request;
  if (!PROTOCOLS.includes(protocol)) throw new TypeError(`protocol: unknown ${JSON.stringify(protocol)}`);
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > LARGEST_NONCE) {
    throw new TypeError(`nonce: a text of 1 to ${LARGEST_NONCE} characters is expected`);
  }
  const most = protocol === 'udp' ? LARGEST_DATAGRAM_PADDING : LARGEST_PADDING;
  checkInteger('payload', payload, 0, most);
  const reflect = checkList('reflect', request.reflect ?? [], MOST_HEADERS).map(String);
  const body: EchoRequest = {
    nonce,
    ...(payload > 0 && { padding: paddingOf(nonce, payload) }),
    ...(reflect.length > 0 && { reflect }),
  };
  return {
    protocol,
    address: checkAddress(request.address),
    port: checkPort(request.port),
    nonce,
    timeoutMs: checkTimeout(request.timeoutMs, DEFAULTS.exchangeTimeoutMs),
    body: JSON.stringify(body),
    payload,
    headers: checkHeaders(request.headers ?? {}),
  };
}

function checkHeaders(value: unknown): Record<string, string> {
  const entries = Object.entries(checkRecord('headers', value));
  if (entries.length > MOST_HEADERS) throw new TypeError(`headers: at most ${MOST_HEADERS} are expected`);
  return Object.fromEntries(entries.map(([name, text]) => [name, String(text)]));
}

async function exchange(dial: Dial, signal: AbortSignal): Promise<Exchange> {
  signal.throwIfAborted();
  const startedAt = performance.now();
  const { ending, local } = await (dial.protocol === 'udp' ? dialUdp(dial, signal) : dialTcp(dial, signal));
  const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
  const { protocol, address, port, nonce } = dial;
  return {
    protocol,
    address,
    port,
    nonce,
    durationMs,
    ...(local && { local }),
    ...(ending.status !== undefined && { status: ending.status }),
    ...judge(ending, dial),
  };
}

/** `answered` takes one of our workloads, this nonce and the whole payload. */
function judge(
  ending: Ending,
  dial: Dial,
): Pick<Exchange, 'outcome' | 'answeredBy' | 'seenSource' | 'reflected' | 'detail'> {
  if (ending.text === undefined) return { outcome: ending.outcome, detail: ending.detail };
  if (ending.status !== undefined && ending.status !== 200) {
    return { outcome: 'garbled', detail: `HTTP ${ending.status}: ${excerpt(ending.text)}` };
  }
  const answer = parseEchoAnswer(ending.text);
  if (!answer) return { outcome: 'garbled', detail: `not one of our workloads: ${excerpt(ending.text)}` };
  const fault = faultOf(answer, dial);
  const who = {
    answeredBy: answer.identity,
    seenSource: answer.source,
    ...(answer.reflected && { reflected: answer.reflected }),
  };
  return fault ? { outcome: 'garbled', detail: fault, ...who } : { outcome: 'answered', ...who };
}

function faultOf(answer: EchoAnswer, dial: Dial): string | undefined {
  if (answer.nonce !== dial.nonce) return 'the answer carries another nonce';
  const expected = dial.payload > 0 ? paddingOf(dial.nonce, dial.payload) : undefined;
  return answer.padding === expected ? undefined : 'the payload came back changed';
}

function excerpt(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

/** Settles once, at the latest when the time is over or the caller gone. */
function once<T>(
  timeoutMs: number,
  signal: AbortSignal,
  onTimeout: () => T,
): { promise: Promise<T>; settle: (value: T) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => resolve(onTimeout()), timeoutMs);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    settle: resolve,
    promise: promise.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }),
  };
}

async function dialUdp(dial: Dial, signal: AbortSignal): Promise<Attempt> {
  const socket = dgram.createSocket(net.isIPv6(dial.address) ? 'udp6' : 'udp4');
  const { promise, settle } = once<Ending>(dial.timeoutMs, signal, () => silence('no answer'));
  const fail = (error: NodeJS.ErrnoException): void => settle(failureOf(error, false));
  socket.on('error', fail);
  socket.on('message', (message) => settle({ text: message.toString('utf8') }));
  let local: Endpoint | undefined;
  // Connected, so that ICMP errors come back as errors of this socket.
  socket.connect(dial.port, dial.address, ((error?: Error) => {
    if (error) {
      fail(error);
      return;
    }
    const { address, port } = socket.address();
    local = { address: plainAddress(address), port };
    socket.send(dial.body, (failure) => failure && fail(failure));
  }) as () => void);
  try {
    const ending = await promise;
    return { ending, ...(local && { local }) };
  } finally {
    socket.close();
  }
}

function silence(detail: string): Failure {
  return { outcome: 'timed-out', detail };
}

type Talk = (socket: net.Socket, dial: Dial, settle: (ending: Ending) => void) => void;
const TALKS: Record<Exclude<DialProtocol, 'udp'>, Talk> = { tcp: talkLine, http: talkHttp, http2: talkHttp2 };

async function dialTcp(dial: Dial, signal: AbortSignal): Promise<Attempt> {
  let connected = false;
  const socket = net.connect({ host: dial.address, port: dial.port, noDelay: true });
  const { promise, settle } = once<Ending>(dial.timeoutMs, signal, () =>
    silence(connected ? 'connected, but no answer' : 'no answer to the connection request'),
  );
  socket.once('connect', () => (connected = true));
  socket.on('error', (error) => settle(failureOf(error, connected)));
  TALKS[dial.protocol as keyof typeof TALKS](socket, dial, settle);
  try {
    const ending = await promise;
    const { localAddress, localPort } = socket;
    const local = localPort ? { address: plainAddress(localAddress), port: localPort } : undefined;
    return { ending, ...(local && { local }) };
  } finally {
    socket.destroy();
  }
}

const CLOSED: Failure = { outcome: 'closed', detail: 'ended without an answer' };
const TOO_LONG: Failure = { outcome: 'garbled', detail: 'the answer is too long' };

/** Gathers text up to a limit. */
function gather(settle: (ending: Ending) => void): { add: (chunk: Buffer) => boolean; text: () => string } {
  const chunks: Buffer[] = [];
  let length = 0;
  return {
    add: (chunk) => {
      length += chunk.length;
      if (length > MAX_ECHO_BYTES) settle(TOO_LONG);
      else chunks.push(chunk);
      return length <= MAX_ECHO_BYTES;
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}

function talkLine(socket: net.Socket, dial: Dial, settle: (ending: Ending) => void): void {
  const answer = gather(settle);
  socket.write(`${dial.body}\n`);
  socket.on('data', (chunk: Buffer) => {
    if (answer.add(chunk) && chunk.includes(0x0a)) settle({ text: answer.text().split('\n', 1)[0] ?? '' });
  });
  socket.on('end', () => {
    const text = answer.text();
    settle(text === '' ? CLOSED : { outcome: 'garbled', detail: `half an answer: ${excerpt(text)}` });
  });
}

function authorityOf({ address, port }: Dial): string {
  return net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function talkHttp(socket: net.Socket, dial: Dial, settle: (ending: Ending) => void): void {
  const { request: send } = process.getBuiltinModule('node:http');
  const request = send({
    createConnection: () => socket,
    method: 'POST',
    path: '/echo',
    headers: {
      ...dial.headers,
      host: authorityOf(dial),
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(dial.body),
      connection: 'close',
    },
  });
  // Errors of the socket itself come first and say more.
  request.on('error', (error: NodeJS.ErrnoException) => settle(failureOf(error, !socket.connecting)));
  request.on('response', (response) => {
    const answer = gather(settle);
    const status = response.statusCode ?? 0;
    response.on('data', answer.add);
    response.on('end', () => settle({ text: answer.text(), status }));
    response.on('error', (error) => settle({ ...failureOf(error, true), status }));
  });
  request.end(dial.body);
}

function talkHttp2(socket: net.Socket, dial: Dial, settle: (ending: Ending) => void): void {
  const { connect } = process.getBuiltinModule('node:http2');
  const session = connect(`http://${authorityOf(dial)}`, { createConnection: () => socket });
  let connected = false;
  socket.once('connect', () => (connected = true));
  const fail = (error: NodeJS.ErrnoException): void => settle(failureOf(error, connected));
  session.on('error', fail);
  const stream = session.request({
    ...dial.headers,
    ':method': 'POST',
    ':path': '/echo',
    'content-type': 'application/json',
  });
  const answer = gather(settle);
  let status: number | undefined;
  stream.on('error', fail);
  stream.on('response', (headers) => (status = headers[':status'] ?? 0));
  stream.on('data', answer.add);
  stream.on('end', () => {
    if (status !== undefined) settle({ text: answer.text(), status });
  });
  // A connection that ends in good order closes the session without an error.
  session.on('close', () => settle(CLOSED));
  stream.end(dial.body);
}
