import path from 'node:path';
import { messageOf } from '../../model/errors.ts';
import type { ProveResults } from '../../model/prove.ts';
import type { RunSpec } from '../../model/spec.ts';
import type { Output } from '../../run/output.ts';
import { type ProveOptions, prove as runProof } from '../../run/prove.ts';
import { removePath, writeAtomically } from '../../system/files.ts';
import {
  proveHeadline,
  renderProveConsole,
  renderProveJson,
  renderProveMarkdown,
} from '../../../reports/prove.ts';
import { renderProveJunit } from '../../../reports/proveJunit.ts';
import { readSpec } from '../configuration.ts';
import { completeSpec } from '../survey.ts';
import { EXIT_USAGE } from '../failure.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { consoleOptions } from '../terminal.ts';
import { beginExecution } from '../execution.ts';

const REPORTS: Readonly<Record<string, (results: ProveResults) => string>> = {
  'prove.json': renderProveJson,
  'prove.md': renderProveMarkdown,
  'prove-junit.xml': renderProveJunit,
};

/** @throws UserError when the proof cannot even be planned; what goes wrong later is in the results */
export async function prove(flags: RawFlags, options: ProveOptions, output: Output): Promise<number> {
  for (const name of Object.keys(REPORTS)) await removePath(path.join(output.folder, name));
  const spec: RunSpec = { ...(await completeSpec(await readSpec(flags))), out: output.folder };
  const progress = (text: string): void => {
    if (spec.verbosity !== 'quiet') note(text);
  };
  const { dependencies, interruption } = beginExecution(spec, [
    (event) => {
      if (event.type === 'run.began') progress(`run ${event.run}`);
    },
  ]);
  try {
    const results = await runProof(spec, options, { ...dependencies, progress });
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
