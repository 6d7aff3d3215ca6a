/** Files that a run keeps: appended to, locked, moved aside, listed. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface AppendableFile {
  append(text: string): Promise<void>;
  /** Flushed to the disk and closed. */
  close(): Promise<void>;
}

/** Opens an empty file for appending; its folder is made when missing. */
export async function openAppendable(target: string): Promise<AppendableFile> {
  await mkdir(path.dirname(target), { recursive: true });
  const file = await open(target, 'w', 0o644);
  return {
    append: async (text) => {
      await file.appendFile(text);
    },
    close: async () => {
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    },
  };
}

export async function makeFolder(folder: string, mode = 0o755): Promise<void> {
  await mkdir(folder, { recursive: true, mode });
}

/** Creates a file with its content in one step. @returns false when there is one already */
export async function createExclusively(target: string, content: string): Promise<boolean> {
  const temporary = `${target}.${randomBytes(4).toString('hex')}.tmp`;
  await writeFile(temporary, content, { flag: 'wx', mode: 0o644 });
  try {
    // link(2) fails when the name is taken, and nobody ever sees the file without its content.
    await link(temporary, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Names in a folder, sorted; none when there is no folder. */
export async function listFolder(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

export async function movePath(from: string, to: string): Promise<void> {
  await mkdir(path.dirname(to), { recursive: true });
  await rename(from, to);
}
