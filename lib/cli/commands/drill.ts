import { APP_NAMESPACE, CLIENT, ECHO, client, echoService, sharedEcho } from '../../../fixtures/workloads.ts';
import { renderDrillConsole } from '../../../reports/drill.ts';
import { parseDuration } from '../../config/duration.ts';
import { UserError } from '../../model/errors.ts';
import type { RunSpec } from '../../model/spec.ts';
import { PORTS } from '../../model/workload.ts';
import { LONGEST_FAULT_MS, drill as runDrill } from '../../run/drill.ts';
import type { Output } from '../../run/output.ts';
import { readSpec } from '../configuration.ts';
import { completeSpec } from '../survey.ts';
import { EXIT_USAGE } from '../failure.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { consoleOptions } from '../terminal.ts';
import { beginExecution } from '../execution.ts';

const TRAFFIC = {
  fixtures: [client, sharedEcho],
  caller: CLIENT,
  target: ECHO,
  service: { namespace: APP_NAMESPACE, name: echoService.name },
  port: PORTS.service,
} as const;

export interface DrillFlags {
  /** As written. */
  readonly for: string;
}

/** @throws UserError for a fault that nobody knows; what goes wrong later is in the results */
export async function drill(
  fault: string,
  flags: RawFlags,
  { for: duration }: DrillFlags,
  output: Output,
): Promise<number> {
  const forMs = parseDuration(duration);
  if (forMs === undefined || forMs === 0 || forMs > LONGEST_FAULT_MS) {
    throw new UserError(`A fault cannot stand for "${duration}"`, {
      where: '--for',
      remedy: `Write 30s, or 2m; at most ${LONGEST_FAULT_MS / 60_000}m`,
    });
  }
  const spec: RunSpec = { ...(await completeSpec(await readSpec(flags))), out: output.folder };
  const progress = (text: string): void => {
    if (spec.verbosity !== 'quiet') note(text);
  };
  const { dependencies, interruption } = beginExecution(spec, [
    (event) => {
      if (event.type === 'run.began') progress(`run ${event.run}`);
      if (event.type === 'phase.started') progress(event.phase);
      if (event.type === 'fault') progress(`fault ${event.event}`);
    },
  ]);
  try {
    const results = await runDrill(spec, { fault, forMs, traffic: TRAFFIC }, { ...dependencies });
    process.stdout.write(renderDrillConsole(results, consoleOptions(process.stdout, spec.verbosity)));
    for (const problem of results.run.recordProblems) note(problem);
    return interruption.defect ? EXIT_USAGE : results.run.exitCode;
  } finally {
    interruption.stop();
  }
}
