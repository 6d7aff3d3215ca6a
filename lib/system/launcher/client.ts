import { type ChildProcess, spawn } from 'node:child_process';
import type { CommandEnd, LaunchReply, LaunchRequest, LaunchedCommand, LaunchedDaemon } from './protocol.ts';

type Unnumbered<T> = Omit<T, 'id' | 'kind'>;

interface Pending {
  readonly resolve: (reply: LaunchReply) => void;
  readonly reject: (error: Error) => void;
}

/** The near end of a launcher: a small process that is started with the first command, and again when it was lost. */
export class Launcher {
  readonly #command: readonly [string, ...string[]];
  readonly #pending = new Map<number, Pending>();
  #process: ChildProcess | undefined;
  #lastId = 0;

  /** @param command starts `main.ts` of this folder, or what it was bundled into */
  constructor(command: readonly [string, ...string[]]) {
    this.#command = command;
  }

  /** @throws the signal's reason when it is aborted, and Error when the launcher is lost meanwhile */
  run(command: Unnumbered<LaunchedCommand>, signal?: AbortSignal): Promise<CommandEnd> {
    return this.#ask({ kind: 'run', ...command }, signal) as Promise<CommandEnd & { id: number }>;
  }

  startDaemon(
    daemon: Unnumbered<LaunchedDaemon>,
  ): Promise<{ readonly pid: number } | { readonly error: string; readonly notFound: boolean }> {
    return this.#ask({ kind: 'daemon', ...daemon }) as Promise<{ id: number; pid: number }>;
  }

  async #ask(
    request: Omit<LaunchedCommand, 'id'> | Omit<LaunchedDaemon, 'id'>,
    signal?: AbortSignal,
  ): Promise<LaunchReply> {
    signal?.throwIfAborted();
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<LaunchReply>();
    const onAbort = (): void => {
      this.#send({ kind: 'cancel', id });
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#pending.set(id, { resolve, reject });
    try {
      this.#send({ ...request, id });
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
      // Nobody is kept waiting for a process that has nothing to do.
      if (this.#pending.size === 0) {
        this.#process?.channel?.unref();
        this.#process?.unref();
      }
    }
  }

  #send(request: LaunchRequest): void {
    this.#process ??= this.#start();
    this.#process.channel?.ref();
    this.#process.ref();
    this.#process.send(request, (error) => {
      if (error) this.#pending.get(request.id)?.reject(error);
    });
  }

  #start(): ChildProcess {
    const [file, ...args] = this.#command;
    const child = spawn(file, args, {
      // In a session of its own, so that a terminal's Ctrl-C does not reach it before what is cleaned up with it.
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const lose = (error: Error): void => {
      if (this.#process === child) this.#process = undefined;
      for (const { reject } of this.#pending.values()) reject(error);
    };
    child.once('error', lose);
    child.once('exit', (code, signal) =>
      lose(new Error(`the launcher of commands ended (${signal ?? code})`)),
    );
    child.on('message', (reply: LaunchReply) => this.#pending.get(reply.id)?.resolve(reply));
    return child;
  }
}
