/** From raw flags to the specification of a run, with the file and the environment of this process. */
import { environmentName } from '../config/flags.ts';
import { CONFIG_KEY, mergeConfiguration } from '../config/layers.ts';
import { toRunSpec } from '../config/spec.ts';
import type { RunSpec } from '../model/spec.ts';
import { REPORTERS } from '../../reports/index.ts';
import { SUITES } from '../../suites/index.ts';
import { readConfigurationFile, readUserFile } from './configuration-file.ts';
import type { RawFlags } from './program.ts';

const KNOWN = {
  suites: SUITES,
  reportFormats: REPORTERS.map((reporter) => reporter.format),
};

/**
 * @param comparedWith profiles of the runs beside which this one is to stand
 * @throws UserError with the place of whatever is wrong
 */
export async function readSpec(
  flags: RawFlags,
  environment = process.env,
  comparedWith: readonly string[] = [],
): Promise<RunSpec> {
  const { [CONFIG_KEY]: named, ...rest } = flags;
  const wanted = typeof named === 'string' ? named : environment[environmentName(CONFIG_KEY)];
  const file = await readConfigurationFile(wanted);
  const userFile = await readUserFile(environment);
  const configured = mergeConfiguration({
    flags: rest,
    environment,
    ...(file && { file }),
    ...(userFile && { userFile }),
  });
  return toRunSpec(configured, { ...KNOWN, comparedWith });
}

/** What a run does when nobody says anything. */
export const defaultSpec = (): RunSpec =>
  toRunSpec(mergeConfiguration({ flags: {}, environment: {} }), KNOWN);
