/** The largest packet that passes with "don't fragment", and whether larger ones are refused aloud. */
import dgram from 'node:dgram';
import { randomBytes } from 'node:crypto';
import type { IpFamily } from '../../model/cidr.ts';
import type { PathMtu } from '../../model/probe.ts';
import { PORTS } from '../../model/workload.ts';
import { DEFAULTS, type EchoRequest, paddingOf, parseEchoAnswer } from '../protocol.ts';
import { checkAddress, checkInteger, checkTimeout } from './checks.ts';
import { mtuTowards } from './links.ts';
import { ICMP_HEADERS, familyOf, runPing } from './ping.ts';

type SizeOutcome = PathMtu['probes'][number]['outcome'];

export interface SizeProbe {
  readonly outcome: SizeOutcome;
  /** MTU that an ICMP error named. */
  readonly mtu?: number;
}

/** Where the search starts. Below IPv6's minimum of 1280, so that a path that violates it is measured too. */
const DEFAULT_FLOOR = 1_200;
/** A ping with its usual 56 bytes: what passes if anything does. */
const SMALLEST = { ipv4: 84, ipv6: 104 } as const;
/** Length fields have 16 bits. */
const LARGEST = 65_535;
/** Sizes tried at once in a stretch where nothing is signalled. */
const AT_ONCE = 8;
const MOST_ROUNDS = 40;
const CONFIRMATIONS = 2;

/**
 * Pure search over an injected probe: the largest size that passes, found with few rounds of parallel probes.
 * @throws Error when the answers contradict each other to the end
 */
export async function searchPathMtu(
  probe: (size: number) => Promise<SizeProbe>,
  { family, interfaceMtu, floor }: { family: IpFamily; interfaceMtu: number; floor: number },
): Promise<PathMtu> {
  const ceiling = Math.min(interfaceMtu, LARGEST);
  const findings = new Findings(probe, ceiling);
  await findings.ask([ceiling]);
  await findings.followHints();
  for (const size of [Math.min(floor, ceiling), SMALLEST[family]]) {
    if (findings.low === 0) await findings.ask([size]);
  }
  while (findings.low > 0) {
    await findings.narrow();
    if (await findings.confirm()) break;
  }
  const { low: mtu, named, probes } = findings;
  return {
    family,
    interfaceMtu,
    mtu,
    ...(named.size > 0 && { signalled: Math.min(...named) }),
    ...(mtu > 0 && mtu < ceiling && findings.isSilent(mtu + 1) && { silentAbove: mtu }),
    probes,
  };
}

/** What is known of each size so far. */
class Findings {
  readonly probes: { size: number; outcome: SizeOutcome }[] = [];
  /** MTUs that ICMP errors named. */
  readonly named = new Set<number>();
  readonly #probe: (size: number) => Promise<SizeProbe>;
  readonly #ceiling: number;
  readonly #passed = new Set<number>();
  readonly #failed = new Map<number, SizeOutcome>();
  readonly #tried = new Set<number>();
  #rounds = 0;

  constructor(probe: (size: number) => Promise<SizeProbe>, ceiling: number) {
    this.#probe = probe;
    this.#ceiling = ceiling;
  }

