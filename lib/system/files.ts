import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, statfs } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

/** Replaces a file as a whole or not at all; its folder is made when missing. */
export async function writeAtomically(target: string, content: string, mode = 0o644): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const temporary = `${target}.${randomBytes(4).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await rename(temporary, target);
}

/** Content of a file; undefined when there is none. */
export async function readIfPresent(target: string): Promise<string | undefined> {
  try {
    return await readFile(target, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Content of a file as it is on disk. */
export const readBytes = (target: string): Promise<Buffer> => readFile(target);

/** Names of what a folder holds. */
export const filesIn = (folder: string): Promise<string[]> => readdir(folder);

/** What a user without special rights may still write on the file system of a path. */
export async function freeBytes(target: string): Promise<number> {
  const { bavail, bsize } = await statfs(target);
  return bavail * bsize;
}

/** Makes a folder, and those above it, that only this user may enter. */
export async function makePrivateFolder(target: string): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 });
}

/** What a program that is about to end still writes into a folder is removed with it. */
const REMOVAL_RETRIES = 5;

/** Removes a file or a folder with all that is in it; none is no error. */
export const removePath = (target: string): Promise<void> =>
  rm(target, { recursive: true, force: true, maxRetries: REMOVAL_RETRIES });

const APPLICATION = 'mcnet-conformance';

/** XDG Base Directory: where runs are remembered. */
export function stateFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return path.join(environment.XDG_STATE_HOME || path.join(homedir(), '.local', 'state'), APPLICATION);
}

/** XDG Base Directory: what a user sets for all runs. */
export function userConfigurationFile(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment.XDG_CONFIG_HOME || path.join(environment.HOME || homedir(), '.config');
  return path.join(base, APPLICATION, 'mcnet.yaml');
}

/**
 * Sockets, keys and logs of a run; removed with it. Short, because a socket's path may have 107 bytes at most. Root's own
 * place, or the XDG Base Directory of a user.
 */
export function runtimeFolder(run: string, environment: NodeJS.ProcessEnv = process.env): string {
  return path.join(runtimeFolders(environment), run);
}

function runtimeFolders(environment: NodeJS.ProcessEnv): string {
  const base = process.getuid?.() === 0 ? '/run' : (environment['XDG_RUNTIME_DIR'] ?? tmpdir());
  return path.join(base, APPLICATION);
}

/** Whether a file lies in the folder of some run, and so goes with it. */
export const isOfRuns = (file: string, environment: NodeJS.ProcessEnv = process.env): boolean =>
  file.startsWith(`${runtimeFolders(environment)}${path.sep}`);
