/** Backends of this agent, by port: each can be drained, and those that are processes crashed or frozen. */
import type { ChildProcess } from 'node:child_process';
import type { BackendEvent, BackendRequest } from '../../model/probe.ts';
import type { Identity } from '../../model/workload.ts';
import { agentCommand } from '../command.ts';
import { lineSplitter } from '../lines.ts';
import { newInstance } from './arguments.ts';
import { BackendService } from './backend-service.ts';
import { checkPort } from './checks.ts';
import { killCompanion, startCompanion } from './tools.ts';

const START_MS = 8_000;
const ACKNOWLEDGE_MS = 2_000;
const LONGEST_LINE = 1_024;

interface Backend {
  readonly isRunning: () => boolean;
  /** Something was done to it: starting the port again replaces it. */
  disturbed: boolean;
  disturb(event: BackendEvent): Promise<void>;
  stop(): Promise<void>;
}

export class Backends {
  readonly #identity: Identity;
  readonly #backends = new Map<number, Backend>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** Resolves when it listens. One that runs undisturbed is left as it is; any other on this port is replaced. */
  async start(request: BackendRequest): Promise<void> {
    const port = checkPort(request.port);
    const present = this.#backends.get(port);
    if (present && !present.disturbed && present.isRunning()) return;
    await this.stop(port);
    const start = request.inAgent ? startInside : startProcess;
    this.#backends.set(port, await start(port, this.#identity));
  }

  async disturb(portValue: unknown, event: BackendEvent): Promise<void> {
    const port = checkPort(portValue);
    const backend = this.#backends.get(port);
    if (!backend?.isRunning()) throw new Error(`there is no backend on port ${port}`);
    backend.disturbed = true;
    await backend.disturb(event);
  }

  /** No error when there is none. */
  async stop(portValue: unknown): Promise<void> {
    const port = checkPort(portValue);
    const backend = this.#backends.get(port);
    this.#backends.delete(port);
    await backend?.stop();
  }
}

/** Every start is another instance, as a process would be. */
async function startInside(port: number, identity: Identity): Promise<Backend> {
  let running = true;
  const service = new BackendService({ ...identity, instance: newInstance() }, () => (running = false));
  await service.listen(port);
  return {
    disturbed: false,
    isRunning: () => running,
    async disturb(event) {
      if (event === 'fail') service.fail();
      else if (event === 'drain') service.drain();
      else throw new TypeError(`event: ${JSON.stringify(event)} takes a backend in a process of its own`);
    },
    stop: () => service.close(),
  };
}

async function startProcess(port: number, identity: Identity): Promise<Backend> {
  const { cluster, namespace, workload } = identity;
  const child = startCompanion(
    [
      ...agentCommand('backend'),
      ...['--port', String(port), '--cluster', cluster, '--namespace', namespace, '--workload', workload],
    ],
    'pipe',
  );
  const nextLine = lineReader(child);
  try {
    const said = await nextLine(START_MS);
    if (said !== 'ready') throw new Error(`the backend on port ${port} did not start: ${said}`);
  } catch (error) {
    await killCompanion(child);
    throw error;
  }
  return {
    disturbed: false,
    isRunning: () => isRunning(child),
    async disturb(event) {
      switch (event) {
        case 'crash':
          await killCompanion(child);
          break;
        case 'freeze':
          child.kill('SIGSTOP');
          break;
        case 'thaw':
          child.kill('SIGCONT');
          break;
        case 'fail':
        case 'drain':
          child.stdin?.write(`${event}\n`);
          await nextLine(ACKNOWLEDGE_MS);
          break;
        default:
          throw new TypeError(`event: unknown ${JSON.stringify(event)}`);
      }
    },
    stop: () => killCompanion(child),
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** The returned function resolves with the next line, in order. @throws when it ends or says nothing in time */
function lineReader(child: ChildProcess): (timeoutMs: number) => Promise<string> {
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
