/** Takes back what was noted in a ledger: every action may be executed twice, and for things that are already gone. */
import { access } from 'node:fs/promises';
import { systemClock } from './clock.ts';
import { runCommand } from './commands.ts';
import { removePath } from './files.ts';
import { isAlive, markedProcesses, sendSignal, startTimeOf } from './processes.ts';

/** The same shape as the model's `UndoAction`, which this room may not import. */
export type UndoAction =
  | { readonly kind: 'delete-netns'; readonly name: string }
  | { readonly kind: 'delete-link'; readonly name: string; readonly netns?: string }
  | { readonly kind: 'kill-process'; readonly pid: number; readonly startTime: string }
  | { readonly kind: 'kill-marked-processes'; readonly run: string }
  | { readonly kind: 'remove-path'; readonly path: string }
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
      return endProcesses(() => markedProcesses(action.run));
    case 'remove-path':
      return removePath(action.path);
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

/** Ends the processes that `find` gives, with their groups; looks again each time, since they may have started others. */
async function endProcesses(find: () => Promise<readonly number[]>): Promise<void> {
  for (const pid of await find()) {
    signalGroup(pid, 'SIGTERM');
    // A stopped process handles no signal but this one.
    signalGroup(pid, 'SIGCONT');
  }
  if (await goneWithin(TERMINATION_MS, find)) return;
  if (await goneWithin(KILL_MS, async () => (await find()).filter((pid) => signalGroup(pid, 'SIGKILL')))) {
    return;
  }
  throw new Error(`processes survive SIGKILL: ${(await find()).join(', ')}`);
}

/** A process that leads no group is signalled alone. @returns whether there was such a process */
function signalGroup(pid: number, signal: NodeJS.Signals): boolean {
  return sendSignal(-pid, signal) || sendSignal(pid, signal);
}

async function goneWithin(limitMs: number, find: () => Promise<readonly number[]>): Promise<boolean> {
  const end = systemClock.monotonic() + limitMs;
  for (;;) {
    const alive = await Promise.all((await find()).map(startTimeOf));
    if (alive.every((startTime) => startTime === undefined)) return true;
    if (systemClock.monotonic() > end) return false;
    await systemClock.sleep(POLL_MS);
  }
}
