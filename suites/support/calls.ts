/** Calls from one workload to another: how they are made, and what may be concluded from how they ended. */
import type { Site, Toolkit } from '../../lib/model/check.ts';
import type { CauseCode } from '../../lib/model/causes.ts';
import { parseAddress } from '../../lib/model/cidr.ts';
import type { DialProtocol, Exchange, Outcome } from '../../lib/model/probe.ts';
import { median } from '../../lib/model/statistics.ts';
import { type Verdict, failed, inconclusive, passed } from '../../lib/model/verdict.ts';
import { PORTS } from '../../lib/model/workload.ts';

/** Fresh sockets of each check, so that one lucky answer proves nothing. */
export const TRIES = 5;
/** A SYN is sent again after one second (RFC 6298), so that a single lost one is still noticed as slow, not as silence. */
export const CALL_TIMEOUT_MS = 3_000;
/** For what ought to pass and did not: so long no machine that runs at all is busy with other things. */
export const PATIENT_TIMEOUT_MS = 4_000;

/** No SYN to send again here, and whether the request arrives is known long before. */
const WAY_TIMEOUT_MS = 1_000;

export const PORT_OF: Record<DialProtocol, number> = {
  tcp: PORTS.echo,
  udp: PORTS.echo,
  http: PORTS.http,
  http2: PORTS.http2,
};

const SHOWN_PROTOCOL: Record<DialProtocol, string> = {
  tcp: 'TCP',
  udp: 'UDP',
  http: 'HTTP/1.1',
  http2: 'HTTP/2',
};

/** One end of a call, as it stands in the record. */
export interface Party {
  readonly cluster: string;
  /** `namespace/name` */
  readonly workload: string;
  readonly address: string;
}

export const partyOf = (site: Site): Party => ({
  cluster: site.cluster,
  workload: site.key,
  address: site.address,
});

/** Exchanges, and which of their nonces the target says it received. */
export interface Tries {
  readonly exchanges: readonly Exchange[];
  readonly arrived: readonly string[];
}

/** Calls of one workload to another. */
export interface Calls extends Tries {
  readonly caller: Party;
  readonly target: Party;
  readonly protocol: DialProtocol;
  readonly wanted: number;
  /** UDP nonces on the same way, sent when calls met silence: a lost SYN-ACK looks like a lost SYN to the caller. */
  readonly way?: Tries;
}

type Nonces = Pick<Toolkit, 'nonce'>;

async function tryCalls(
  caller: Site,
  target: Site,
  protocol: DialProtocol,
  toolkit: Nonces,
  timeoutMs: number,
): Promise<Tries> {
  const exchanges = await caller.exchange(
    Array.from({ length: TRIES }, () => ({
      protocol,
      address: target.address,
      port: PORT_OF[protocol],
      nonce: toolkit.nonce(),
      timeoutMs,
    })),
  );
  return { exchanges, arrived: await arrivedOf(target, exchanges) };
}

/**
 * Nonces of exchanges that the target received: those that it gave back under its own name, and of the others those that
 * it says it received.
 */
export async function arrivedOf(target: Site, exchanges: readonly Exchange[]): Promise<string[]> {
  const cameBack = (exchange: Exchange): boolean =>
    exchange.outcome === 'answered' && isIntended(exchange, partyOf(target));
  const others = exchanges.filter((exchange) => !cameBack(exchange)).map(({ nonce }) => nonce);
  const receipts = others.length > 0 ? await target.received(others) : [];
  return [...exchanges.filter(cameBack), ...receipts].map(({ nonce }) => nonce);
}

export async function callWorkload(
  caller: Site,
  target: Site,
  protocol: DialProtocol,
  toolkit: Nonces,
): Promise<Calls> {
  const tries = await tryCalls(caller, target, protocol, toolkit, CALL_TIMEOUT_MS);
  const silent = tries.exchanges.some(({ outcome }) => outcome === 'timed-out');
  const way = silent && protocol !== 'udp' ? await probeWay(caller, target, toolkit) : undefined;
  return {
    caller: partyOf(caller),
    target: partyOf(target),
    protocol,
    wanted: TRIES,
    ...tries,
    ...(way && { way }),
  };
}

/** UDP nonces from caller to target, for what has no nonce that the target could log. */
export function probeWay(caller: Site, target: Site, toolkit: Nonces): Promise<Tries> {
  return tryCalls(caller, target, 'udp', toolkit, WAY_TIMEOUT_MS);
}

