import { appendFile } from 'node:fs/promises';
import { messageOf } from '../../model/errors.ts';
import type { RunSpec } from '../../model/spec.ts';
import { type RunOutcome, executeRun } from '../../run/execute.ts';
import type { Output } from '../../run/output.ts';
import { systemClock } from '../../system/clock.ts';
import { stateFolder } from '../../system/files.ts';
import { headline } from '../../../reports/digest.ts';
import { renderStepSummary } from '../../../reports/github.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { EXIT_USAGE } from '../failure.ts';
import { mendingProvider, summarisingProvider } from '../packages.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { type Destination, STANDARD_OUTPUT, destinationsOfRun, writeReports } from '../reports.ts';
import { interruptible } from '../signals.ts';
import { type Stream, runConsole } from '../terminal.ts';
import { version } from '../version.ts';

/** @throws UserError when the run cannot even be planned; what goes wrong later is in the results */
export async function run(flags: RawFlags, output: Output): Promise<number> {
  const spec: RunSpec = { ...(await readSpec(flags)), out: output.folder };
  const destinations = destinationsOfRun(spec);
  const monotonic = (): number => systemClock.monotonic();
  const shown = runConsole(spec.verbosity, streamForReport(destinations), monotonic);
  let runId: string | undefined;
  const interruption = interruptible(monotonic, () =>
    runId === undefined ? 'Ended at once' : `Ended at once; what is left: mcnet-conformance clean ${runId}`,
  );
  try {
    const parts = partsOf(spec);
    const outcome = await executeRun(spec, {
      ...parts,
      provider: summarisingProvider(
        spec.yes ? mendingProvider(parts.provider, interruption.signal) : parts.provider,
      ),
      clock: systemClock,
      observers: [
        shown.observer,
        (event) => {
          if (event.type === 'run.began') runId = event.run;
        },
      ],
      signal: interruption.signal,
      stateFolder: stateFolder(),
      tool: `mcnet-conformance ${version}`,
    });
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
