import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { execa } from 'execa';

export type Command = readonly [string, ...string[]];

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
    super(`\`${shown}\` ${how}${details.output ? `: ${details.output.trim().slice(-2_000)}` : ''}`);
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
  });
  if (result.exitCode === 0) return result.stdout;
  throw new CommandError(command, {
    ...(result.exitCode !== undefined && { exitCode: result.exitCode }),
    output: result.all ?? '',
    timedOut: result.timedOut,
    notFound: result.code === 'ENOENT',
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
