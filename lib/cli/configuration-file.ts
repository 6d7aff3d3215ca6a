/** Reads mcnet.yaml, or whatever file the user names. */
import { readFile, stat } from 'node:fs/promises';
import {
  type ConfigurationFile,
  MAXIMUM_FILE_BYTES,
  parseConfigurationFile,
  tooLarge,
} from '../config/file.ts';
import { CONFIG_FILE } from '../config/names.ts';
import { UserError, messageOf } from '../model/errors.ts';
import { userConfigurationFile } from '../system/files.ts';

/**
 * @param named by the user; undefined: the usual file, which need not be there
 * @throws UserError for what is no readable file of a bounded size, or no YAML
 */
export async function readConfigurationFile(
  named: string | undefined,
): Promise<ConfigurationFile | undefined> {
  const name = named ?? CONFIG_FILE;
  try {
    return parseConfigurationFile(await readBounded(name), name);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (absent && named === undefined) return undefined;
    throw new UserError(absent ? 'There is no such file' : `The file cannot be read: ${messageOf(error)}`, {
      where: name,
      remedy: 'Name a readable file with --config, or leave it out',
      cause: error,
    });
  }
}

/** The lowest layer: what holds for every run of this user, such as where images and tools are. Need not be there. */
export async function readUserFile(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ConfigurationFile | undefined> {
  const name = userConfigurationFile(environment);
  try {
    return parseConfigurationFile(await readBounded(name), name);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new UserError(`The file cannot be read: ${messageOf(error)}`, {
      where: name,
      remedy: 'Make it readable, or remove it',
      cause: error,
    });
  }
}

/** Looks at kind and size first: a device or a pipe may have no end, and is read twice here. */
async function readBounded(name: string): Promise<Uint8Array> {
  const about = await stat(name);
  if (!about.isFile()) throw new Error('it is no regular file');
  if (about.size > MAXIMUM_FILE_BYTES) throw tooLarge(name);
  return readFile(name);
}