  /** Largest size that passes; 0 for none. */
  get low(): number {
    return Math.max(0, ...this.#passed);
  }

  /** Smallest size above that fails. */
  get #high(): number {
    const above = [...this.#failed.keys()].filter((size) => size > this.low);
    return Math.min(this.#ceiling + 1, ...above);
  }

  isSilent(size: number): boolean {
    return this.#failed.get(size) === 'silent';
  }

  async ask(sizes: readonly number[]): Promise<void> {
    if (this.#rounds++ > MOST_ROUNDS)
      throw new Error('the path MTU cannot be told: packets are lost by chance');
    const answers = await Promise.all(sizes.map(async (size) => ({ size, ...(await this.#probe(size)) })));
    for (const { size, outcome, mtu } of answers) {
      this.probes.push({ size, outcome });
      if (outcome === 'signalled' && mtu !== undefined) this.named.add(mtu);
      if (outcome === 'answered') {
        this.#passed.add(size);
        this.#failed.delete(size);
      } else if (!this.#passed.has(size) && this.#failed.get(size) !== 'signalled') {
        this.#failed.set(size, outcome);
      }
    }
  }

  /** Tries the sizes that ICMP errors named, and the ones above them. */
  async followHints(): Promise<void> {
    for (let hint = this.#nextHint(); hint !== undefined; hint = this.#nextHint()) {
      this.#tried.add(hint);
      const high = this.#high;
      await this.ask([hint, hint + 1].filter((size) => size < high));
    }
  }

  #nextHint(): number | undefined {
    return [...this.named].find((mtu) => mtu > this.low && mtu < this.#high && !this.#tried.has(mtu));
  }

  /** Closes in on the boundary: where an ICMP error put it, else by trying sizes between. */
  async narrow(): Promise<void> {
    while (this.#high - this.low > 1) {
      await this.ask(between(this.low, this.#high));
      await this.followHints();
    }
  }

  /**
   * Asks for both sides of a silent boundary again: losses by chance must not shift it. An answer below and a refusal
   * above leave nothing to chance.
   */
  async confirm(): Promise<boolean> {
    const boundary = this.low;
    if (!this.isSilent(boundary + 1)) return true;
    let held = 0;
    for (let time = 0; time < CONFIRMATIONS; time++) {
      this.#passed.delete(boundary);
      await this.ask([boundary, boundary + 1]);
      if (this.#passed.has(boundary + 1)) {
        // So what was silent may have been lost by chance as well.
        for (const [size, outcome] of this.#failed) if (outcome === 'silent') this.#failed.delete(size);
        return false;
      }
      if (this.#passed.has(boundary)) held++;
    }
    if (held === 0) return false;
    this.#passed.add(boundary);
    this.#failed.delete(boundary);
    return true;
  }
}

/** Up to AT_ONCE sizes spread evenly between two sizes, both excluded. */
function between(low: number, high: number): number[] {
  const count = Math.min(AT_ONCE, high - low - 1);
  return Array.from(
    { length: count },
    (_, index) => low + Math.round(((high - low) * (index + 1)) / (count + 1)),
  );
}

/** Waits for an answer: generous at first, then a multiple of the round trip that was seen. */
const FIRST_WAIT_MS = 1_000;
const SHORTEST_WAIT_MS = 350;
const ROUND_TRIPS = 4;
const COPIES = 2;
const COPY_INTERVAL_MS = 10;

/**
 * Each size is asked twice over: by ping with DF, whose answer is as large as the request, and by a datagram to the
 * echo service, which Linux sends with DF as long as it fits the path MTU it knows (ip(7), IP_PMTUDISC_WANT), and
 * whose answer is small. So a black hole on the way back is not taken for one on the way there.
 */
export async function sweepPathMtu(
  request: { address: string; floor?: number; timeoutMs?: number },
  callSignal: AbortSignal,
): Promise<PathMtu> {
  const address = checkAddress(request.address);
  const family = familyOf(address);
  const timeoutMs = checkTimeout(request.timeoutMs, DEFAULTS.sweepTimeoutMs);
  const floor = checkInteger('floor', request.floor ?? DEFAULT_FLOOR, SMALLEST[family], LARGEST);
  const signal = AbortSignal.any([callSignal, AbortSignal.timeout(timeoutMs)]);
  const interfaceMtu = await mtuTowards(address, signal);
  if (interfaceMtu === undefined) return { family, interfaceMtu: 0, mtu: 0, probes: [] };
  const echo = new OneWayEcho(address);
  let waitMs = FIRST_WAIT_MS;
  try {
    return await searchPathMtu(
      async (size) => {
        const { probe, rttMs } = await probeSize(address, { size, interfaceMtu, waitMs, echo }, signal);
        if (rttMs !== undefined)
          waitMs = Math.min(FIRST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, ROUND_TRIPS * rttMs));
        return probe;
      },
      { family, interfaceMtu, floor },
    );
  } catch (error) {
    if (callSignal.aborted || !signal.aborted) throw error;
    throw new Error(`the search for the path MTU did not end within ${timeoutMs} ms`, { cause: error });
  } finally {
    echo.close();
  }
}

async function probeSize(
  address: string,
  options: { size: number; interfaceMtu: number; waitMs: number; echo: OneWayEcho },
  signal: AbortSignal,
): Promise<{ probe: SizeProbe; rttMs?: number }> {
  const { size, interfaceMtu, waitMs, echo } = options;
  const arrived = size <= interfaceMtu ? echo.send(size) : () => false;
  const report = await runPing(
    {
      address,
      count: COPIES,
      intervalMs: COPY_INTERVAL_MS,
      timeoutMs: waitMs,
      payload: size - ICMP_HEADERS[familyOf(address)],
      dontFragment: true,
    },
    signal,
  );
  if (report.received > 0) {
    return { probe: { outcome: 'answered' }, ...(report.rttMs && { rttMs: report.rttMs.max }) };
  }
  const mtu = report.signalledMtu;
  // A path MTU that the kernel remembers makes it refuse by itself, naming a smaller MTU than the interface has.
  if (mtu !== undefined && mtu < interfaceMtu) return { probe: { outcome: 'signalled', mtu } };
  if (size > interfaceMtu) return { probe: { outcome: 'local' } };
  return { probe: { outcome: arrived() ? 'answered' : 'silent' } };
}

/** Datagrams of a given packet size to the echo service of the target, which answers with a short one. */
class OneWayEcho {
  readonly #socket: dgram.Socket;
  readonly #headers: number;
  readonly #ready: Promise<unknown>;
  readonly #arrived = new Set<string>();

  constructor(address: string) {
    const family = familyOf(address);
    this.#headers = ICMP_HEADERS[family];
    this.#socket = dgram.createSocket(family === 'ipv6' ? 'udp6' : 'udp4');
    this.#socket.on('error', () => {});
    this.#socket.on('message', (message) => {
      const answer = parseEchoAnswer(message.toString('utf8'));
      if (answer) this.#arrived.add(answer.nonce);
    });
    this.#ready = new Promise<void>((resolve) => this.#socket.connect(PORTS.echo, address, () => resolve()));
  }

  /** @returns asks whether it was answered meanwhile */
  send(size: number): () => boolean {
    const nonce = randomBytes(8).toString('hex');
    const bare = JSON.stringify({ nonce, short: true, padding: '' }).length;
    // UDP and ICMP echo have headers of the same length.
    const space = size - this.#headers - bare;
    if (space >= 0) {
      const body: EchoRequest = { nonce, short: true, padding: paddingOf(nonce, space) };
      void this.#ready.then(() => this.#send(JSON.stringify(body)));
    }
    return () => this.#arrived.has(nonce);
  }

  #send(text: string): void {
    try {
      for (let copy = 0; copy < COPIES; copy++) this.#socket.send(text, () => {});
    } catch {
      // Not connected, because there is no route, or closed already: then ping says what there is to say.
    }
  }

  close(): void {
    this.#socket.close();
  }
}