/** Two texts for one address count as the same (RFC 5952 has IPv6 in one form, people do not). */
export function sameAddress(a: string, b: string): boolean {
  try {
    const [left, right] = [parseAddress(a), parseAddress(b)];
    return left.family === right.family && left.value === right.value;
  } catch {
    return a === b;
  }
}

/** What the exchanges can not be judged for; undefined when they can. */
export function malformed(exchanges: readonly Exchange[], wanted: number): Verdict | undefined {
  if (exchanges.length === 0 || exchanges.length !== wanted) {
    return inconclusive('probe-failed', `${exchanges.length} of ${wanted} calls were reported`);
  }
  const unknown = exchanges.find(({ outcome }) => !isOutcome(outcome));
  if (unknown)
    return inconclusive('probe-failed', `A call ended as "${unknown.outcome}", which means nothing`);
  const broken = exchanges.find(({ outcome }) => outcome === 'error');
  if (broken) {
    return inconclusive('probe-failed', `The caller could not call: ${broken.detail ?? 'no reason given'}`);
  }
  const anonymous = exchanges.some(
    ({ outcome, answeredBy, seenSource }) => outcome === 'answered' && !(answeredBy && seenSource),
  );
  return anonymous
    ? inconclusive('probe-failed', 'An answer does not say who gave it and which source it saw')
    : undefined;
}

const isIntended = ({ answeredBy }: Exchange, target: Party): boolean =>
  answeredBy?.cluster === target.cluster &&
  `${answeredBy.namespace}/${answeredBy.workload}` === target.workload;

const placeOf = ({ cluster, workload, address }: Party): string => `${cluster}/${workload} (${address})`;

export const answererOf = ({ answeredBy }: Exchange): string =>
  answeredBy ? `${answeredBy.cluster}/${answeredBy.namespace}/${answeredBy.workload}` : 'nobody we know';

/** All calls answered by the intended workload, which saw the caller's own address. */
export function judgeCalls(calls: Calls): Verdict {
  const { caller, target, exchanges, wanted } = calls;
  const broken = malformed(exchanges, wanted);
  if (broken) return broken;
  const details = {
    expected: `${placeOf(target)} answers ${SHOWN_PROTOCOL[calls.protocol]} from ${placeOf(caller)}, ${wanted} of ${wanted} times, and sees that address`,
    reproduce: {
      at: `${caller.cluster}/${caller.workload}`,
      command: callCommand(calls.protocol, target.address, PORT_OF[calls.protocol]),
    },
  };
  const answered = exchanges.filter(({ outcome }) => outcome === 'answered');
  const stranger = answered.find((exchange) => !isIntended(exchange, target));
  if (stranger) {
    return failed('wrong-answerer', `${target.address} is answered by another workload`, {
      ...details,
      seen: `${answererOf(stranger)} answered`,
    });
  }
  if (answered.length === 0) return judgeUnanswered(calls, details);
  const lost = exchanges.length - answered.length;
  if (lost > 0) {
    return failed('packets-lost', `${lost} of ${wanted} calls were lost`, {
      ...details,
      seen: `${answered.length} of ${wanted} calls answered, ${countOutcomes(exchanges)}; ${lossOf(calls)}`,
      figures: { lost: { value: lost, unit: 'calls' }, calls: { value: wanted, unit: 'calls' } },
    });
  }
  const rewritten = answered.find(
    ({ seenSource }) => !sameAddress(seenSource?.address ?? '', caller.address),
  );
  if (rewritten) {
    return failed('source-rewritten', 'The target sees another source address than the caller has', {
      ...details,
      seen: `answered, but the target saw ${rewritten.seenSource?.address}`,
    });
  }
  return passed(`${wanted} of ${wanted} answered by ${target.cluster}/${target.workload}, source kept`, {
    'median time': { value: median(exchanges.map(({ durationMs }) => durationMs)), unit: 'ms' },
  });
}

type Details = Pick<Verdict, 'reproduce'> & { readonly expected: string };

function judgeUnanswered(calls: Calls, details: Details): Verdict {
  const outcome = commonest(calls.exchanges.map((each) => each.outcome)) ?? 'timed-out';
  const seen = countOutcomes(calls.exchanges);
  const { caller, target } = calls;
  const [from, to] = [caller.cluster, target.cluster];
  switch (outcome) {
    case 'refused':
      return failed('connection-refused', `Refused on the way or by the target itself`, { ...details, seen });
    case 'unreachable':
      return failed('no-route', `A router between ${from} and ${to} says unreachable`, { ...details, seen });
    case 'garbled': {
      const status = calls.exchanges.find((each) => each.status !== undefined)?.status;
      return status === undefined
        ? failed('wrong-answerer', 'Something answers that is none of our workloads', { ...details, seen })
        : failed('proxy-refused', `A proxy answers with HTTP status ${status}`, { ...details, seen });
    }
    case 'reset':
    case 'closed':
      return calls.arrived.length > 0
        ? failed('reply-lost', 'The request arrived, then the connection was cut', { ...details, seen })
        : failed('connection-refused', 'The connection is accepted and cut before the request arrives', {
            ...details,
            seen,
          });
    default:
      return judgeSilence(calls, details, seen);
  }
}

