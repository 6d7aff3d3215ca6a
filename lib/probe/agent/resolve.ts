/** DNS lookups at a chosen server (RFC 1035), over UDP or TCP, without caching, retrying or falling back. */
import dgram from 'node:dgram';
import net from 'node:net';
import { randomInt } from 'node:crypto';
import type * as DnsCodec from 'dns-packet';
import type { Answer, DecodedPacket, Packet, SrvAnswer } from 'dns-packet';
import { formatAddress, parseAddress } from '../../model/cidr.ts';
import type { RecordType, Resolution, ResolveRequest } from '../../model/probe.ts';
import { DEFAULTS } from '../protocol.ts';
import { checkAddress, checkInteger, checkList, checkPort, checkRecord, checkTimeout } from './checks.ts';
import { mapLimited } from './concurrency.ts';
import { failureOf } from './outcomes.ts';

const TYPES: readonly RecordType[] = ['A', 'AAAA', 'SRV', 'TXT'];
const MOST_REQUESTS = 10_000;
/** What fits IPv6's minimum MTU; the default of current resolvers since DNS Flag Day 2020. */
const DEFAULT_BUFFER_SIZE = 1_232;
const LARGEST_MESSAGE = 65_535 + 2;

interface Query {
  readonly id: number;
  readonly server: string;
  readonly port: number;
  readonly name: string;
  readonly type: RecordType;
  readonly transport: 'udp' | 'tcp';
  readonly bufferSize: number;
  readonly timeoutMs: number;
}

type DnsPacket = typeof DnsCodec;

export async function resolveAll(requests: unknown, signal: AbortSignal): Promise<Resolution[]> {
  const queries = checkList('requests', requests, MOST_REQUESTS).map(toQuery);
  const codec = await import('dns-packet');
  return mapLimited(queries, DEFAULTS.resolveConcurrency, (query) => resolve(query, codec, signal));
}

function toQuery(value: unknown): Query {
  const request = checkRecord('request', value) as unknown as ResolveRequest;
  const { name, type, transport = 'udp' } = request;
  if (typeof name !== 'string' || name === '' || name.length > 253) {
    throw new TypeError(`name: ${JSON.stringify(name)} is no domain name`);
  }
  if (!TYPES.includes(type)) throw new TypeError(`type: unknown ${JSON.stringify(type)}`);
  if (transport !== 'udp' && transport !== 'tcp') {
    throw new TypeError(`transport: unknown ${JSON.stringify(transport)}`);
  }
  return {
    id: randomInt(65_536),
    server: checkAddress(request.server),
    port: checkPort(request.port ?? 53),
    name,
    type,
    transport,
    bufferSize: checkInteger('bufferSize', request.bufferSize ?? DEFAULT_BUFFER_SIZE, 0, 65_535),
    timeoutMs: checkTimeout(request.timeoutMs, DEFAULTS.resolveTimeoutMs),
  };
}

type Ending =
  | { readonly packet: DecodedPacket }
  | { readonly packet?: undefined; readonly outcome: Resolution['outcome']; readonly detail: string };

async function resolve(query: Query, codec: DnsPacket, signal: AbortSignal): Promise<Resolution> {
  signal.throwIfAborted();
  const startedAt = performance.now();
  const ending = await (query.transport === 'udp' ? askUdp : askTcp)(query, codec, signal);
  const { name, type, server, transport } = query;
  const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
  const common = { name, type, server, transport, durationMs };
  if (!ending.packet) {
    const { outcome, detail } = ending;
    return { ...common, outcome, detail, addresses: [], services: [], ttls: [] };
  }
  return { ...common, outcome: 'answered', ...read(ending.packet, type) };
}

function read(
  packet: DecodedPacket,
  type: RecordType,
): Pick<Resolution, 'rcode' | 'authoritative' | 'truncated' | 'addresses' | 'services' | 'ttls'> {
  const answers = (packet.answers ?? []).filter((answer) => answer.type === type);
  const services = answers.filter((answer): answer is SrvAnswer => answer.type === 'SRV');
  return {
    // dns-packet puts the code beside the flags; its types leave that out.
    rcode: (packet as { rcode?: string }).rcode ?? 'UNKNOWN',
    authoritative: packet.flag_aa,
    truncated: packet.flag_tc,
    addresses: answers
      .map(addressOf)
      .filter((address) => address !== undefined)
      .toSorted(),
    services: services.map(({ data: { target, port } }) => ({ target, port })),
    ttls: answers.map((answer) => ('ttl' in answer && answer.ttl) || 0),
  };
}

