/** What a running step is given: programs whose output goes to the step's log, and that end when the builder is stopped. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { $, type ProcessOutput } from 'zx';
import { BuildError } from './problems.ts';
import type { Places } from './places.ts';

const TAIL_LINES = 15;

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** For standard input, which is otherwise empty. */
  readonly input?: string;
}

export interface Job {
  readonly places: Places;
  readonly hash: string;
  readonly signal: AbortSignal;
  /** Runs a program, its output into the log. @throws BuildError */
  run(command: readonly string[], options?: RunOptions): Promise<void>;
  /** Runs a program for what it prints. @throws BuildError */
  read(command: readonly string[], options?: RunOptions): Promise<string>;
  /** Runs a script of bash, for pipes; `$1` and on are the arguments. @throws BuildError */
  shell(script: string, args?: readonly string[], options?: RunOptions): Promise<void>;
}

export function jobFor(
  id: string,
  hash: string,
  places: Places,
  signal: AbortSignal,
): Job & { close(): void } {
  const logFile = path.join(places.log, `${id}.log`);
  const log = openSync(logFile, 'w');
  const start = (command: readonly string[], stdout: 'pipe' | number, options: RunOptions) =>
    $({
      signal,
      nothrow: true,
      quiet: true,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', stdout, log],
      ...(options.input !== undefined && { input: options.input }),
      ...(options.cwd && { cwd: options.cwd }),
      ...(options.environment && { env: { ...process.env, ...options.environment } }),
    })`${command}`;
  const check = (command: readonly string[], result: ProcessOutput): void => {
    signal.throwIfAborted();
    if (result.exitCode === 0) return;
    const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
    const how = result.exitCode === null ? `was ended by ${result.signal}` : `ended with ${result.exitCode}`;
    throw new BuildError(`\`${command.slice(0, 4).join(' ')} …\` ${how}`, logFile, tail);
  };
  const run = async (command: readonly string[], options: RunOptions = {}): Promise<void> => {
    signal.throwIfAborted();
    writeSync(log, `\n$ ${command.join(' ')}\n`);
    check(command, await start(command, log, options));
  };
  return {
    places,
    hash,
    signal,
    run,
    async read(command, options = {}) {
      signal.throwIfAborted();
      writeSync(log, `\n$ ${command.join(' ')}\n`);
      const result = await start(command, 'pipe', options);
      check(command, result);
      return result.stdout;
    },
    shell: (script, args = [], options) =>
      run(['bash', '-euo', 'pipefail', '-c', script, 'bash', ...args], options),
    close: () => closeSync(log),
  };
}
