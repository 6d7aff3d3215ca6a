import { appendFile } from 'node:fs/promises';
import { messageOf } from '../../model/errors.ts';
import type { RunSpec } from '../../model/spec.ts';
import { type RunOutcome, executeRun } from '../../run/execute.ts';
import type { Output } from '../../run/output.ts';
import { headline } from '../../../reports/digest.ts';
import { renderStepSummary } from '../../../reports/github.ts';
import { readSpec } from '../configuration.ts';
import { completeSpec } from '../survey.ts';
import { EXIT_USAGE } from '../failure.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { type Destination, STANDARD_OUTPUT, destinationsOfRun, writeReports } from '../reports.ts';
import { type Stream, runConsole } from '../terminal.ts';
import { beginExecution, monotonic } from '../execution.ts';

/** @throws UserError when the run cannot even be planned; what goes wrong later is in the results */
export async function run(flags: RawFlags, output: Output): Promise<number> {
  const spec: RunSpec = { ...(await completeSpec(await readSpec(flags))), out: output.folder };
  const destinations = destinationsOfRun(spec);
  const shown = runConsole(spec.verbosity, streamForReport(destinations), monotonic);
  const { dependencies, interruption } = beginExecution(spec, [shown.observer]);
  try {
    const outcome = await executeRun(spec, dependencies);
    const published = await publish(outcome, destinations);
    shown.finish(outcome.results);
    return interruption.defect || !published ? EXIT_USAGE : outcome.exitCode;
  } finally {
    shown.stop();
    interruption.stop();
  }
}

/** Where the final words go: out of the way of a report that somebody reads from standard output. */
function streamForReport(destinations: readonly Destination[]): Stream | undefined {
  const taker = destinations.find((destination) => destination.path === STANDARD_OUTPUT);
  if (!taker) return process.stdout;
  return taker.reporter.format === 'console' ? undefined : process.stderr;
}

/** @returns whether everything could be written: results that nobody can read are no results */
async function publish(
  { results, recordFailure }: RunOutcome,
  destinations: readonly Destination[],
): Promise<boolean> {
  const failures = await writeReports([results], destinations);
  const summary = process.env['GITHUB_STEP_SUMMARY'];
  if (summary) {
    await appendFile(summary, renderStepSummary([results])).catch((error: unknown) => {
      failures.push(`step summary: ${messageOf(error)}`);
    });
  }
  if (recordFailure !== undefined) failures.push(`record: ${recordFailure}`);
  if (failures.length > 0) note([headline(results), 'Could not be written:', ...failures].join('\n  '));
  return failures.length === 0;
}
