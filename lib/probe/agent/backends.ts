/** Backend processes of this agent, by port: each can be drained, crashed or frozen while the agent stays. */
import type { ChildProcess } from 'node:child_process';
import type { BackendEvent } from '../../model/probe.ts';
import type { Identity } from '../../model/workload.ts';
import { agentCommand } from '../command.ts';
import { lineSplitter } from '../lines.ts';
import { checkPort } from './checks.ts';
import { killCompanion, startCompanion } from './tools.ts';

const START_MS = 8_000;
const ACKNOWLEDGE_MS = 2_000;
const LONGEST_LINE = 1_024;

interface Backend {
  readonly child: ChildProcess;
  /** Something was done to it: starting the port again replaces it. */
  disturbed: boolean;
  /** Resolves with the next line it prints, in order. @throws when it ends or says nothing in time */
  nextLine(timeoutMs: number): Promise<string>;
}

export class Backends {
  readonly #identity: Identity;
  readonly #backends = new Map<number, Backend>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** Resolves when it listens. One that runs undisturbed is left as it is; any other on this port is replaced. */
  async start(request: { port: number }): Promise<void> {
    const port = checkPort(request.port);
    const present = this.#backends.get(port);
    if (present && !present.disturbed && isRunning(present.child)) return;
    await this.stop(port);
    const { cluster, namespace, workload } = this.#identity;
    const child = startCompanion(
      [
        ...agentCommand('backend'),
        ...['--port', String(port), '--cluster', cluster, '--namespace', namespace, '--workload', workload],
      ],
      'pipe',
    );
    const backend: Backend = { child, disturbed: false, nextLine: lineReader(child) };
    this.#backends.set(port, backend);
    try {
      const said = await backend.nextLine(START_MS);
      if (said !== 'ready') throw new Error(`the backend on port ${port} did not start: ${said}`);
    } catch (error) {
      await this.stop(port);
      throw error;
    }
  }

  async disturb(portValue: unknown, event: BackendEvent): Promise<void> {
    const port = checkPort(portValue);
    const backend = this.#backends.get(port);
    if (!backend || !isRunning(backend.child)) throw new Error(`there is no backend on port ${port}`);
    backend.disturbed = true;
    switch (event) {
      case 'crash':
        await killCompanion(backend.child);
        break;
      case 'freeze':
        backend.child.kill('SIGSTOP');
        break;
      case 'thaw':
        backend.child.kill('SIGCONT');
        break;
      case 'fail':
      case 'drain':
        backend.child.stdin?.write(`${event}\n`);
        await backend.nextLine(ACKNOWLEDGE_MS);
        break;
      default:
        throw new TypeError(`event: unknown ${JSON.stringify(event)}`);
    }
  }

  /** No error when there is none. */
  async stop(portValue: unknown): Promise<void> {
    const port = checkPort(portValue);
    const backend = this.#backends.get(port);
    this.#backends.delete(port);
    if (backend) await killCompanion(backend.child);
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

function lineReader(child: ChildProcess): Backend['nextLine'] {
  const lines: string[] = [];
  let wake = (): void => {};
  const split = lineSplitter(LONGEST_LINE, (line) => {
    lines.push(line);
    wake();
  });
  child.stdin?.on('error', () => {});
  child.stdout?.on('data', (chunk: Buffer) => void split(chunk));
  child.once('exit', () => wake());
  child.once('error', () => wake());
  return async (timeoutMs) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const timer = setTimeout(resolve, timeoutMs);
    if (lines.length === 0 && isRunning(child)) await promise;
    clearTimeout(timer);
    const line = lines.shift();
    if (line !== undefined) return line;
    throw new Error(isRunning(child) ? 'the backend does not react' : 'the backend ended');
  };
}