function addressOf(answer: Answer): string | undefined {
  if (answer.type !== 'A' && answer.type !== 'AAAA') return undefined;
  const { family, value } = parseAddress(answer.data);
  return formatAddress(family, value);
}

function queryPacket({ id, name, type, bufferSize }: Query, codec: DnsPacket): Packet {
  return {
    type: 'query',
    id,
    flags: codec.RECURSION_DESIRED,
    questions: [{ type, name }],
    ...(bufferSize > 0 && {
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: bufferSize,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ],
    }),
  };
}

/** Whether these bytes answer this query; a message with its id that cannot be read ends the lookup. */
function readAnswer(message: Buffer, query: Query, codec: DnsPacket): Ending | undefined {
  if (message.length < 2 || message.readUInt16BE(0) !== query.id) return undefined;
  let packet: DecodedPacket;
  try {
    packet = codec.decode(message);
    // Addresses are checked here, where a message that cannot be read is expected.
    for (const answer of packet.answers ?? []) addressOf(answer);
  } catch {
    return { outcome: 'error', detail: 'the answer cannot be decoded' };
  }
  const [question] = packet.questions ?? [];
  const same = question?.type === query.type && sameName(question.name, query.name);
  return packet.type === 'response' && same ? { packet } : undefined;
}

function sameName(a: string, b: string): boolean {
  const plain = (name: string): string => name.toLowerCase().replace(/\.$/, '');
  return plain(a) === plain(b);
}

function endingOf(error: NodeJS.ErrnoException): Ending {
  const { outcome, detail } = failureOf(error, false);
  const known = outcome === 'refused' || outcome === 'unreachable' || outcome === 'timed-out';
  return { outcome: known ? outcome : 'error', detail };
}

/** Calls `start` with a function that settles; at the latest the time-out or the caller's leaving does. */
function settled(
  query: Query,
  signal: AbortSignal,
  start: (settle: (ending: Ending) => void) => () => void,
): Promise<Ending> {
  return new Promise((resolveEnding, reject) => {
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      stop();
      settle();
    };
    const onAbort = (): void => finish(() => reject(signal.reason));
    const timer = setTimeout(
      () => finish(() => resolveEnding({ outcome: 'timed-out', detail: 'no answer' })),
      query.timeoutMs,
    );
    signal.addEventListener('abort', onAbort, { once: true });
    let over = false;
    const stop = start((ending) => {
      if (over) return;
      over = true;
      finish(() => resolveEnding(ending));
    });
  });
}

function askUdp(query: Query, codec: DnsPacket, signal: AbortSignal): Promise<Ending> {
  return settled(query, signal, (settle) => {
    const socket = dgram.createSocket(net.isIPv6(query.server) ? 'udp6' : 'udp4');
    socket.on('error', (error) => settle(endingOf(error)));
    socket.on('message', (message) => {
      const ending = readAnswer(message, query, codec);
      if (ending) settle(ending);
    });
    socket.connect(query.port, query.server, ((error?: Error) => {
      if (error) settle(endingOf(error));
      else
        socket.send(
          codec.encode(queryPacket(query, codec)),
          (failure) => failure && settle(endingOf(failure)),
        );
    }) as () => void);
    return () => socket.close();
  });
}

function askTcp(query: Query, codec: DnsPacket, signal: AbortSignal): Promise<Ending> {
  return settled(query, signal, (settle) => {
    const socket = net.connect({ host: query.server, port: query.port, noDelay: true });
    let received: Buffer = Buffer.alloc(0);
    socket.on('error', (error) => settle(endingOf(error)));
    socket.on('end', () => settle({ outcome: 'error', detail: 'the server ended the connection' }));
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const length = received.length < 2 ? Infinity : received.readUInt16BE(0);
      if (received.length > LARGEST_MESSAGE) settle({ outcome: 'error', detail: 'the answer is too long' });
      if (received.length < length + 2) return;
      const ending = readAnswer(received.subarray(2, length + 2), query, codec);
      settle(ending ?? { outcome: 'error', detail: 'the answer belongs to another question' });
    });
    socket.write(codec.streamEncode(queryPacket(query, codec)));
    return () => socket.destroy();
  });
}
