/** The programs an agent drives. None outlives its time limit, its caller or the agent. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

export type Command = readonly [string, ...string[]];

export interface ToolResult {
  readonly stdout: string;
  readonly stderr: string;
  /** null when it was ended by a signal. */
  readonly exitCode: number | null;
  /** Killed because it ran or talked for too long. */
  readonly killed: boolean;
}

export class ToolMissingError extends Error {
  override readonly name = 'ToolMissingError';
  constructor(tool: string) {
    super(`\`${tool}\` is not installed`);
  }
}

const LARGEST_OUTPUT = 8 * 1024 * 1024;
const MOST_AT_ONCE = 32;

const running = new Set<ChildProcess>();
const waiting: (() => void)[] = [];
let slots = MOST_AT_ONCE;

/** Kills a program and what it started: every one leads a process group of its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

export function killAllTools(): void {
  for (const child of running) killGroup(child);
}

/**
 * Runs a program to its end, or to its limit: then it is killed and `killed` is set.
 * @throws ToolMissingError when it is not installed; the signal's reason when the caller no longer waits
 */
export async function runTool(
  command: Command,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<ToolResult> {
  if (slots > 0) slots--;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    signal.throwIfAborted();
    return await runNow(command, timeoutMs, signal);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else slots++;
  }
}

function runNow(command: Command, timeoutMs: number, signal: AbortSignal): Promise<ToolResult> {
  const [file, ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
    });
    running.add(child);
    const output = { stdout: '', stderr: '' };
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      running.delete(child);
      // A grandchild may hold the pipes open for ever.
      child.stdout.destroy();
      child.stderr.destroy();
      settle();
    };
    const stop = (): void => {
      killGroup(child);
      finish(() => resolve({ ...output, exitCode: null, killed: true }));
    };
    const onAbort = (): void => {
      killGroup(child);
      finish(() => reject(signal.reason));
    };
    const timer = setTimeout(stop, timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text: string) => {
        output[name] += text;
        if (output[name].length > LARGEST_OUTPUT) stop();
      });
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      finish(() => reject(error.code === 'ENOENT' ? new ToolMissingError(file) : error));
    });
    child.once('close', (exitCode) => finish(() => resolve({ ...output, exitCode, killed: false })));
  });
}

const DIES_WITH_PARENT = ['setpriv', '--pdeathsig', 'KILL', '--'] as const;
let canDieWithParent: boolean | undefined;

/**
 * Starts a program that stays until the agent ends. Where setpriv(1) knows how, the kernel kills it with the agent,
 * however that dies (PR_SET_PDEATHSIG); elsewhere what a killed agent leaves carries MCNET_RUN in its environment,
 * by which cleaning finds it.
 */
export function startCompanion(command: Command, stdin: 'ignore' | 'pipe'): ChildProcess {
  canDieWithParent ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true']).status === 0;
  const [file, ...args] = canDieWithParent ? [...DIES_WITH_PARENT, ...command] : command;
  const child = spawn(file, args, {
    detached: true,
    stdio: [stdin, 'pipe', 'ignore'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

export function killCompanion(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}
