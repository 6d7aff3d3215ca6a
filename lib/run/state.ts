/** What exists in the world because of a run, on disk before it exists: for clean-up, also by another process. */
import path from 'node:path';
import type { Ledger, Resource } from '../model/cluster.ts';
import { InternalError, UserError, messageOf } from '../model/errors.ts';
import { RUN_ID } from '../model/ids.ts';
import type { RunSpec } from '../model/spec.ts';
import type { Clock } from '../system/clock.ts';
import { readIfPresent, removePath, writeAtomically } from '../system/files.ts';
import { isAlive } from '../system/processes.ts';
import { listFolder } from '../system/storage.ts';
import type { Fixtures } from './fixtures.ts';
import { type Undoer, type UndoneResource, undoAll } from './undoAll.ts';

const STATE_VERSION = 1;
/** What a run leaves may be removed by a plain `clean` after this long, kept or not. */
export const EXPIRY_MS = 24 * 60 * 60 * 1000;

export interface Owner {
  readonly pid: number;
  readonly startTime: string;
}

const ATTACHED = [
  'profile',
  'provider',
  'underlay',
  'topology',
  'families',
  'plan',
  'tuning',
  'kubernetes',
  'istioTopology',
  'ciliumSharing',
  'ciliumRouting',
  'ciliumKubeProxy',
  'ciliumEncryption',
  'lacking',
  'consulGateways',
  'images',
] as const satisfies readonly (keyof RunSpec)[];

/** What `--attach` takes over: the clusters exist as these made them. */
export type AttachedSpec = Pick<RunSpec, (typeof ATTACHED)[number]>;

export interface RunState {
  readonly v: typeof STATE_VERSION;
  readonly run: string;
  readonly owner: Owner;
  /** RFC 3339, both. */
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly kept: boolean;
  readonly spec: AttachedSpec;
  /** What stands in every cluster where it belongs. */
  readonly standing: Fixtures;
  /** In the order of creation. */
  readonly resources: readonly Resource[];
}

export function attachedSpecOf(spec: RunSpec): AttachedSpec {
  return Object.fromEntries(ATTACHED.map((key) => [key, spec[key]])) as AttachedSpec;
}

export const NOTHING_STANDS: Fixtures = { workloads: [], services: [], intents: [] };

const runsFolder = (stateFolder: string): string => path.join(stateFolder, 'runs');
const stateFile = (stateFolder: string, run: string): string =>
  path.join(runsFolder(stateFolder), `${run}.json`);

/**
 * The state file of a living run. Changes that come while one is being written go to the disk together in the next
 * write, so that hundreds of resources at once cost a handful of writes.
 */
export class StateFile implements Ledger {
  readonly #path: string;
  readonly #resources: Resource[];
  #state: RunState;
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #closed = false;

  private constructor(stateFolder: string, state: RunState) {
    this.#path = stateFile(stateFolder, state.run);
    this.#state = state;
    this.#resources = [...state.resources];
  }

  static async create(
    stateFolder: string,
    facts: { run: string; owner: Owner; spec: AttachedSpec; now: number },
  ): Promise<StateFile> {
    const { run, owner, spec, now } = facts;
    const file = new StateFile(stateFolder, {
      v: STATE_VERSION,
      run,
      owner,
      createdAt: new Date(now).toISOString(),
      expiresAt: new Date(now + EXPIRY_MS).toISOString(),
      kept: false,
      spec,
      standing: NOTHING_STANDS,
      resources: [],
    });
    await file.#write();
    return file;
  }

  /** Takes a kept run over. */
  static async takeOver(stateFolder: string, state: RunState, owner: Owner, now: number): Promise<StateFile> {
    const file = new StateFile(stateFolder, state);
    await file.update({ owner, expiresAt: new Date(now + EXPIRY_MS).toISOString() });
    return file;
  }

  get resources(): readonly Resource[] {
    return this.#resources;
  }

  get standing(): Fixtures {
    return this.#state.standing;
  }

  add(resource: Resource): Promise<void> {
    if (this.#closed) {
      return Promise.reject(
        new InternalError(`the run is being torn down: ${resource.description} came too late`),
      );
    }
    this.#resources.push(resource);
    return this.#write();
  }

  update(changes: Partial<Pick<RunState, 'owner' | 'kept' | 'expiresAt' | 'standing'>>): Promise<void> {
    this.#state = { ...this.#state, ...changes };
    return this.#write();
  }

  /** From now on nothing may be created. */
  close(): void {
    this.#closed = true;
  }

