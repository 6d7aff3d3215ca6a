/** The target side of a workload: TCP and UDP echo, HTTP/1.1 and HTTP/2, on all addresses of both families. */
import dgram from 'node:dgram';
import net from 'node:net';
import { type Identity, PORTS } from '../../model/workload.ts';
import { lineSplitter } from '../lines.ts';
import {
  type EchoAnswer,
  type Endpoint,
  LARGEST_MESSAGE,
  LARGEST_NONCE,
  MAX_ECHO_BYTES,
  MOST_MESSAGES,
  isRecord,
  parseJson,
  plainAddress,
} from '../protocol.ts';
import { FlowTable, decodeDatagram } from './flows.ts';
import { createHttp2Server, createHttpServer, httpHandler } from './http-target.ts';
import { MessageReader, messageOf } from './messages.ts';
import type { ReceiptLog } from './receipts.ts';

const LONGEST_IDLE_MS = 60_000;
const MOST_CONNECTIONS = 4_096;
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

export interface Target {
  readonly identity: Identity;
  readonly receipts: ReceiptLog;
}

/** @param gateway only what measuring baselines needs: HTTP and echo */
export async function listen(target: Target, gateway: boolean): Promise<void> {
  const flows = new FlowTable();
  const handler = httpHandler({
    identity: target.identity,
    state: () => 'serving',
    onReceipt: (receipt) => target.receipts.add(receipt),
  });
  const serveHttp = handOver(() => createHttpServer(handler));
  const echoPorts = gateway ? [PORTS.echo] : [PORTS.echo, PORTS.echoAlternate];
  await Promise.all([
    ...echoPorts.flatMap((port) => [
      listenTcp(port, (socket) => serveEcho(socket, target, flows)),
      listenUdp(port, target, flows),
    ]),
    listenTcp(PORTS.http, serveHttp),
    ...(gateway
      ? []
      : [
          listenTcp(PORTS.service, serveHttp),
          listenTcp(PORTS.serviceTcp, (socket) => serveEcho(socket, target, flows)),
          listenTcp(
            PORTS.http2,
            handOver(() => createHttp2Server(handler)),
          ),
        ]),
  ]);
}

/** Makes the server that speaks the protocol when the first connection comes. */
function handOver(create: () => net.Server): (socket: net.Socket) => void {
  let server: net.Server | undefined;
  return (socket) => {
    server ??= create();
    server.emit('connection', socket);
  };
}

function listenTcp(port: number, onConnection: (socket: net.Socket) => void): Promise<void> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    // Running out of file descriptors is reported here too; then what listens goes on listening.
    server.on('error', reject);
    // Without a host it takes both families, or IPv4 alone where the kernel has no IPv6.
    server.listen({ port, backlog: 1_024 }, resolve);
  });
}

async function listenUdp(port: number, target: Target, flows: FlowTable): Promise<void> {
  const attempt = (type: 'udp4' | 'udp6'): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = dgram.createSocket({ type, recvBufferSize: UDP_BUFFER_BYTES });
      socket.once('error', reject);
      socket.bind({ port, exclusive: true }, () => {
        socket.off('error', reject);
        // Answers to callers that have gone come back as ICMP errors.
        socket.on('error', () => {});
        socket.on('message', (message, peer) => {
          const answer = answerDatagram(message, peer, target, flows);
          if (answer) socket.send(answer, peer.port, peer.address, () => {});
        });
        resolve();
      });
    });
  // An IPv6 socket takes both families; a kernel without IPv6 has none.
  await attempt('udp6').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EAFNOSUPPORT' || error.code === 'EINVAL') return attempt('udp4');
    throw error;
  });
}

function answerDatagram(
  message: Buffer,
  peer: dgram.RemoteInfo,
  target: Target,
  flows: FlowTable,
): string | undefined {
  const datagram = decodeDatagram(message);
  if (datagram) {
    flows.count(datagram, performance.now() * 1_000);
    return undefined;
  }
  return answerRequest(parseJson(message.toString('utf8')), 'udp', endpointOf(peer.address, peer.port), {
    target,
    flows,
  });
}

function answerRequest(
  request: unknown,
  protocol: 'tcp' | 'udp',
  source: Endpoint,
  { target, flows }: { target: Target; flows: FlowTable },
): string | undefined {
  if (!isRecord(request)) return undefined;
  if (typeof request.tally === 'string') return JSON.stringify(flows.tally(request.tally));
  const { nonce, padding, short } = request;
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > LARGEST_NONCE) return undefined;
  target.receipts.add({ nonce, protocol, source });
  const answer: EchoAnswer = {
    identity: target.identity,
    nonce,
    protocol,
    source,
    ...(typeof padding === 'string' && !short && { padding }),
  };
  return JSON.stringify(answer);
}

function endpointOf(address: string | undefined, port: number | undefined): Endpoint {
  return { address: plainAddress(address), port: port ?? 0 };
}

function serveEcho(socket: net.Socket, target: Target, flows: FlowTable): void {
  const source = endpointOf(socket.remoteAddress, socket.remotePort);
  socket.setTimeout(LONGEST_IDLE_MS, () => socket.destroy());
  const split = lineSplitter(MAX_ECHO_BYTES, (line) => {
    if (socket.destroyed) return;
    const request = parseJson(line);
    const answer = answerRequest(request, 'tcp', source, { target, flows });
    const unread = socket.writableLength > MAX_ECHO_BYTES;
    if (answer === undefined || unread) {
      socket.destroy();
      return;
    }
    const lengths = transferLengths(request);
    if (lengths) {
      socket.off('data', onData);
      answerMessages(socket, lengths);
    }
    socket.write(`${answer}\n`);
  });
  const onData = (chunk: Buffer): void => {
    if (!split(chunk)) socket.destroy();
  };
  socket.on('data', onData);
}

interface TransferLengths {
  readonly lengths: readonly number[];
  readonly answerLengths: readonly number[];
}

function transferLengths(request: unknown): TransferLengths | undefined {
  const transfer = isRecord(request) ? request.transfer : undefined;
  if (!isRecord(transfer)) return undefined;
  const { lengths, answerLengths } = transfer;
  if (!areLengths(lengths) || !areLengths(answerLengths)) return undefined;
  return lengths.length === answerLengths.length ? { lengths, answerLengths } : undefined;
}

function areLengths(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= MOST_MESSAGES &&
    value.every((length) => Number.isInteger(length) && length > 0 && length <= LARGEST_MESSAGE)
  );
}

/** Takes messages one after the other and answers each; a message that arrives changed ends the connection. */
function answerMessages(socket: net.Socket, { lengths, answerLengths }: TransferLengths): void {
  const reader = new MessageReader();
  let index = 0;
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (;;) {
      const length = lengths[index];
      const message = length === undefined ? undefined : reader.take(length);
      if (!message) break;
      if (!message.equals(messageOf(index, message.length))) {
        socket.destroy();
        return;
      }
      socket.write(messageOf(index, answerLengths[index] as number));
      index++;
    }
    if (index === lengths.length && reader.buffered > 0) socket.destroy();
  });
}
