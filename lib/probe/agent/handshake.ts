/** A TLS handshake with whatever shows itself, and one HTTP/1.1 request over it. */
import net from 'node:net';
import { Duplex } from 'node:stream';
import type { ConnectionOptions, DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { Handshake, HandshakeRequest, Outcome } from '../../model/probe.ts';
import { DEFAULTS, LARGEST_NONCE, MAX_ECHO_BYTES, parseEchoAnswer } from '../protocol.ts';
import { checkAddress, checkList, checkPort, checkRecord, checkTimeout } from './checks.ts';
import { failureOf } from './outcomes.ts';
import { ServerHelloReader } from './server-hello.ts';

const MOST_REQUESTS = 64;
const MOST_CERTIFICATES = 10;

const INITIAL = 'no answer to the connection request';

type Ending = Pick<Handshake, 'outcome' | 'detail' | 'answeredBy' | 'status'>;

export async function handshakeAll(requests: unknown, signal: AbortSignal): Promise<Handshake[]> {
  const list = checkList('requests', requests, MOST_REQUESTS).map(toRequest);
  return Promise.all(list.map((request) => handshake(request, signal)));
}

type Checked = HandshakeRequest & Required<Pick<HandshakeRequest, 'nonce' | 'timeoutMs'>>;

function toRequest(value: unknown): Checked {
  const request = checkRecord('request', value) as unknown as HandshakeRequest;
  const { nonce, serverName, alpn = [], credentials } = request;
  if (typeof nonce !== 'string' || nonce === '' || nonce.length > LARGEST_NONCE) {
    throw new TypeError(`nonce: a text of 1 to ${LARGEST_NONCE} characters is expected`);
  }
  if (serverName !== undefined && typeof serverName !== 'string') throw new TypeError('serverName: no text');
  if (credentials !== undefined) {
    const { certificates, key } = checkRecord('credentials', credentials);
    if (typeof certificates !== 'string' || typeof key !== 'string')
      throw new TypeError('credentials: no PEM');
  }
  return {
    ...request,
    alpn: checkList('alpn', alpn, MOST_CERTIFICATES).map(String),
    address: checkAddress(request.address),
    port: checkPort(request.port),
    nonce,
    timeoutMs: checkTimeout(request.timeoutMs, DEFAULTS.exchangeTimeoutMs),
  };
}

async function handshake(request: Checked, signal: AbortSignal): Promise<Handshake> {
  signal.throwIfAborted();
  const { address, port, nonce, timeoutMs } = request;
  const startedAt = performance.now();
  const hello = new ServerHelloReader();
  const raw = net.connect({ host: address, port, noDelay: true });
  const { promise, resolve, reject } = Promise.withResolvers<Ending>();
  let stage = INITIAL;
  const timer = setTimeout(() => resolve({ outcome: 'timed-out', detail: stage }), timeoutMs);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let secure: TLSSocket | undefined;
  let agreed: Agreed = { chain: [] };
  raw.on('error', (error) => resolve(failureOf(error, stage !== INITIAL)));
  raw.once('connect', () => {
    stage = 'connected, but no TLS handshake';
    secure = connectSecurely(raw, request, hello, resolve, (socket) => {
      stage = 'TLS is up, but the request is not answered';
      // Once the connection has ended, nothing of this can be asked any more.
      agreed = agreedOn(socket, hello);
    });
  });
  try {
    const ending = await promise;
    return {
      address,
      port,
      nonce,
      durationMs: Math.round((performance.now() - startedAt) * 1_000) / 1_000,
      ...ending,
      ...agreed,
    };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    secure?.destroy();
    raw.destroy();
  }
}

function connectSecurely(
  raw: net.Socket,
  request: Checked,
  hello: ServerHelloReader,
  settle: (ending: Ending) => void,
  onSecure: (socket: TLSSocket) => void,
): TLSSocket {
  const { connect } = process.getBuiltinModule('node:tls');
  const { serverName, alpn = [], credentials } = request;
  const options: ConnectionOptions = {
    socket: tapped(raw, (chunk) => hello.add(chunk)),
    // Whose certificate it is, and who signed it, is what the caller wants to know.
    rejectUnauthorized: false,
    ...(serverName !== undefined && { servername: serverName }),
    ...(alpn.length > 0 && { ALPNProtocols: [...alpn] }),
    ...(credentials && { cert: credentials.certificates, key: credentials.key }),
  };
  const socket = connect(options);
  socket.on('error', (error: NodeJS.ErrnoException) => settle(endingOf(error)));
  socket.once('close', () => settle({ outcome: 'closed', detail: 'ended without an answer' }));
  socket.once('secureConnect', () => {
    onSecure(socket);
    askOver(socket, request, settle);
  });
  return socket;
}

/** Node.js hands a bare socket to OpenSSL without showing what is read; a stream around it does. */
function tapped(raw: net.Socket, onData: (chunk: Buffer) => void): Duplex {
  const stream = new Duplex({
    read: () => raw.resume(),
    write: (chunk: Buffer, _encoding, done) => raw.write(chunk, (error) => done(error)),
    final: (done) => {
      raw.end();
      done();
    },
    destroy: (error, done) => {
      raw.destroy();
      done(error);
    },
  });
  raw.on('data', (chunk: Buffer) => {
    onData(chunk);
    if (!stream.push(chunk)) raw.pause();
  });
  raw.on('end', () => stream.push(null));
  raw.on('error', (error) => stream.destroy(error));
  return stream;
}

function endingOf(error: NodeJS.ErrnoException): Ending {
  const code = error.code ?? '';
  const alert = /^ERR_SSL_\w*?ALERT_(\w+)$/.exec(code)?.[1];
  if (alert !== undefined) {
    return { outcome: 'refused', detail: `TLS alert: ${alert.toLowerCase().replaceAll('_', ' ')}` };
  }
  // Whatever answered does not speak TLS, or not ours.
  if (code.startsWith('ERR_SSL_')) return { outcome: 'garbled', detail: code };
  if (code === 'ECONNRESET' && /before secure TLS connection/.test(error.message)) {
    return { outcome: 'closed', detail: 'ended during the TLS handshake' };
  }
  return failureOf(error, true);
}

function askOver(
  socket: TLSSocket,
  { address, port, nonce }: Checked,
  settle: (ending: Ending) => void,
): void {
  const { request: send } = process.getBuiltinModule('node:http');
  const body = JSON.stringify({ nonce });
  const request = send({
    createConnection: () => socket,
    method: 'POST',
    path: '/echo',
    headers: {
      host: net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    },
  });
  request.on('error', (error: NodeJS.ErrnoException) => settle(endingOf(error)));
  request.on('response', (response) => {
    const chunks: Buffer[] = [];
    let length = 0;
    response.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_ECHO_BYTES) settle({ outcome: 'garbled', detail: 'the answer is too long' });
      else chunks.push(chunk);
    });
    response.on('error', (error) => settle(endingOf(error)));
    response.on('end', () =>
      settle(judge(Buffer.concat(chunks).toString('utf8'), response.statusCode ?? 0, nonce)),
    );
  });
  request.end(body);
}

