/** From raw flags to the specification of a run, with the file and the environment of this process. */
import { type ConfigurationFile, parseConfigurationFile } from '../config/file.ts';
import { environmentName } from '../config/flags.ts';
import { CONFIG_KEY, mergeConfiguration } from '../config/layers.ts';
import { CONFIG_FILE } from '../config/names.ts';
import { toRunSpec } from '../config/spec.ts';
import { UserError, messageOf } from '../model/errors.ts';
import type { RunSpec } from '../model/spec.ts';
import { REPORTERS } from '../../reports/index.ts';
import { SUITES } from '../../suites/index.ts';
import { readBytes } from '../system/files.ts';
import type { RawFlags } from './program.ts';

/** @throws UserError with the place of whatever is wrong */
export async function readSpec(flags: RawFlags, environment = process.env): Promise<RunSpec> {
  const { [CONFIG_KEY]: named, ...rest } = flags;
  const wanted = typeof named === 'string' ? named : environment[environmentName(CONFIG_KEY)];
  const file = await readConfigurationFile(wanted);
  const configured = mergeConfiguration({ flags: rest, environment, ...(file && { file }) });
  return toRunSpec(configured, {
    suites: SUITES,
    reportFormats: REPORTERS.map((reporter) => reporter.format),
  });
}

/** @param named by the user; undefined: the usual file, which need not be there */
async function readConfigurationFile(named: string | undefined): Promise<ConfigurationFile | undefined> {
  const file = named ?? CONFIG_FILE;
  let bytes: Uint8Array;
  try {
    bytes = await readBytes(file);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (absent && named === undefined) return undefined;
    throw new UserError(absent ? 'There is no such file' : `The file cannot be read: ${messageOf(error)}`, {
      where: file,
      remedy: 'Name a readable file with --config, or leave it out',
      cause: error,
    });
  }
  return parseConfigurationFile(bytes, file);
}
