import type { RunSpec } from '../../model/spec.ts';
import { messageOf } from '../../model/errors.ts';
import { type RunOutcome, executeRun } from '../../run/execute.ts';
import type { Output } from '../../run/output.ts';
import { systemClock } from '../../system/clock.ts';
import { stateFolder } from '../../system/files.ts';
import { headline } from '../../../reports/digest.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { EXIT_USAGE } from '../failure.ts';
import { mendingProvider } from '../packages.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { type Destination, destinationsOfRun, writeReports } from '../reports.ts';
import { interruptible } from '../signals.ts';
import { version } from '../version.ts';

/** @throws UserError when the run cannot even be planned; what goes wrong later is in the results */
export async function run(flags: RawFlags, output: Output): Promise<number> {
  const spec: RunSpec = { ...(await readSpec(flags)), out: output.folder };
  const destinations = destinationsOfRun(spec);
  let runId: string | undefined;
  const interruption = interruptible(systemClock.monotonic, () => {
    note(`Ended at once${runId === undefined ? '' : `; what is left: mcnet-conformance clean ${runId}`}`);
  });
  try {
    const parts = partsOf(spec);
    const outcome = await executeRun(spec, {
      ...parts,
      provider: mendingProvider(parts.provider, { yes: spec.yes, signal: interruption.signal }),
      clock: systemClock,
      observers: [
        (event) => {
          if (event.type === 'run.began') runId = event.run;
        },
      ],
      signal: interruption.signal,
      stateFolder: stateFolder(),
      tool: `mcnet-conformance ${version}`,
    });
    return await publish(outcome, destinations);
  } finally {
    interruption.stop();
  }
}

/** @returns the exit code: results that nobody can read are no results */
async function publish(outcome: RunOutcome, destinations: readonly Destination[]): Promise<number> {
  try {
    await writeReports([outcome.results], destinations);
  } catch (error) {
    note(`${headline(outcome.results)}\nThe reports could not be written: ${messageOf(error)}`);
    return EXIT_USAGE;
  }
  if (outcome.recordFailure !== undefined) {
    note(`${headline(outcome.results)}\nThe record could not be written: ${outcome.recordFailure}`);
  }
  return outcome.exitCode;
}
