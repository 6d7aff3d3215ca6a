import { type CleanedRun, cleanDeadRuns, cleanRun, listRuns } from '../../run/state.ts';
import { systemClock } from '../../system/clock.ts';
import { stateFolder } from '../../system/files.ts';
import { counted } from '../../../reports/text.ts';
import { EXIT_USAGE } from '../failure.ts';
import { faint, note, say, table } from '../print.ts';

/** @throws UserError when there is no such run, or it is alive */
export async function clean(run: string | undefined, dryRun: boolean): Promise<number> {
  const folder = stateFolder();
  const cleaned =
    run === undefined
      ? await cleanDeadRuns(folder, systemClock, { dryRun })
      : [await cleanRun(folder, run, { dryRun })];
  for (const one of cleaned) say(describe(one, dryRun));
  if (cleaned.length === 0) say('Nothing to clean: no dead or expired run has left anything');
  if (run === undefined) await mentionOthers(folder, cleaned);
  return cleaned.every((one) => one.clean) ? 0 : EXIT_USAGE;
}

function describe({ run, resources, clean: complete }: CleanedRun, dryRun: boolean): string {
  const total = counted(resources.length, 'resource');
  const summary = dryRun
    ? `Run ${run}: would remove ${total}`
    : complete
      ? `Run ${run}: removed ${total}`
      : `Run ${run}: not everything could be removed; \`mcnet-conformance clean ${run}\` tries again`;
  const shown = dryRun ? resources : resources.filter(({ outcome }) => outcome === 'failed');
  const rows = shown.map(({ resource, outcome, error }) => [resource.description, error ?? faint(outcome)]);
  return rows.length === 0 ? summary : `${summary}\n${table(rows)}`;
}

/** Runs that a plain `clean` leaves alone, so that nobody looks for them in vain. */
async function mentionOthers(folder: string, cleaned: readonly CleanedRun[]): Promise<void> {
  for (const { state, living } of await listRuns(folder, systemClock)) {
    if (cleaned.some(({ run }) => run === state.run)) continue;
    note(
      living
        ? `Run ${state.run} is alive (process ${state.owner.pid}) and left alone`
        : `Run ${state.run} was kept until ${state.expiresAt}; remove it with: mcnet-conformance clean ${state.run}`,
    );
  }
}
