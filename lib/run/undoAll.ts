import type { Resource, UndoAction } from '../model/cluster.ts';
import { messageOf } from '../model/errors.ts';
import { executeUndo, stillExists } from '../system/undo.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** How actions are carried out; replaced in tests. */
export interface Undoer {
  executeUndo(action: UndoAction): Promise<void>;
  stillExists(action: UndoAction): Promise<boolean>;
}

const SYSTEM: Undoer = { executeUndo, stillExists };
/** Deleting is mostly waiting for the kernel: a few at once are faster, many only queue there. */
const CONCURRENCY = 8;

export interface UndoneResource {
  readonly resource: Resource;
  readonly outcome: 'removed' | 'was gone' | 'would be removed' | 'failed';
  readonly error?: string;
}

export interface UndoOptions {
  readonly dryRun?: boolean;
  readonly undoer?: Undoer;
  /** What is not undone by then has failed. */
  readonly signal?: AbortSignal;
}

/**
 * Undoes in reverse order of creation. Neighbours of the same kind go side by side, since none of them holds another;
 * commands keep their order, since nobody knows what they do. A failure stops nothing. Never rejects.
 */
export async function undoAll(
  resources: readonly Resource[],
  options: UndoOptions = {},
): Promise<UndoneResource[]> {
  const undone: UndoneResource[] = [];
  for (const group of groupsOf(resources.toReversed())) {
    undone.push(...(await Promise.all(group.map((resource) => undoOne(resource, options)))));
  }
  return undone;
}

function groupsOf(resources: readonly Resource[]): Resource[][] {
  const groups: Resource[][] = [];
  for (const resource of resources) {
    const group = groups.at(-1);
    const kind = resource.undo.kind;
    const joins = group && kind !== 'run' && group.length < CONCURRENCY && group[0]?.undo.kind === kind;
    if (joins) group.push(resource);
    else groups.push([resource]);
  }
  return groups;
}

async function undoOne(
  resource: Resource,
  { dryRun = false, undoer = SYSTEM, signal }: UndoOptions,
): Promise<UndoneResource> {
  try {
    signal?.throwIfAborted();
    // Whether a command has something to undo cannot be looked up.
    const exists = resource.undo.kind === 'run' || (await undoer.stillExists(resource.undo));
    if (dryRun) return { resource, outcome: exists ? 'would be removed' : 'was gone' };
    if (!exists) return { resource, outcome: 'was gone' };
    await withinSignal(undoer.executeUndo(resource.undo), signal);
    return { resource, outcome: 'removed' };
  } catch (error) {
    return { resource, outcome: 'failed', error: messageOf(error) };
  }
}
