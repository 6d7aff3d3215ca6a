import { APP_NAMESPACE, CLIENT, ECHO, client, echoService, sharedEcho } from '../../../fixtures/workloads.ts';
import { renderDrillConsole } from '../../../reports/drill.ts';
import { parseDuration } from '../../config/duration.ts';
import { UserError } from '../../model/errors.ts';
import type { RunSpec } from '../../model/spec.ts';
import { PORTS } from '../../model/workload.ts';
import { LONGEST_FAULT_MS, drill as runDrill } from '../../run/drill.ts';
import type { Output } from '../../run/output.ts';
import { systemClock } from '../../system/clock.ts';
import { stateFolder } from '../../system/files.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { EXIT_USAGE } from '../failure.ts';
import { mendingProvider, summarisingProvider } from '../packages.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { interruptible } from '../signals.ts';
import { consoleOptions } from '../terminal.ts';
import { version } from '../version.ts';

const TRAFFIC = {
  fixtures: [client, sharedEcho],
  caller: CLIENT,
  target: ECHO,
  service: { namespace: APP_NAMESPACE, name: echoService.name },
  port: PORTS.http,
} as const;

export interface DrillFlags {
  /** As written. */
  readonly for: string;
  readonly allowFaults: boolean;
}

/** @throws UserError for a fault that nobody knows; what goes wrong later is in the results */
export async function drill(
  fault: string,
  flags: RawFlags,
  { for: duration, allowFaults }: DrillFlags,
  output: Output,
): Promise<number> {
  const forMs = parseDuration(duration);
  if (forMs === undefined || forMs === 0 || forMs > LONGEST_FAULT_MS) {
    throw new UserError(`A fault cannot stand for "${duration}"`, {
      where: '--for',
      remedy: `Write 30s, or 2m; at most ${LONGEST_FAULT_MS / 60_000}m`,
    });
  }
  const spec: RunSpec = { ...(await readSpec(flags)), out: output.folder };
  const progress = (text: string): void => {
    if (spec.verbosity !== 'quiet') note(text);
  };
  let runId: string | undefined;
  const interruption = interruptible(
    () => systemClock.monotonic(),
    () =>
      runId === undefined ? 'Ended at once' : `Ended at once; what is left: mcnet-conformance clean ${runId}`,
  );
  try {
    const parts = partsOf(spec);
    const results = await runDrill(
      spec,
      { fault, forMs, allowFaults, traffic: TRAFFIC },
      {
        ...parts,
        provider: summarisingProvider(
          spec.yes ? mendingProvider(parts.provider, interruption.signal) : parts.provider,
        ),
        clock: systemClock,
        observers: [
          (event) => {
            if (event.type === 'run.began') {
              runId = event.run;
              progress(`run ${runId}`);
            }
            if (event.type === 'phase.started') progress(event.phase);
            if (event.type === 'fault') progress(`fault ${event.event}`);
          },
        ],
        signal: interruption.signal,
        stateFolder: stateFolder(),
        tool: `mcnet-conformance ${version}`,
      },
    );
    process.stdout.write(renderDrillConsole(results, consoleOptions(process.stdout, spec.verbosity)));
    for (const problem of results.run.recordProblems) note(problem);
    return interruption.defect ? EXIT_USAGE : results.run.exitCode;
  } finally {
    interruption.stop();
  }
}
