/** The questions a probe agent answers, and the observations it answers with. Times in milliseconds unless named. */
import type { Duplex } from 'node:stream';
import type { IpFamily } from './cidr.ts';
import type { Identity, Protocol } from './workload.ts';

export type DialProtocol = Protocol | 'http' | 'http2';

/**
 * How one exchange ended.
 * - `answered`: the nonce came back from something that says who it is.
 * - `refused`: TCP RST, or ICMP port unreachable for UDP, before any answer.
 * - `unreachable`: ICMP net, host or administratively prohibited.
 * - `reset`: the connection was accepted and then reset. `closed`: ended without an answer.
 * - `timed-out`: silence.
 * - `garbled`: something answered that is not one of our workloads, or with another nonce.
 */
export type Outcome =
  'answered' | 'refused' | 'unreachable' | 'reset' | 'closed' | 'timed-out' | 'garbled' | 'error';

export interface ExchangeRequest {
  readonly protocol: DialProtocol;
  readonly address: string;
  readonly port: number;
  /** Filled in by the client when absent. */
  readonly nonce?: string;
  readonly timeoutMs?: number;
  /** Extra payload in the request and again in the answer, bytes each. */
  readonly payload?: number;
  /** HTTP only: headers to send along, and names of headers of which the target says how it received them. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly reflect?: readonly string[];
}

export interface Exchange {
  readonly protocol: DialProtocol;
  readonly address: string;
  readonly port: number;
  readonly nonce: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** Local address and port the request left from; always a fresh socket. */
  readonly local?: { readonly address: string; readonly port: number };
  /** Who answered, and the source address that it saw. */
  readonly answeredBy?: Identity;
  readonly seenSource?: { readonly address: string; readonly port: number };
  /** HTTP status where there was one. */
  readonly status?: number;
  /** The headers asked for, as the target received them; those it did not receive are missing. */
  readonly reflected?: Readonly<Record<string, string>>;
  /** Error code or text as the operating system gave it. */
  readonly detail?: string;
}

/** A nonce as the target received it, whether or not its answer arrived. */
export interface Receipt {
  readonly nonce: string;
  readonly protocol: DialProtocol;
  readonly source: { readonly address: string; readonly port: number };
}

/** A key and the certificates that go with it, leaf first; PEM. */
export interface Credentials {
  readonly certificates: string;
  readonly key: string;
}

/** One TLS handshake, and one HTTP/1.1 request over it. What the server shows is reported, whoever signed it. */
export interface HandshakeRequest {
  readonly address: string;
  readonly port: number;
  /** Server Name Indication. */
  readonly serverName?: string;
  readonly alpn?: readonly string[];
  /** What the client shows when it is asked; nothing when absent. */
  readonly credentials?: Credentials;
  readonly nonce?: string;
  readonly timeoutMs?: number;
}

/**
 * How it ended is known only after writing and reading: with TLS 1.3 a client's handshake is over before the server has
 * seen its certificate (RFC 8446, section 2). `answered`: the nonce came back; an alert is `refused`.
 */
export interface Handshake {
  readonly address: string;
  readonly port: number;
  readonly nonce: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** PEM, the server's own certificate first; empty when it never showed one. */
  readonly chain: readonly string[];
  /** `TLSv1.3` */
  readonly version?: string;
  readonly cipher?: string;
  /** IANA name of the group of the key exchange, as the server chose it. */
  readonly group?: string;
  readonly alpn?: string;
  readonly answeredBy?: Identity;
  readonly status?: number;
  readonly detail?: string;
}

export interface PingRequest {
  readonly address: string;
  readonly count?: number;
  /** 0 sends all at once. */
  readonly intervalMs?: number;
  /** ICMP payload in bytes (an IPv4 packet is 28 more, IPv6 48). */
  readonly payload?: number;
  readonly dontFragment?: boolean;
  readonly timeoutMs?: number;
}
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly rttMs?: { readonly min: number; readonly avg: number; readonly max: number };
  /** Next-hop MTU of an ICMP "fragmentation needed" / "packet too big", or of the local interface. */
  readonly signalledMtu?: number;
  readonly detail?: string;
}

/** Result of probing with DF set, by packet size (IP header included). */
export interface PathMtu {
  readonly family: IpFamily;
  readonly interfaceMtu: number;
  /** Largest packet that arrived and was answered; 0 when none did. */
  readonly mtu: number;
  /** MTU that an ICMP error named, when one did. */
  readonly signalled?: number;
  /** Set when packets larger than this vanish without any ICMP error though the interface would carry them. */
  readonly silentAbove?: number;
  readonly probes: readonly {
    readonly size: number;
    readonly outcome: 'answered' | 'signalled' | 'silent' | 'local';
  }[];
}

