/** What client and agent say over the Unix socket, and what callers and targets say over the network. */
import type { DialProtocol, Probe } from '../model/probe.ts';
import type { Identity } from '../model/workload.ts';

export type Method = keyof Probe;

/** One JSON line from the client. */
export type ClientLine =
  | { readonly id: number; readonly method: string; readonly params: readonly unknown[] }
  /** The caller no longer waits for this call. */
  | { readonly cancel: number };

/** One JSON line from the agent. */
export type AgentLine =
  { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

/** Longest line the agent takes, and longest answer the client takes, in bytes. */
export const MAX_CALL_BYTES = 4 * 1024 * 1024;
export const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/** Defaults that the agent applies and the client derives its deadlines from; milliseconds. */
export const DEFAULTS = {
  exchangeTimeoutMs: 1_000,
  exchangeConcurrency: 64,
  pingCount: 3,
  pingIntervalMs: 200,
  pingTimeoutMs: 1_000,
  sweepTimeoutMs: 10_000,
  transferTimeoutMs: 5_000,
  /** A transfer may take as long as so many of its longest silences. */
  transferSilences: 3,
  resolveTimeoutMs: 1_000,
  resolveConcurrency: 64,
  traceMaxHops: 16,
  /** How long a throughput client keeps trying while the server is busy or not yet up. */
  throughputRetryMs: 3_000,
  /** Beyond the measured seconds: connecting, slow start of the tool, exchange of results. */
  throughputSlackMs: 5_000,
  burstTallyMs: 2_500,
} as const;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What a caller sends: a line over TCP, a datagram over UDP, a body over HTTP. */
export interface EchoRequest {
  readonly nonce: string;
  readonly padding?: string;
  /** Leave the padding out of the answer, so that only the way there carries a large packet. */
  readonly short?: true;
  /** Names of request headers that the answer repeats (HTTP only). */
  readonly reflect?: readonly string[];
}

/** What a target answers. */
export interface EchoAnswer {
  readonly identity: Identity;
  readonly nonce: string;
  readonly protocol: DialProtocol;
  /** Where the request came from, as the target saw it. */
  readonly source: Endpoint;
  readonly padding?: string;
  readonly reflected?: Readonly<Record<string, string>>;
}

/** Opens a stream of messages on the TCP echo port; answered by one line `EchoAnswer`, then raw bytes both ways. */
export interface TransferOpening {
  readonly nonce: string;
  readonly transfer: { readonly lengths: readonly number[]; readonly answerLengths: readonly number[] };
}

/** Asks for the tally of a burst, by UDP or TCP; answered by `TallyAnswer`. */
export interface TallyRequest {
  readonly tally: string;
}
export interface TallyAnswer {
  readonly tally: string;
  readonly known: boolean;
  readonly received: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly jitterMs: number;
}

export const LARGEST_NONCE = 128;
/** Longest request a target reads: a line, a body or a datagram. */
export const MAX_ECHO_BYTES = 2 * 1024 * 1024;
export const MOST_HEADERS = 16;
export const LARGEST_PADDING = 1024 * 1024;
export const LARGEST_MESSAGE = 16 * 1024 * 1024;
export const MOST_MESSAGES = 1_024;

/** Text of this length made of the nonce repeated: a capture finds it however the stream is cut into packets. */
export function paddingOf(nonce: string, length: number): string {
  return nonce.repeat(Math.ceil(length / nonce.length)).slice(0, length);
}

/** An IPv4 address that arrived through a dual-stack socket is written as IPv4. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isIdentity(value: unknown): value is Identity {
  return (
    isRecord(value) &&
    ['cluster', 'namespace', 'workload', 'instance'].every((key) => typeof value[key] === 'string')
  );
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isTextByName = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((text) => typeof text === 'string');

/** The answer of one of our workloads; undefined for anything else. */
export function parseEchoAnswer(text: string): EchoAnswer | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || !isIdentity(value.identity) || typeof value.nonce !== 'string') return undefined;
  const { source } = value;
  if (!isRecord(source) || typeof source.address !== 'string' || typeof source.port !== 'number') {
    return undefined;
  }
  if (value.reflected !== undefined && !isTextByName(value.reflected)) return undefined;
  return value as unknown as EchoAnswer;
}
