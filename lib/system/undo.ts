/** Takes back what was noted in a ledger: every action may be executed twice, and for things that are already gone. */
import { access } from 'node:fs/promises';
import { systemClock } from './clock.ts';
import { runCommand } from './commands.ts';
import { containersExist, deleteContainers, deleteDockerNetwork, dockerNetworkExists } from './docker.ts';
import { isOfRuns, removePath } from './files.ts';
import { type Restoration, restoreObjects } from './kubernetes/objects.ts';
import { deleteNamespaces, namespacesExist } from './kubernetes/namespaces.ts';
import { argumentsOf, isAlive, markedProcesses, sendSignal, startTimeOf } from './processes.ts';

/** The same shape as the model's `UndoAction`, which this room may not import. */
export type UndoAction =
  | { readonly kind: 'delete-netns'; readonly name: string }
  | { readonly kind: 'delete-link'; readonly name: string; readonly netns?: string }
  | { readonly kind: 'kill-process'; readonly pid: number; readonly startTime: string }
  | { readonly kind: 'kill-marked-processes'; readonly run: string }
  | { readonly kind: 'remove-path'; readonly path: string }
  | { readonly kind: 'delete-containers'; readonly label: string }
  | { readonly kind: 'delete-docker-network'; readonly name: string }
  | {
      readonly kind: 'delete-namespaces';
      readonly kubeconfig: string;
      readonly context: string;
      readonly label: string;
    }
  | ({ readonly kind: 'restore-objects' } & Restoration)
  | { readonly kind: 'run'; readonly command: readonly [string, ...string[]] };

/** How long a process may take to end by itself after SIGTERM. */
const TERMINATION_MS = 500;
/** SIGKILL needs no cooperation; only a process stuck inside the kernel takes longer. */
const KILL_MS = 5_000;
const POLL_MS = 10;

/** @throws Error when the thing still exists afterwards, or when a `run` command failed */
export async function executeUndo(action: UndoAction): Promise<void> {
  switch (action.kind) {
    case 'delete-netns':
      // Processes inside keep the nameless namespace until they end; its name and mount go at once.
      return deleteUnlessGone(action, ['ip', 'netns', 'delete', action.name]);
    case 'delete-link':
      return deleteUnlessGone(action, ['ip', ...netnsOption(action.netns), 'link', 'delete', action.name]);
    case 'kill-process':
      return endProcesses(async () => ((await isAlive(action.pid, action.startTime)) ? [action.pid] : []));
    case 'kill-marked-processes':
      await letEngineFinish(action.run);
      return endProcesses(() => markedProcesses(action.run));
    case 'remove-path':
      return removePath(action.path);
    case 'delete-containers':
      return deleteContainers(action.label);
    case 'delete-docker-network':
      return deleteDockerNetwork(action.name);
    case 'delete-namespaces':
      return deleteNamespaces(action);
    case 'restore-objects':
      return restoreObjects(action);
    case 'run':
      await runCommand(action.command);
  }
}

/** Whether what the action removes is still there; a `run` command leaves nothing that could be looked for. */
export async function stillExists(action: UndoAction): Promise<boolean> {
  switch (action.kind) {
    case 'delete-netns':
      return pathExists(netnsPath(action.name));
    case 'delete-link':
      if (action.netns !== undefined && !(await pathExists(netnsPath(action.netns)))) return false;
      return succeeds(['ip', ...netnsOption(action.netns), 'link', 'show', action.name]);
    case 'kill-process':
      return isAlive(action.pid, action.startTime);
    case 'kill-marked-processes':
      return (await markedProcesses(action.run)).length > 0;
    case 'remove-path':
      return pathExists(action.path);
    case 'delete-containers':
      return containersExist(action.label);
    case 'delete-docker-network':
      return dockerNetworkExists(action.name);
    case 'delete-namespaces':
      return namespacesExist(action);
    case 'restore-objects':
      // Whether what was there before is there again cannot be told from whether anything is; but a cluster whose kubeconfig
      // a run itself had made is gone with that.
      return !isOfRuns(action.kubeconfig) || pathExists(action.kubeconfig);
    case 'run':
      return false;
  }
}

