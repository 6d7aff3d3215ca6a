/**
 * Exec sessions over WebSocket (the API's subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`): a byte stream to a
 * program in a pod that ends whatever happens to the connection.
 */
import { Duplex } from 'node:stream';
import { systemClock } from '../clock.ts';
import { KubernetesError } from './errors.ts';

export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly container?: string;
}

/** What is used of a WebSocket; the library's own type needs one more package. */
export interface Socket {
  send(data: Buffer, done: (error?: Error) => void): void;
  ping(): void;
  pause(): void;
  resume(): void;
  terminate(): void;
  on(event: 'pong', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
}

/** The connection below, once it is open: a process that waits for nothing else may end. */
function connectionOf(socket: Socket | undefined): { ref(): unknown; unref(): unknown } | undefined {
  return (socket as { readonly _socket?: { ref(): unknown; unref(): unknown } } | undefined)?.['_socket'];
}

export interface ExecStreamOptions {
  connect(receive: (channel: number, data: Buffer) => void): Promise<Socket>;
  readonly connectMs: number;
  /** Written to standard input with every heartbeat. */
  readonly heartbeat?: string;
}

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
/** Idle connections are cut after five minutes or less on the way; a peer that is gone is noticed within two of these. */
const HEARTBEAT_MS = 20_000;
/** As kubectl copies: larger frames are not for every server. */
const FRAME_BYTES = 32 * 1024;
const KEPT_STDERR_BYTES = 4 * 1024;

/** How a program in a pod ended, as the kubelet tells. */
interface ExecStatus {
  readonly status?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

export class ExecStream extends Duplex {
  readonly #options: ExecStreamOptions;
  #socket: Socket | undefined;
  #stderr = '';
  #finished = false;
  #held = true;
  #heartbeat: NodeJS.Timeout | undefined;
  #answeredPing = true;

  constructor(options: ExecStreamOptions) {
    super({ allowHalfOpen: true });
    this.#options = options;
  }

  /** The end of what the program said on standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** What is written meanwhile waits. */
  override _construct(done: (error?: Error | null) => void): void {
    void this.#connect(done);
  }

  async #connect(done: (error?: Error | null) => void): Promise<void> {
    const limit = new AbortController();
    try {
      const connecting = this.#options.connect((channel, data) => this.#receive(channel, data));
      this.#adopt(await Promise.race([connecting, this.#tooLate(connecting, limit.signal)]));
    } catch (error) {
      done(error as Error);
      return;
    } finally {
      limit.abort();
    }
    done();
  }

  /** Never resolves. One that is open after that is nobody's: it must not stay. */
  async #tooLate(connecting: Promise<Socket>, signal: AbortSignal): Promise<never> {
    const { connectMs } = this.#options;
    try {
      await systemClock.sleep(connectMs, signal);
    } catch {
      return new Promise<never>(() => {});
    }
    connecting.then(
      (socket) => socket.terminate(),
      () => {},
    );
    throw new KubernetesError('timed-out', `no exec session within ${connectMs} ms`);
  }

  #adopt(socket: Socket): void {
    this.#socket = socket;
    if (!this.#held) connectionOf(socket)?.unref();
    socket.on('pong', () => (this.#answeredPing = true));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', (code) => {
      // A connection that is cut (1006) never tells how the program ended.
      if (!this.#finished)
        this.destroy(new Error(`the exec session was cut (WebSocket ${code})${this.#saying()}`));
    });
    this.#heartbeat = setInterval(() => this.#beat(socket), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  #beat(socket: Socket): void {
    if (!this.#answeredPing) {
      this.destroy(new Error('the API server no longer answers in the exec session'));
      return;
    }
    this.#answeredPing = false;
    socket.ping();
    const { heartbeat } = this.#options;
    if (heartbeat !== undefined) socket.send(frame(Buffer.from(heartbeat)), () => {});
  }

  #receive(channel: number, data: Buffer): void {
    if (this.destroyed) return;
    switch (channel) {
      case CHANNEL.stdout:
        if (data.length > 0 && !this.push(data)) this.#socket?.pause();
        break;
      case CHANNEL.stderr:
        this.#stderr = (this.#stderr + data.toString()).slice(-KEPT_STDERR_BYTES);
        break;
      case CHANNEL.status:
        this.#finish(data);
        break;
      default:
        // Streams that the server closes (v5) are followed by the status.
        break;
    }
  }

  #finish(data: Buffer): void {
    const failure = failureOf(data);
    if (failure !== undefined) {
      this.destroy(new Error(`${failure}${this.#saying()}`));
      return;
    }
    this.#finished = true;
    this.push(null);
    this.#socket?.resume();
    this.end();
  }

  #saying(): string {
    const said = this.#stderr.trim();
    return said === '' ? '' : `: ${said}`;
  }

  override _read(): void {
    this.#socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const frames = Math.ceil(chunk.length / FRAME_BYTES);
    for (let index = 0; index < frames; index++) {
      const part = chunk.subarray(index * FRAME_BYTES, (index + 1) * FRAME_BYTES);
      // They are sent in this order, so that the last one is sent when all are.
      this.#socket?.send(frame(part), index === frames - 1 ? done : () => {});
    }
    if (frames === 0) done();
  }

  /** Tells the program that its input has ended: only servers of v5 can. */
  override _final(done: (error?: Error | null) => void): void {
    if (this.#finished) done();
    else this.#socket?.send(Buffer.from([CHANNEL.close, CHANNEL.stdin]), () => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    // A polite close() leaves the program running.
    this.#socket?.terminate();
    done(error);
  }

  ref(): this {
    this.#held = true;
    connectionOf(this.#socket)?.ref();
    return this;
  }

  unref(): this {
    this.#held = false;
    connectionOf(this.#socket)?.unref();
    return this;
  }
}

const frame = (data: Buffer): Buffer => Buffer.concat([Buffer.from([CHANNEL.stdin]), data]);

/** Undefined when the program ended well. */
function failureOf(data: Buffer): string | undefined {
  let status: ExecStatus;
  try {
    status = JSON.parse(data.toString('utf8')) as ExecStatus;
  } catch {
    return `how the program ended cannot be read: ${data.toString('utf8').slice(0, 200)}`;
  }
  if (status.status === 'Success') return undefined;
  const exitCode = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  return exitCode === undefined
    ? (status.message ?? 'the program failed')
    : `the program ended with ${exitCode}`;
}

/** @returns what the program wrote to standard output @throws Error with what it said */
export async function runInPod(
  stream: ExecStream,
  command: readonly string[],
  { input, timeoutMs }: { readonly input?: string; readonly timeoutMs: number },
): Promise<string> {
  const limit = new AbortController();
  const ended = new Promise<string>((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('the exec session was ended')));
  });
  const tooLate = systemClock.sleep(timeoutMs, limit.signal).then(() => {
    throw new KubernetesError('timed-out', `it did not end within ${timeoutMs} ms`);
  });
  tooLate.catch(() => {});
  try {
    if (input !== undefined) stream.end(input);
    return await Promise.race([ended, tooLate]);
  } catch (error) {
    if (error instanceof KubernetesError && error.failure !== 'timed-out') throw error;
    throw new Error(
      `\`${command.join(' ')}\` in a pod failed: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  } finally {
    limit.abort();
    stream.destroy();
  }
}
