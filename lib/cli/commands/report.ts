import { mergeConfiguration } from '../../config/layers.ts';
import { reportsOf } from '../../config/spec.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import { registryOf } from '../../run/registry.ts';
import { readResults } from '../../run/results.ts';
import { readBytes } from '../../system/files.ts';
import { REPORTERS } from '../../../reports/index.ts';
import { SUITES } from '../../../suites/index.ts';
import { exitCodeOfAll } from '../failure.ts';
import { destinationsOfReport, writeReports } from '../reports.ts';

/** Judges stored records again. @throws UserError for what is no record */
export async function report(
  files: readonly string[],
  flags: { readonly report?: readonly string[] },
): Promise<number> {
  const configured = mergeConfiguration({
    flags: flags.report ? { report: flags.report } : {},
    environment: {},
  });
  const reports = reportsOf(
    configured,
    REPORTERS.map(({ format }) => format),
  );
  const lines: string[] = [];
  for (const file of files) lines.push(...(await linesOf(file)));
  const results = readResults(lines, registryOf(SUITES));
  const failures = await writeReports(results, destinationsOfReport(reports));
  if (failures.length > 0) {
    throw new UserError(`Not every report could be written: ${failures.join('; ')}`, {
      where: '--report',
      remedy: 'Choose a path that can be written',
    });
  }
  return exitCodeOfAll(results.map(({ exitCode }) => exitCode));
}

/** @throws UserError for a file that cannot be read */
export async function linesOf(file: string): Promise<string[]> {
  try {
    return (await readBytes(file))
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch (error) {
    throw new UserError(`The record cannot be read: ${messageOf(error)}`, {
      where: file,
      remedy: 'Give the record.ndjson of a run',
      cause: error,
    });
  }
}
