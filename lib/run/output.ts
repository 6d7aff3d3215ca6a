/** The output folder of a run: one run at a time, earlier results kept once. */
import path from 'node:path';
import { UserError, messageOf } from '../model/errors.ts';
import { readIfPresent, removePath } from '../system/files.ts';
import { isAlive, startTimeOf } from '../system/processes.ts';
import { createExclusively, listFolder, makeFolder, movePath } from '../system/storage.ts';
import type { Owner } from './state.ts';

/** What a run writes there. Nothing else in the folder is ever touched: it may be somebody's project. */
export const RESULT_NAMES = [
  'record.ndjson',
  'junit.xml',
  'report.json',
  'diagnostics',
  'comparison.md',
  'comparison.json',
] as const;
const PREVIOUS = 'previous';
const LOCK = '.lock';

export interface Output {
  readonly folder: string;
  /** Lets the next run in. */
  release(): Promise<void>;
}

/**
 * Locks the folder, making it when missing, and moves earlier results to `previous/`.
 * @throws UserError when another run lives there, or the folder cannot be written
 */
export async function openOutput(out: string): Promise<Output> {
  const folder = path.resolve(out);
  try {
    await makeFolder(folder);
    await lock(folder);
    await moveEarlierResults(folder);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`The output folder cannot be written: ${messageOf(error)}`, {
      where: folder,
      remedy: 'Choose another with --out',
      cause: error,
    });
  }
  return { folder, release: () => removePath(path.join(folder, LOCK)) };
}

async function lock(folder: string): Promise<void> {
  const file = path.join(folder, LOCK);
  const owner = JSON.stringify(await thisProcess());
  // Twice: the second try follows the removal of a lock whose owner is dead.
  for (let attempt = 1; attempt <= 2; attempt++) {
    if (await createExclusively(file, owner)) return;
    const holder = parseOwner(await readIfPresent(file));
    if (holder && (await isAlive(holder.pid, holder.startTime))) throw inUse(folder, holder);
    await removePath(file);
  }
  throw inUse(folder);
}

function inUse(folder: string, holder?: Owner): UserError {
  return new UserError('Another run writes there now', {
    where: holder ? `${folder}, process ${holder.pid}` : folder,
    remedy: 'Wait for it, or choose another folder with --out',
  });
}

export async function thisProcess(): Promise<Owner> {
  return { pid: process.pid, startTime: (await startTimeOf(process.pid)) ?? '' };
}

function parseOwner(text: string | undefined): Owner | undefined {
  try {
    const value = JSON.parse(text ?? '') as Partial<Owner> | null;
    return typeof value?.pid === 'number' && typeof value.startTime === 'string'
      ? { pid: value.pid, startTime: value.startTime }
      : undefined;
  } catch {
    return undefined;
  }
}

async function moveEarlierResults(folder: string): Promise<void> {
  const present = await listFolder(folder);
  const earlier = RESULT_NAMES.filter((name) => present.includes(name));
  if (earlier.length === 0) return;
  for (const name of RESULT_NAMES) await removePath(path.join(folder, PREVIOUS, name));
  for (const name of earlier) await movePath(path.join(folder, name), path.join(folder, PREVIOUS, name));
}
