import { appendFile } from 'node:fs/promises';
import { messageOf } from '../../model/errors.ts';
import type { RunResults } from '../../model/results.ts';
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
import { mendingProvider } from '../packages.ts';
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
  const interruption = interruptible(monotonic, () => {
    note(`Ended at once${runId === undefined ? '' : `; what is left: mcnet-conformance clean ${runId}`}`);
  });
  try {
    const parts = partsOf(spec);
    const outcome = await executeRun(spec, {
      ...parts,
      provider: mendingProvider(parts.provider, { yes: spec.yes, signal: interruption.signal }),
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
    shown.finish(outcome.results);
    return await publish(outcome, destinations);
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

/** GitHub Actions shows this file beside the job. */
async function summariseStep(results: RunResults): Promise<void> {
  const file = process.env['GITHUB_STEP_SUMMARY'];
  if (file) await appendFile(file, renderStepSummary([results]));
}

/** @returns the exit code: results that nobody can read are no results */
async function publish(outcome: RunOutcome, destinations: readonly Destination[]): Promise<number> {
  try {
    await writeReports([outcome.results], destinations);
    await summariseStep(outcome.results);
  } catch (error) {
    note(`${headline(outcome.results)}\nThe reports could not be written: ${messageOf(error)}`);
    return EXIT_USAGE;
  }
  if (outcome.recordFailure !== undefined) {
    note(`${headline(outcome.results)}\nThe record could not be written: ${outcome.recordFailure}`);
  }
  return outcome.exitCode;
}
