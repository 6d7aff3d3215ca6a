import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { execa } from 'execa';

export type Command = readonly [string, ...string[]];

/** Of a program's words, for an error. */
const OUTPUT_CHARACTERS = 2_000;

/** A program that failed, with the command to paste and what it said. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly command: string;
  readonly exitCode: number | undefined;
  readonly output: string;
  readonly timedOut: boolean;
  /** The program is not installed. */
  readonly notFound: boolean;

  constructor(
    command: Command,
    details: { exitCode?: number; output: string; timedOut?: boolean; notFound?: boolean },
  ) {
    const shown = quoteCommand(command);
    const how = details.notFound
      ? 'is not installed'
      : details.timedOut
        ? 'did not end in time'
        : `ended with ${details.exitCode ?? 'a signal'}`;
    super(
      `\`${shown}\` ${how}${details.output ? `: ${details.output.trim().slice(-OUTPUT_CHARACTERS)}` : ''}`,
    );
    this.command = shown;
    this.exitCode = details.exitCode;
    this.output = details.output;
    this.timedOut = details.timedOut ?? false;
    this.notFound = details.notFound ?? false;
  }
}

export interface CommandOptions {
  /** For standard input, which is otherwise empty. */
  readonly input?: string;
  /** Default 20 s; nothing runs without a limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** A session of its own, so that a terminal's Ctrl-C does not reach it; the signal ends it with all that it started. */
  readonly withDescendants?: boolean;
}

const COMMAND_TIMEOUT_MS = 20_000;

/** Runs a program to its end. @returns its standard output @throws CommandError */
export async function runCommand(command: Command, options: CommandOptions = {}): Promise<string> {
  const [file, ...args] = command;
  const result = await execa(file, args, {
    input: options.input ?? '',
    timeout: options.timeoutMs ?? COMMAND_TIMEOUT_MS,
    reject: false,
    stripFinalNewline: false,
    all: true,
    ...(options.signal && { cancelSignal: options.signal }),
    ...(options.environment && { env: options.environment }),
    ...(options.cwd && { cwd: options.cwd }),
    ...(options.withDescendants && { killDescendants: true }),
  });
  if (result.exitCode === 0) return result.stdout;
  throw new CommandError(command, {
    ...(result.exitCode !== undefined && { exitCode: result.exitCode }),
    output: result.all ?? '',
    timedOut: result.timedOut,
    notFound: result.code === 'ENOENT',
  });
}

/** Runs a program to its end. @returns its standard output, byte by byte @throws CommandError */
export async function readCommand(command: Command, timeoutMs = COMMAND_TIMEOUT_MS): Promise<Buffer> {
  const [file, ...args] = command;
  const result = await execa(file, args, {
    stdin: 'ignore',
    timeout: timeoutMs,
    reject: false,
    encoding: 'buffer',
  });
  if (result.exitCode === 0) return Buffer.from(result.stdout);
  throw new CommandError(command, {
    ...(result.exitCode !== undefined && { exitCode: result.exitCode }),
    output: Buffer.from(result.stderr).toString('utf8'),
    timedOut: result.timedOut,
    notFound: result.code === 'ENOENT',
  });
}

/** Like a socket's: whether it keeps this process alive. */
export type CommandStream = Duplex & { ref(): void; unref(): void };

/**
 * Starts a program that is talked to for as long as it runs; destroying the stream ends it. When it ends by itself, the
 * stream fails with its own words.
 */
export function openCommand(command: Command): CommandStream {
  const [file, ...args] = command;
  // A session of its own, so that a terminal's Ctrl-C does not reach it.
  const child = spawn(file, args, { stdio: 'pipe', detached: true });
  const stream = Duplex.from({ writable: child.stdin, readable: child.stdout });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = `${words}${text}`.slice(-OUTPUT_CHARACTERS);
  });
  child.once('error', (error: NodeJS.ErrnoException) => {
    stream.destroy(new CommandError(command, { output: error.message, notFound: error.code === 'ENOENT' }));
  });
  child.once('exit', (exitCode) => {
    stream.destroy(new CommandError(command, { ...(exitCode !== null && { exitCode }), output: words }));
  });
  stream.once('close', () => child.kill('SIGKILL'));
  // Pipes to a child are sockets, whatever their declared type says.
  const pipes = [child.stdin, child.stdout, child.stderr] as unknown as Pick<Socket, 'ref' | 'unref'>[];
  return Object.assign(stream, {
    ref() {
      for (const one of [child, ...pipes]) one.ref();
    },
    unref() {
      for (const one of [child, ...pipes]) one.unref();
    },
  });
}

/**
 * Starts a program in a session of its own, so that a terminal's Ctrl-C does not reach it; it outlives this process.
 * Its output is appended to `logPath`. @returns its process id
 */
export function startDetached(
  command: Command,
  options: { logPath: string; environment?: Readonly<Record<string, string>>; cwd?: string },
): Promise<number> {
  const [file, ...args] = command;
  const log = openSync(options.logPath, 'a', 0o600);
  return new Promise<number>((resolve, reject) => {
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
      ...(options.cwd && { cwd: options.cwd }),
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(new CommandError(command, { output: error.message, notFound: error.code === 'ENOENT' }));
    });
    child.once('spawn', () => {
      child.unref();
      resolve(child.pid as number);
    });
  }).finally(() => closeSync(log));
}

/** A command as a shell would take it. */
export function quoteCommand(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