/** A stream that sends messages of given lengths and gets each back. */
export interface TransferRequest {
  readonly address: string;
  readonly port: number;
  readonly lengths: readonly number[];
  /** Length that the answer has; default the same as the request's. */
  readonly answerLengths?: readonly number[];
  /** Longest silence: a stream that goes on, however slowly, has not stalled. */
  readonly timeoutMs?: number;
  /** Whether the answer says what the kernel knows of the connection at its end; that starts a program. */
  readonly facts?: boolean;
}
export interface Transfer {
  readonly complete: boolean;
  /** Lengths that arrived intact, in order. */
  readonly arrived: readonly number[];
  readonly stalledAt?: number;
  readonly detail?: string;
  /** Where asked for, of `ss -tin` at the end: path MTU and MSS the kernel uses, segments retransmitted. */
  readonly socket?: { readonly pmtu?: number; readonly mss?: number; readonly retransmits?: number };
}

export type RecordType = 'A' | 'AAAA' | 'SRV' | 'TXT';
/** The record that holds addresses of a family. */
export const ADDRESS_RECORD: Readonly<Record<IpFamily, 'A' | 'AAAA'>> = { ipv4: 'A', ipv6: 'AAAA' };
export interface ResolveRequest {
  readonly server: string;
  readonly port?: number;
  readonly name: string;
  readonly type: RecordType;
  readonly transport?: 'udp' | 'tcp';
  /** EDNS UDP payload size; 0 sends no OPT record, so that 512 bytes hold (RFC 1035). */
  readonly bufferSize?: number;
  readonly timeoutMs?: number;
}
export interface Resolution {
  readonly name: string;
  readonly type: RecordType;
  readonly server: string;
  readonly transport: 'udp' | 'tcp';
  /** `answered` with the response code below; or why there was no response. */
  readonly outcome: 'answered' | 'timed-out' | 'refused' | 'unreachable' | 'error';
  /** RFC 1035 response code as text: NOERROR, NXDOMAIN, SERVFAIL, … */
  readonly rcode?: string;
  readonly authoritative?: boolean;
  readonly truncated?: boolean;
  /** Addresses for A and AAAA, sorted. */
  readonly addresses: readonly string[];
  readonly services: readonly { readonly target: string; readonly port: number }[];
  readonly ttls: readonly number[];
  readonly durationMs: number;
  readonly detail?: string;
}

/** A client that calls an HTTP service at a fixed rate, whatever the answers do (open loop). */
export interface SampleRequest {
  readonly address: string;
  readonly port: number;
  readonly ratePerSecond: number;
  /** `new`: a connection per request. `keep-alive`: a small pool. `stream`: one connection, one line per tick. */
  readonly connections: 'new' | 'keep-alive' | 'stream';
  readonly timeoutMs: number;
  /** Stops by itself after this long; `stopSampling` ends it earlier. */
  readonly durationMs: number;
  /** Connections that are kept alive, taken in turn; 4 unless said. */
  readonly pool?: number;
}
export interface Sample {
  /** Milliseconds since the sampler started, by the open-loop schedule (not by when the request could be sent). */
  readonly at: number;
  readonly latencyMs: number;
  readonly outcome: Outcome | 'server-error';
  readonly cluster?: string;
  readonly workload?: string;
}
export interface Sampling {
  readonly startedAtMs: number;
  readonly samples: readonly Sample[];
}

export interface ThroughputRequest {
  readonly address: string;
  readonly port: number;
  readonly seconds: number;
  readonly streams?: number;
  /** Pace of all streams together, Mbit/s; without it each takes what it can get. */
  readonly megabits?: number;
  /** Seconds at the beginning that do not count. */
  readonly omitSeconds?: number;
}
export interface Throughput {
  readonly outcome: 'measured' | 'error';
  readonly bitsPerSecond: number;
  readonly retransmits?: number;
  readonly meanRttMs?: number;
  readonly pmtu?: number;
  readonly hostCpuPercent?: number;
  readonly remoteCpuPercent?: number;
  /** Busy share of all CPUs while it ran, 0 to 1, from /proc/stat. */
  readonly cpuBusy?: number;
  readonly detail?: string;
}

