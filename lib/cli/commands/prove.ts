import path from 'node:path';
import { messageOf } from '../../model/errors.ts';
import type { ProveResults } from '../../model/prove.ts';
import type { RunSpec } from '../../model/spec.ts';
import type { Output } from '../../run/output.ts';
import { type ProveOptions, prove as runProof } from '../../run/prove.ts';
import { systemClock } from '../../system/clock.ts';
import { removePath, stateFolder, writeAtomically } from '../../system/files.ts';
import {
  proveHeadline,
  renderProveConsole,
  renderProveJson,
  renderProveMarkdown,
} from '../../../reports/prove.ts';
import { renderProveJunit } from '../../../reports/proveJunit.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { EXIT_USAGE } from '../failure.ts';
import { mendingProvider, summarisingProvider } from '../packages.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { interruptible } from '../signals.ts';
import { consoleOptions } from '../terminal.ts';
import { version } from '../version.ts';

const REPORTS: Readonly<Record<string, (results: ProveResults) => string>> = {
  'prove.json': renderProveJson,
  'prove.md': renderProveMarkdown,
  'prove-junit.xml': renderProveJunit,
};

/** @throws UserError when the proof cannot even be planned; what goes wrong later is in the results */
export async function prove(flags: RawFlags, options: ProveOptions, output: Output): Promise<number> {
  for (const name of Object.keys(REPORTS)) await removePath(path.join(output.folder, name));
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
    const results = await runProof(spec, options, {
      ...parts,
      provider: summarisingProvider(
        spec.yes ? mendingProvider(parts.provider, interruption.signal) : parts.provider,
      ),
      clock: systemClock,
      observers: [
        (event) => {
          if (event.type !== 'run.began') return;
          runId = event.run;
          progress(`run ${runId}`);
        },
      ],
      signal: interruption.signal,
      stateFolder: stateFolder(),
      tool: `mcnet-conformance ${version}`,
      progress,
    });
    const published = await publish(results, output.folder);
    process.stdout.write(renderProveConsole(results, consoleOptions(process.stdout, spec.verbosity)));
    return interruption.defect || !published ? EXIT_USAGE : results.run.exitCode;
  } finally {
    interruption.stop();
  }
}

/** @returns whether everything could be written: results that nobody can read are no results */
async function publish(results: ProveResults, folder: string): Promise<boolean> {
  const failures = [...results.run.recordProblems];
  for (const [name, render] of Object.entries(REPORTS)) {
    try {
      await writeAtomically(path.join(folder, name), render(results));
    } catch (error) {
      failures.push(`${name}: ${messageOf(error)}`);
    }
  }
  if (failures.length > 0) note([proveHeadline(results), 'Could not be written:', ...failures].join('\n  '));
  return failures.length === 0;
}