function judgeSilence(calls: Calls, details: Details, seen: string): Verdict {
  const { caller, target } = calls;
  const arrived = calls.arrived.length > 0 || (calls.way?.arrived.length ?? 0) > 0;
  const udpAnswered = calls.way?.exchanges.some(({ outcome }) => outcome === 'answered') ?? false;
  const told = { ...details, seen: `${seen}; ${lossOf(calls)}` };
  if (udpAnswered && calls.arrived.length === 0) {
    const name = SHOWN_PROTOCOL[calls.protocol];
    return failed('request-lost', `${name} is swallowed on the way, UDP is not`, told);
  }
  return arrived
    ? failed('reply-lost', `The way back from ${target.cluster} to ${caller.cluster} loses everything`, told)
    : failed('request-lost', `Nothing from ${caller.cluster} arrives in ${target.cluster}`, told);
}

/** In words: what the target itself says of the calls that were not answered. */
function lossOf({ exchanges, arrived, way, target }: Calls): string {
  const unanswered = exchanges.filter(({ outcome }) => outcome !== 'answered');
  const received = unanswered.filter(({ nonce }) => arrived.includes(nonce)).length;
  const own = `${target.cluster}/${target.workload} received ${received} of these ${unanswered.length} requests`;
  return way
    ? `${own}, and ${way.arrived.length} of ${way.exchanges.length} UDP nonces sent after them on the same way`
    : own;
}

const SHOWN_OUTCOME: Record<Outcome, string> = {
  answered: 'answered',
  refused: 'refused (RST or port unreachable)',
  unreachable: 'unreachable (ICMP)',
  reset: 'accepted, then reset',
  closed: 'accepted, then closed without an answer',
  'timed-out': 'without any answer',
  garbled: 'answered by something else',
  error: 'not sent',
};

export const shownOutcome = (outcome: Outcome): string => SHOWN_OUTCOME[outcome];

/** Records may come from anywhere. */
export const isOutcome = (outcome: Outcome): boolean => Object.hasOwn(SHOWN_OUTCOME, outcome);

/** `3 without any answer, 2 refused (RST or port unreachable)`: all but the good ones. */
export function countOutcomes(exchanges: readonly { readonly outcome: Outcome }[]): string {
  const bad = exchanges.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'answered');
  return [...Map.groupBy(bad, (outcome) => outcome)]
    .map(([outcome, group]) => `${group.length} ${shownOutcome(outcome)}`)
    .join(', ');
}

export function commonest<T>(values: readonly T[]): T | undefined {
  const groups = [...Map.groupBy(values, (value) => value)].toSorted((a, b) => b[1].length - a[1].length);
  return groups[0]?.[0];
}

/** The cause of a call that met this, when nothing is known of what the target received. */
export function causeOfOutcome(outcome: Outcome): CauseCode {
  switch (outcome) {
    case 'refused':
    case 'reset':
    case 'closed':
      return 'connection-refused';
    case 'unreachable':
      return 'no-route';
    case 'garbled':
    case 'answered':
      return 'wrong-answerer';
    case 'error':
      return 'probe-failed';
    default:
      return 'request-lost';
  }
}

/** The same by hand, with nothing but bash (its /dev/tcp and /dev/udp) and coreutils. */
export function callCommand(protocol: DialProtocol, address: string, port: number): string {
  const request = {
    tcp: `echo '\\''{"nonce":"by-hand"}'\\'' >&3; head -n 1 <&3`,
    udp: `echo '\\''{"nonce":"by-hand"}'\\'' >&3; head -c 300 <&3`,
    http: `printf "GET /healthz HTTP/1.1\\r\\nHost: ${address}\\r\\nConnection: close\\r\\n\\r\\n" >&3; cat <&3`,
    // The connection preface and an empty SETTINGS frame (RFC 9113, section 3.4); the answer is a SETTINGS frame.
    http2: `printf "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0" >&3; head -c 9 <&3 | od -c`,
  }[protocol];
  const device = protocol === 'udp' ? 'udp' : 'tcp';
  return `timeout 3 bash -c 'exec 3<>/dev/${device}/${address}/${port}; ${request}'`;
}
