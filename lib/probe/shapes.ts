/** Whether what came over the socket has the shape it must have: garbage must never become an observation. */
import type { DialProtocol, Outcome, Probe, RecordType } from '../model/probe.ts';
import { type Method, isIdentity, isRecord } from './protocol.ts';

type Shape = (value: unknown) => boolean;

const text: Shape = (value) => typeof value === 'string';
const truth: Shape = (value) => typeof value === 'boolean';
/** Every figure of a probe is a count, a time, a size or a rate. */
const figure: Shape = (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0;
const count: Shape = (value) => figure(value) && Number.isInteger(value);
const nothing: Shape = (value) => value === null;
const flag: Shape = (value) => typeof value === 'boolean';
const oneOf =
  <T extends string>(values: Record<T, true>): Shape =>
  (value) =>
    typeof value === 'string' && Object.hasOwn(values, value);
const optional =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || shape(value);
const listOf =
  (shape: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.every(shape);
const object =
  (fields: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    isRecord(value) && Object.entries(fields).every(([key, shape]) => shape(value[key]));
const both =
  (...shapes: readonly Shape[]): Shape =>
  (value) =>
    shapes.every((shape) => shape(value));

const OUTCOMES: Record<Outcome, true> = {
  answered: true,
  refused: true,
  unreachable: true,
  reset: true,
  closed: true,
  'timed-out': true,
  garbled: true,
  error: true,
};
const PROTOCOLS: Record<DialProtocol, true> = { tcp: true, udp: true, http: true, http2: true };
const RECORD_TYPES: Record<RecordType, true> = { A: true, AAAA: true, SRV: true, TXT: true };

const endpoint = object({ address: text, port: count });
const identity: Shape = isIdentity;

const textByName: Shape = (value) => isRecord(value) && Object.values(value).every(text);

const exchange = both(
  object({
    protocol: oneOf(PROTOCOLS),
    address: text,
    port: count,
    nonce: text,
    outcome: oneOf(OUTCOMES),
    durationMs: figure,
    local: optional(endpoint),
    answeredBy: optional(identity),
    seenSource: optional(endpoint),
    status: optional(count),
    reflected: optional(textByName),
    detail: optional(text),
  }),
  (value) => {
    const { outcome, answeredBy, seenSource } = value as Record<string, unknown>;
    return outcome !== 'answered' || (answeredBy !== undefined && seenSource !== undefined);
  },
);

const handshake = both(
  object({
    address: text,
    port: count,
    nonce: text,
    outcome: oneOf(OUTCOMES),
    durationMs: figure,
    chain: listOf(text),
    version: optional(text),
    cipher: optional(text),
    group: optional(text),
    alpn: optional(text),
    answeredBy: optional(identity),
    status: optional(count),
    detail: optional(text),
  }),
  (value) => {
    const { outcome, answeredBy } = value as Record<string, unknown>;
    return outcome !== 'answered' || answeredBy !== undefined;
  },
);

const sample = both(
  object({
    at: figure,
    latencyMs: figure,
    outcome: oneOf({ ...OUTCOMES, 'server-error': true }),
    cluster: optional(text),
    workload: optional(text),
  }),
  (value) => {
    const { outcome, cluster, workload } = value as Record<string, unknown>;
    return outcome !== 'answered' || (cluster !== undefined && workload !== undefined);
  },
);

const throughput = both(
  object({
    outcome: oneOf({ measured: true, error: true }),
    bitsPerSecond: figure,
    retransmits: optional(count),
    meanRttMs: optional(figure),
    pmtu: optional(count),
    hostCpuPercent: optional(figure),
    remoteCpuPercent: optional(figure),
    cpuBusy: optional(figure),
    detail: optional(text),
  }),
  (value) => {
    const { outcome, bitsPerSecond } = value as Record<string, unknown>;
    return outcome === 'error' || (bitsPerSecond as number) > 0;
  },
);

const version: Shape = (value) => value === null || text(value);

export const RESULT_SHAPES: Readonly<Record<Method, Shape>> = {
  facts: object({
    identity,
    pid: count,
    interfaceMtu: count,
    kernel: text,
    tools: object({ ping: version, tracepath: version, ss: version, iperf3: version, tcpdump: version }),
  }),
  exchange: listOf(exchange),
  handshake: listOf(handshake),
  received: listOf(object({ nonce: text, protocol: oneOf(PROTOCOLS), source: endpoint })),
  ping: object({
    sent: count,
    received: count,
    rttMs: optional(object({ min: figure, avg: figure, max: figure })),
    signalledMtu: optional(count),
    detail: optional(text),
  }),
  sweepPathMtu: object({
    family: oneOf({ ipv4: true, ipv6: true }),
    interfaceMtu: count,
    mtu: count,
    signalled: optional(count),
    silentAbove: optional(count),
    probes: listOf(
      object({ size: count, outcome: oneOf({ answered: true, signalled: true, silent: true, local: true }) }),
    ),
  }),
  transfer: object({
    complete: truth,
    arrived: listOf(count),
    stalledAt: optional(count),
    detail: optional(text),
    socket: optional(object({ pmtu: optional(count), mss: optional(count), retransmits: optional(count) })),
  }),
  resolve: listOf(
    object({
      name: text,
      type: oneOf(RECORD_TYPES),
      server: text,
      transport: oneOf({ udp: true, tcp: true }),
      outcome: oneOf({ answered: true, 'timed-out': true, refused: true, unreachable: true, error: true }),
      rcode: optional(text),
      authoritative: optional(truth),
      truncated: optional(truth),
      addresses: listOf(text),
      services: listOf(object({ target: text, port: count })),
      ttls: listOf(count),
      durationMs: figure,
      detail: optional(text),
    }),
  ),
  startSampling: text,
  stopSampling: object({ startedAtMs: figure, samples: listOf(sample) }),
  serveThroughput: nothing,
  throughput,
  burst: object({
    sent: count,
    received: count,
    duplicates: count,
    reordered: count,
    jitterMs: figure,
    detail: optional(text),
  }),
  trace: object({ reached: truth, hops: listOf(object({ ttl: count, address: optional(text) })) }),
  startBackend: nothing,
  disturbBackend: nothing,
  stopBackend: nothing,
  forgetPathMtu: flag,
  setMtuProbing: nothing,
} satisfies Record<keyof Probe, Shape>;
