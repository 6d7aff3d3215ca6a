/** Writes results in the formats that are wanted, to where they are wanted. */
import path from 'node:path';
import { messageOf } from '../model/errors.ts';
import type { RunResults } from '../model/results.ts';
import type { RunSpec } from '../model/spec.ts';
import { writeAtomically } from '../system/files.ts';
import { renderConsole } from '../../reports/console.ts';
import { REPORTERS, type Reporter } from '../../reports/index.ts';
import { consoleOptions } from './terminal.ts';

/** Where a report goes that is meant for standard output. */
export const STANDARD_OUTPUT = '-';

export interface Destination {
  readonly reporter: Reporter;
  /** A path, or `-`. */
  readonly path: string;
}

/** The formats of the output folder, where they were not sent elsewhere, and what else was asked for. */
export function destinationsOfRun({ reports, out }: Pick<RunSpec, 'reports' | 'out'>): Destination[] {
  const asked = reports.map(({ format, path: wanted }): Destination => {
    const reporter = reporterOf(format);
    const standard =
      reporter.defaultFile === undefined ? STANDARD_OUTPUT : path.join(out, reporter.defaultFile);
    return { reporter, path: wanted ?? standard };
  });
  const always = REPORTERS.flatMap((reporter): Destination[] =>
    reporter.defaultFile === undefined || asked.some((one) => one.reporter === reporter)
      ? []
      : [{ reporter, path: path.join(out, reporter.defaultFile) }],
  );
  return [...always, ...asked];
}

/** Formats without a path go to standard output; the console report when nothing is asked for. */
export function destinationsOfReport(reports: RunSpec['reports']): Destination[] {
  const wanted = reports.length === 0 ? [{ format: 'console' }] : reports;
  return wanted.map((report) => ({
    reporter: reporterOf(report.format),
    path: ('path' in report ? report.path : undefined) ?? STANDARD_OUTPUT,
  }));
}

/** Writes each, whatever becomes of the others. @returns what could not be written, with the reason */
export async function writeReports(
  results: readonly RunResults[],
  destinations: readonly Destination[],
): Promise<string[]> {
  const failures: string[] = [];
  for (const { reporter, path: target } of destinations) {
    try {
      if (target === STANDARD_OUTPUT) process.stdout.write(renderForStandardOutput(reporter, results));
      else await writeAtomically(target, reporter.render(results));
    } catch (error) {
      failures.push(`${reporter.format} (${target}): ${messageOf(error)}`);
    }
  }
  return failures;
}

/** What a person reads fits the terminal. */
function renderForStandardOutput(reporter: Reporter, results: readonly RunResults[]): string {
  const text =
    reporter.format === 'console'
      ? renderConsole(results, consoleOptions(process.stdout, 'normal'))
      : reporter.render(results);
  return text.endsWith('\n') ? text : `${text}\n`;
}

function reporterOf(format: string): Reporter {
  // Formats were checked with everything else that the user wrote.
  return REPORTERS.find((reporter) => reporter.format === format) as Reporter;
}