const netnsPath = (name: string): string => `/run/netns/${name}`;
const netnsOption = (netns: string | undefined): string[] => (netns === undefined ? [] : ['-n', netns]);

const pathExists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const succeeds = (command: readonly [string, ...string[]]): Promise<boolean> =>
  runCommand(command).then(
    () => true,
    () => false,
  );

async function deleteUnlessGone(action: UndoAction, command: readonly [string, ...string[]]): Promise<void> {
  if (!(await stillExists(action))) return;
  try {
    await runCommand(command);
  } catch (error) {
    if (await stillExists(action)) throw error;
  }
}

/** Programs that call the Docker engine, one client after the other. */
const DRIVERS = new Set(['kind']);
const CREATES = new Set(['run', 'create']);
/** Copying what a large image has for its volumes, on a busy machine. */
const CREATION_MS = 120_000;
const ENGINE_POLL_MS = 200;

/**
 * The engine makes the container that somebody has asked for also when that client is killed, and only then it can be
 * found and removed. So whoever would ask for more is held, and clients that wait for one are waited for.
 */
async function letEngineFinish(run: string): Promise<void> {
  const end = systemClock.monotonic() + CREATION_MS;
  // The first look may have come just before a driver was held.
  for (let look = 0; systemClock.monotonic() < end; look++) {
    const programs = await Promise.all(
      (await markedProcesses(run)).map(async (pid) => {
        const [program = '', verb = ''] = await argumentsOf(pid);
        return { pid, name: program.split('/').at(-1) ?? '', verb };
      }),
    );
    const drivers = programs.filter(({ name }) => DRIVERS.has(name));
    for (const { pid } of drivers) sendSignal(pid, 'SIGSTOP');
    const creating = programs.some(({ name, verb }) => name === 'docker' && CREATES.has(verb));
    if (!creating && (drivers.length === 0 || look > 0)) return;
    await systemClock.sleep(ENGINE_POLL_MS);
  }
}

/** Ends the processes that `find` gives, with their groups; looks again each time, since they may have started others. */
async function endProcesses(find: () => Promise<readonly number[]>): Promise<void> {
  const end = systemClock.monotonic() + TERMINATION_MS + KILL_MS;
  let signal: NodeJS.Signals = 'SIGTERM';
  for (;;) {
    const processes = await withStartTimes(await find());
    if (processes.length === 0) return;
    if (systemClock.monotonic() > end) {
      throw new Error(`processes survive SIGKILL: ${processes.map(({ pid }) => pid).join(', ')}`);
    }
    for (const { pid } of processes) {
      signalGroup(pid, signal);
      // A stopped process handles no other signal before this one.
      signalGroup(pid, 'SIGCONT');
    }
    await goneWithin(TERMINATION_MS, processes);
    signal = 'SIGKILL';
  }
}

/** A process that leads no group is signalled alone. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (!sendSignal(-pid, signal)) sendSignal(pid, signal);
}

interface Identified {
  readonly pid: number;
  readonly startTime: string;
}

async function withStartTimes(pids: readonly number[]): Promise<Identified[]> {
  const startTimes = await Promise.all(pids.map(startTimeOf));
  return pids.flatMap((pid, index) => {
    const startTime = startTimes[index];
    return startTime === undefined ? [] : [{ pid, startTime }];
  });
}

async function goneWithin(limitMs: number, processes: readonly Identified[]): Promise<void> {
  const end = systemClock.monotonic() + limitMs;
  while (systemClock.monotonic() < end) {
    const alive = await Promise.all(processes.map(({ pid, startTime }) => isAlive(pid, startTime)));
    if (!alive.includes(true)) return;
    await systemClock.sleep(POLL_MS);
  }
}