  /** Only these are left to undo; with none left the file goes too. */
  async settle(left: readonly Resource[]): Promise<void> {
    this.#resources.splice(0, Infinity, ...left);
    if (left.length > 0) return this.#write();
    await this.#next?.catch(() => undefined);
    await this.#writing?.catch(() => undefined);
    await removePath(this.#path);
  }

  /** Resolves when what is known now is on disk. */
  #write(): Promise<void> {
    if (!this.#writing) {
      this.#writing = this.#writeOnce().finally(() => {
        this.#writing = undefined;
      });
      return this.#writing;
    }
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return this.#write();
      });
    return this.#next;
  }

  async #writeOnce(): Promise<void> {
    const state: RunState = { ...this.#state, resources: this.#resources };
    await writeAtomically(this.#path, JSON.stringify(state), 0o600);
  }
}

async function refuseLiving(state: RunState): Promise<void> {
  const { pid, startTime } = state.owner;
  if (!(await isAlive(pid, startTime))) return;
  throw new UserError(`The run ${state.run} is still going on`, {
    where: `process ${pid}`,
    remedy: `Wait for it, or end it with \`kill ${pid}\``,
  });
}

/** @throws UserError when there is no such run, or its file cannot be read */
export async function loadRun(stateFolder: string, run: string): Promise<RunState> {
  const where = stateFile(stateFolder, run);
  const text = RUN_ID.test(run) ? await readIfPresent(where) : undefined;
  if (text === undefined) {
    throw new UserError(`There is no run "${run}"`, {
      where: runsFolder(stateFolder),
      remedy: '`mcnet-conformance clean --dry-run` lists what runs left',
    });
  }
  return parseState(text, where);
}

function parseState(text: string, where: string): RunState {
  let state: Partial<RunState> | null;
  try {
    state = JSON.parse(text) as Partial<RunState> | null;
  } catch (error) {
    throw new UserError(`The state of a run cannot be read: ${messageOf(error)}`, {
      where,
      remedy: 'Remove what it created by hand, then the file',
      cause: error,
    });
  }
  if (state?.v !== STATE_VERSION || !Array.isArray(state.resources) || !state.owner) {
    throw new UserError('The state of a run was written by another version of this program', {
      where,
      remedy: 'Clean up with the version that ran it',
    });
  }
  return state as RunState;
}

/** A run that `--attach` may take over. @throws UserError when there is none, or its owner lives */
export async function loadAttachable(stateFolder: string, run: string): Promise<RunState> {
  const state = await loadRun(stateFolder, run);
  await refuseLiving(state);
  return state;
}

export interface ListedRun {
  readonly state: RunState;
  readonly living: boolean;
  readonly expired: boolean;
}

/** Every run that has a state file, by id. @throws UserError for a file that cannot be read */
export async function listRuns(stateFolder: string, clock: Pick<Clock, 'now'>): Promise<ListedRun[]> {
  const files = (await listFolder(runsFolder(stateFolder))).filter((name) => name.endsWith('.json'));
  return Promise.all(
    files.map(async (name): Promise<ListedRun> => {
      const state = await loadRun(stateFolder, name.slice(0, -'.json'.length));
      const living = await isAlive(state.owner.pid, state.owner.startTime);
      return { state, living, expired: Date.parse(state.expiresAt) <= clock.now() };
    }),
  );
}

export interface CleanedRun {
  readonly run: string;
  readonly resources: readonly UndoneResource[];
  /** Everything is gone (or would be). */
  readonly clean: boolean;
}

export interface CleanOptions {
  readonly dryRun: boolean;
  readonly undoer?: Undoer;
}

/** Removes what a run left, newest first. @throws UserError when there is no such run, or its owner lives */
export async function cleanRun(
  stateFolder: string,
  run: string,
  { dryRun, undoer }: CleanOptions,
): Promise<CleanedRun> {
  const state = await loadRun(stateFolder, run);
  await refuseLiving(state);
  const resources = await undoAll(state.resources, { dryRun, ...(undoer && { undoer }) });
  const left = resources.filter(({ outcome }) => outcome === 'failed').map(({ resource }) => resource);
  if (!dryRun) {
    const where = stateFile(stateFolder, run);
    if (left.length === 0) await removePath(where);
    else await writeAtomically(where, JSON.stringify({ ...state, resources: left.toReversed() }), 0o600);
  }
  return { run, resources, clean: left.length === 0 };
}

/** Removes what dead runs left, and kept ones that have expired. */
export async function cleanDeadRuns(
  stateFolder: string,
  clock: Pick<Clock, 'now'>,
  options: CleanOptions,
): Promise<CleanedRun[]> {
  const due = (await listRuns(stateFolder, clock)).filter(
    ({ state, living, expired }) => !living && (!state.kept || expired),
  );
  const cleaned: CleanedRun[] = [];
  for (const { state } of due) cleaned.push(await cleanRun(stateFolder, state.run, options));
  return cleaned;
}
