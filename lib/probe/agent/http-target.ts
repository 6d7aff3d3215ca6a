/** The HTTP service of a target: who answers, whether it is healthy, and a long stream. For HTTP/1.1 and HTTP/2. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Receipt } from '../../model/probe.ts';
import type { Identity } from '../../model/workload.ts';
import { lineSplitter } from '../lines.ts';
import {
  type EchoAnswer,
  LARGEST_NONCE,
  MAX_ECHO_BYTES,
  MOST_HEADERS,
  isRecord,
  parseJson,
  plainAddress,
} from '../protocol.ts';

export interface HttpTarget {
  readonly identity: Identity;
  /** `failing` answers 503 to everything; `draining` to health checks only. */
  readonly state: () => 'serving' | 'draining' | 'failing';
  readonly onReceipt: (receipt: Receipt) => void;
  /** Called when a request other than a health check begins and ends. */
  readonly onActivity?: (change: 1 | -1) => void;
}

/** Node types the compatibility layer of HTTP/2 apart from HTTP/1.1, though what is used here is the same. */
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const LONGEST_IDLE_MS = 120_000;
const LONGEST_STREAM_LINE = 1_024;

export function httpHandler(target: HttpTarget): Handler {
  return (request, response) => {
    request.on('error', () => {});
    response.on('error', () => {});
    const path = (request.url ?? '').split('?', 1)[0];
    if (path === '/healthz') {
      sendJson(response, target.state() === 'serving' ? 200 : 503, { identity: target.identity });
      return;
    }
    target.onActivity?.(1);
    response.once('close', () => target.onActivity?.(-1));
    if (target.state() === 'failing') sendJson(response, 503, { identity: target.identity });
    else if (path === '/echo') answerEcho(target, request, response);
    else if (path === '/stream') answerStream(target, request, response);
    else sendJson(response, 404, { error: 'no such path' });
  };
}

function answerEcho(target: HttpTarget, request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  let length = 0;
  request.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_ECHO_BYTES) chunks.push(chunk);
    else request.destroy();
  });
  request.on('end', () => {
    const asked = parseJson(Buffer.concat(chunks).toString('utf8'));
    const { nonce = '', padding, reflect } = isRecord(asked) ? asked : {};
    if (typeof nonce !== 'string' || nonce.length > LARGEST_NONCE) {
      sendJson(response, 400, { error: 'no nonce' });
      return;
    }
    const protocol = request.httpVersionMajor === 2 ? 'http2' : 'http';
    const source = {
      address: plainAddress(request.socket.remoteAddress),
      port: request.socket.remotePort ?? 0,
    };
    if (nonce) target.onReceipt({ nonce, protocol, source });
    const answer: EchoAnswer = {
      identity: target.identity,
      nonce,
      protocol,
      source,
      ...(typeof padding === 'string' && { padding }),
      ...(Array.isArray(reflect) && { reflected: headersOf(request, reflect) }),
    };
    if (target.state() === 'draining') response.setHeader('connection', 'close');
    sendJson(response, 200, answer);
  });
}

/** Those of these headers that came, a repeated one with commas between (RFC 9110, section 5.3). */
function headersOf(request: IncomingMessage, names: readonly unknown[]): Record<string, string> {
  const entries = names.slice(0, MOST_HEADERS).flatMap((name) => {
    const value = request.headers[String(name).toLowerCase()];
    if (value === undefined) return [];
    return [[String(name).toLowerCase(), Array.isArray(value) ? value.join(', ') : value] as const];
  });
  return Object.fromEntries(entries);
}

/** Each line of the request is answered by a line with the answerer's identity, as long as the caller goes on. */
function answerStream(target: HttpTarget, request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const split = lineSplitter(LONGEST_STREAM_LINE, (line) => {
    if (response.writableEnded) return;
    if (target.state() === 'failing') {
      response.destroy();
      return;
    }
    response.write(`${JSON.stringify({ line, identity: target.identity })}\n`);
    if (target.state() === 'draining') response.end();
  });
  request.on('data', (chunk: Buffer) => {
    const unread = response.writableLength > MAX_ECHO_BYTES;
    if (unread || !split(chunk)) response.destroy();
  });
  request.on('end', () => response.end());
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

// node:http and node:http2 cost an idle process 15 MB and 45 ms of processor time: they are loaded when first needed.

export function createHttpServer(handler: Handler): Server {
  const { createServer } = process.getBuiltinModule('node:http');
  const server = createServer(
    { keepAliveTimeout: LONGEST_IDLE_MS, requestTimeout: 0, noDelay: true },
    handler,
  );
  server.setTimeout(LONGEST_IDLE_MS);
  server.on('clientError', (_error, socket) => socket.destroy());
  return server;
}

export function createHttp2Server(handler: Handler): Http2Server {
  const { createServer } = process.getBuiltinModule('node:http2');
  const server = createServer(handler as unknown as Parameters<typeof createServer>[0] & Handler);
  server.setTimeout(LONGEST_IDLE_MS);
  server.on('sessionError', () => {});
  server.on('session', (session) => session.on('error', () => {}));
  return server;
}
