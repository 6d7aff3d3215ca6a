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
const MOST_ROUNDS = 24;
const CONFIRMATIONS = 2;

/** Pure search over an injected probe: largest size that passes, found with few rounds of parallel probes. */
export async function searchPathMtu(
  probe: (size: number) => Promise<SizeProbe>,
  { family, interfaceMtu, floor }: { family: IpFamily; interfaceMtu: number; floor: number },
): Promise<PathMtu> {
  const ceiling = Math.min(interfaceMtu, LARGEST);
  const probes: { size: number; outcome: SizeOutcome }[] = [];
  const passed = new Set<number>();
  const failed = new Map<number, SizeProbe>();
  const named = new Set<number>();

  const ask = async (sizes: readonly number[]): Promise<void> => {
    const answers = await Promise.all(sizes.map(async (size) => ({ size, ...(await probe(size)) })));
    for (const { size, outcome, mtu } of answers) {
      probes.push({ size, outcome });
      if (outcome === 'answered') {
        passed.add(size);
        failed.delete(size);
      } else if (!passed.has(size)) failed.set(size, { outcome, ...(mtu !== undefined && { mtu }) });
      if (outcome === 'signalled' && mtu !== undefined) named.add(mtu);
    }
  };
  const low = (): number => Math.max(0, ...passed);
  const high = (): number => Math.min(ceiling + 1, ...[...failed.keys()].filter((size) => size > low()));
  const tried = new Set<number>();
  const narrow = async (): Promise<void> => {
    for (let round = 0; round < MOST_ROUNDS && high() - low() > 1; round++) {
      const hint = [...named].find((mtu) => mtu > low() && mtu < high() && !tried.has(mtu));
      if (hint !== undefined) tried.add(hint);
      await ask(
        hint === undefined ? between(low(), high()) : [hint, hint + 1].filter((size) => size < high()),
      );
    }
  };

  await ask([...new Set([Math.min(floor, ceiling), ceiling])]);
  if (passed.size === 0 && floor > SMALLEST[family]) await ask([SMALLEST[family]]);
  for (let pass = 0; pass < MOST_ROUNDS && passed.size > 0; pass++) {
    await narrow();
    if (await confirmed(low(), ask, passed, failed)) break;
  }

  const mtu = low();
  const above = failed.get(mtu + 1);
  return {
    family,
    interfaceMtu,
    mtu,
    ...(named.size > 0 && { signalled: Math.min(...named) }),
    ...(mtu > 0 && mtu < ceiling && above?.outcome === 'silent' && { silentAbove: mtu }),
    probes,
  };
}

/** Asks for the boundary again: chance losses must not shift it. */
async function confirmed(
  boundary: number,
  ask: (sizes: readonly number[]) => Promise<void>,
  passed: Set<number>,
  failed: Map<number, SizeProbe>,
): Promise<boolean> {
  let held = 0;
  for (let time = 0; time < CONFIRMATIONS; time++) {
    passed.delete(boundary);
    await ask([boundary, boundary + 1]);
    if (passed.has(boundary + 1)) return false;
    if (passed.has(boundary)) held++;
  }
  if (held === 0) return false;
  passed.add(boundary);
  failed.delete(boundary);
  return true;
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
    throw new Error(`the search for the path MTU did not end within ${timeoutMs} ms`);
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