/** Numbered datagrams at a set rate; the target says what arrived. */
export interface BurstRequest {
  readonly address: string;
  readonly port: number;
  readonly count: number;
  readonly packetsPerSecond: number;
  readonly payload: number;
}
export interface Burst {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
  readonly reordered: number;
  /** RFC 3550 interarrival jitter. */
  readonly jitterMs: number;
  readonly detail?: string;
}

export interface TraceHop {
  readonly ttl: number;
  readonly address?: string;
}
export interface Trace {
  readonly reached: boolean;
  readonly hops: readonly TraceHop[];
}

/** An HTTP service that can be drained, crashed or frozen while the agent stays. */
export interface BackendRequest {
  readonly port: number;
  /** The agent serves it itself, which costs no process; such a backend can neither crash nor freeze. */
  readonly inAgent?: boolean;
}
export type BackendEvent =
  /** SIGKILL: its sockets are reset. */
  | 'crash'
  /** SIGSTOP: the kernel still accepts, nobody answers. */
  | 'freeze'
  /** SIGCONT. */
  | 'thaw'
  /** Answers 503 from now on, also to health checks. */
  | 'fail'
  /** Health turns 503 at once, requests are served until idle, then it ends (what a preStop hook and SIGTERM do). */
  | 'drain';

export interface AgentFacts {
  readonly identity: Identity;
  readonly pid: number;
  readonly interfaceMtu: number;
  /** Version line of each tool the agent drives; null when it is missing. */
  readonly tools: Readonly<Record<'ping' | 'tracepath' | 'ss' | 'iperf3' | 'tcpdump', string | null>>;
  readonly kernel: string;
}

/** Every call rejects with ProbeError when the agent itself failed, never for what the network did. */
export interface Probe {
  facts(): Promise<AgentFacts>;
  /** All at once inside the agent; answers in the order of the requests. */
  exchange(
    requests: readonly ExchangeRequest[],
    options?: { concurrency?: number },
  ): Promise<readonly Exchange[]>;
  /** Each by a connection of its own, all at once. */
  handshake(requests: readonly HandshakeRequest[]): Promise<readonly Handshake[]>;
  /** Which of these nonces reached this workload. */
  received(nonces: readonly string[]): Promise<readonly Receipt[]>;
  ping(request: PingRequest): Promise<PingResult>;
  sweepPathMtu(request: { address: string; floor?: number; timeoutMs?: number }): Promise<PathMtu>;
  transfer(request: TransferRequest): Promise<Transfer>;
  resolve(requests: readonly ResolveRequest[]): Promise<readonly Resolution[]>;
  startSampling(request: SampleRequest): Promise<string>;
  stopSampling(id: string): Promise<Sampling>;
  serveThroughput(request: { port: number }): Promise<void>;
  throughput(request: ThroughputRequest): Promise<Throughput>;
  burst(request: BurstRequest): Promise<Burst>;
  trace(request: { address: string; maxHops?: number }): Promise<Trace>;
  startBackend(request: BackendRequest): Promise<void>;
  disturbBackend(port: number, event: BackendEvent): Promise<void>;
  stopBackend(port: number): Promise<void>;
  /**
   * Flushes cached path MTUs (`ip route flush cache`), so that one test does not teach the next.
   * @returns false where the workload has no right to: then what was learnt stays for ten minutes
   */
  forgetPathMtu(): Promise<boolean>;
  /** Sets `net.ipv4.tcp_mtu_probing` of this workload's own network namespace (RFC 4821): 0 off, 1 after a black hole. */
  setMtuProbing(mode: 0 | 1): Promise<void>;
}

/** The agent broke, is not there or did not answer in time: the case is inconclusive. */
export class ProbeError extends Error {
  override readonly name = 'ProbeError';
}

/** A stream that keeps the process alive until told otherwise, as a socket does; other streams never do. */
export type ProbeStream = Duplex & { ref?(): unknown; unref?(): unknown };

/** The way to an agent that listens on no socket of this machine. */
export interface ProbeTransport {
  /** For people: where the agent is. */
  readonly where: string;
  /** A new stream to it, at once; what is written before it is open is kept. It fails by its `error` event. */
  open(): ProbeStream;
}

export interface CaptureSummary {
  /** Packets that the filter matched. */
  readonly packets: number;
  readonly bytes: number;
  readonly markerPackets: number;
  /** Conversations seen, largest first: `udp 198.18.0.2:51820 > 198.18.0.3:51820`. */
  readonly flows: readonly { readonly flow: string; readonly packets: number; readonly bytes: number }[];
  /** tcpdump says how many packets the kernel dropped before it could read them. */
  readonly droppedByKernel: number;
}
