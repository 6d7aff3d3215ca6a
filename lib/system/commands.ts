import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { execa } from 'execa';
import { Launcher } from './launcher/client.ts';
import type { CommandEnd } from './launcher/protocol.ts';

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

let launcher: Launcher | undefined;

/**
 * From now on a small process starts the programs, for one with a large heap pays for every fork.
 * @param command starts `launcher/main.ts`, or what it was bundled into
 */
export function delegateCommands(command: Command): void {
  launcher ??= new Launcher(command);
}

/** Runs a program to its end. @returns its standard output @throws CommandError */
export async function runCommand(command: Command, options: CommandOptions = {}): Promise<string> {
  const { input = '', timeoutMs = COMMAND_TIMEOUT_MS, signal, environment, cwd } = options;
  const place = { ...(environment && { environment }), ...(cwd !== undefined && { cwd }) };
  const end =
    launcher && !options.withDescendants
      ? await launcher.run({ command, input, timeoutMs, ...place }, signal)
      : await runHere(command, { ...options, input, timeoutMs });
  if (end.exitCode === 0) return end.stdout;
  throw new CommandError(command, {
    ...(end.exitCode !== undefined && { exitCode: end.exitCode }),
    output: end.stdout + end.stderr,
    timedOut: end.timedOut,
    notFound: end.notFound,
  });
}

async function runHere(
  command: Command,
  {
    input,
    timeoutMs,
    signal,
    environment,
    cwd,
    withDescendants,
  }: CommandOptions & { input: string; timeoutMs: number },
): Promise<CommandEnd> {
  const [file, ...args] = command;
  const { exitCode, stdout, stderr, timedOut, code } = await execa(file, args, {
    input,
    timeout: timeoutMs,
    reject: false,
    stripFinalNewline: false,
    ...(signal && { cancelSignal: signal }),
    ...(environment && { env: environment }),
    ...(cwd && { cwd }),
    ...(withDescendants && { killDescendants: true }),
  });
  return {
    stdout: stdout ?? '',
    stderr: stderr ?? '',
    timedOut,
    notFound: code === 'ENOENT',
    ...(exitCode !== undefined && { exitCode }),
  };
}

interface DetachedOptions {
  readonly logPath: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
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
 * Its output is appended to `logPath`. @returns its process id @throws CommandError when it cannot be started
 */
export async function startDetached(command: Command, options: DetachedOptions): Promise<number> {
  const started = launcher
    ? await launcher.startDaemon({ command, ...options })
    : await startHere(command, options);
  if ('pid' in started) return started.pid;
  throw new CommandError(command, { output: started.error, notFound: started.notFound });
}

function startHere(
  command: Command,
  options: DetachedOptions,
): Promise<{ pid: number } | { error: string; notFound: boolean }> {
  const [file, ...args] = command;
  const log = openSync(options.logPath, 'a', 0o600);
  return new Promise<{ pid: number } | { error: string; notFound: boolean }>((resolve) => {
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
      ...(options.cwd && { cwd: options.cwd }),
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      resolve({ error: error.message, notFound: error.code === 'ENOENT' });
    });
    child.once('spawn', () => {
      child.unref();
      resolve({ pid: child.pid as number });
    });
  }).finally(() => closeSync(log));
}

/** A command as a shell would take it. */
export function quoteCommand(command: readonly string[]): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