function judge(text: string, status: number, nonce: string): Ending {
  const garbled: Outcome = 'garbled';
  if (status !== 200) {
    return { outcome: garbled, status, detail: `HTTP ${status}: ${JSON.stringify(text.slice(0, 100))}` };
  }
  const answer = parseEchoAnswer(text);
  if (!answer || answer.nonce !== nonce) return { outcome: garbled, status, detail: 'none of our workloads' };
  return { outcome: 'answered', status, answeredBy: answer.identity };
}

type Agreed = Pick<Handshake, 'chain' | 'version' | 'cipher' | 'group' | 'alpn'>;

function agreedOn(socket: TLSSocket, hello: ServerHelloReader): Agreed {
  const version = socket.getProtocol();
  const { group } = hello;
  return {
    chain: chainOf(socket.getPeerCertificate(true)),
    ...(version !== null && { version }),
    cipher: socket.getCipher().standardName,
    ...(group !== undefined && { group }),
    ...(typeof socket.alpnProtocol === 'string' && { alpn: socket.alpnProtocol }),
  };
}

function chainOf(leaf: DetailedPeerCertificate): string[] {
  const chain: string[] = [];
  const seen = new Set<string>();
  let certificate: DetailedPeerCertificate | undefined = leaf;
  while (certificate?.raw && chain.length < MOST_CERTIFICATES && !seen.has(certificate.fingerprint256)) {
    seen.add(certificate.fingerprint256);
    chain.push(pemOf(certificate.raw));
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

const pemOf = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/(.{64})(?=.)/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
