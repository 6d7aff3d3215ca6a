import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import { mergeConfiguration } from '../../config/layers.ts';
import { VARIANTS_OF, choicesOf } from '../../config/names.ts';
import { suggest } from '../../config/nearest.ts';
import { reportsOf } from '../../config/spec.ts';
import { UserError, messageOf } from '../../model/errors.ts';
import type { RunSubject } from '../../model/record.ts';
import type { RunResults } from '../../model/results.ts';
import type { RunSpec } from '../../model/spec.ts';
import { executeRun, planRun } from '../../run/execute.ts';
import { type Output, openOutput } from '../../run/output.ts';
import { registryOf } from '../../run/registry.ts';
import { readResults } from '../../run/results.ts';
import { writeAtomically } from '../../system/files.ts';
import {
  type Comparison,
  type Entrant,
  compareRuns,
  comparisonHeadline,
} from '../../../reports/comparison.ts';
import { renderComparisonConsole } from '../../../reports/comparisonConsole.ts';
import { renderComparisonJson } from '../../../reports/comparisonJson.ts';
import { renderComparisonMarkdown } from '../../../reports/comparisonMarkdown.ts';
import { headline } from '../../../reports/digest.ts';
import { SUITES } from '../../../suites/index.ts';
import { partsOf } from '../compose.ts';
import { readSpec } from '../configuration.ts';
import { beginExecution, monotonic } from '../execution.ts';
import { EXIT_USAGE, exitCodeOfAll } from '../failure.ts';
import { note } from '../print.ts';
import type { RawFlags } from '../program.ts';
import { STANDARD_OUTPUT, destinationsOfRun, writeReports } from '../reports.ts';
import { completeSpec } from '../survey.ts';
import { consoleOptions, runConsole } from '../terminal.ts';
import { linesOf } from './report.ts';

export interface CompareOptions {
  /** Records to read instead of running anything. */
  readonly from?: readonly string[];
  /** As written. */
  readonly report?: readonly string[];
}

const RENDERERS = {
  console: (comparison: Comparison) =>
    renderComparisonConsole(comparison, consoleOptions(process.stdout, 'normal')),
  markdown: renderComparisonMarkdown,
  json: renderComparisonJson,
} as const satisfies Record<string, (comparison: Comparison) => string>;
type Format = keyof typeof RENDERERS;

const DEFAULT_FILES: Readonly<Partial<Record<Format, string>>> = {
  markdown: 'comparison.md',
  json: 'comparison.json',
};

/** @throws UserError for what cannot even be planned; nothing exists then */
export async function compare(
  names: readonly string[],
  flags: RawFlags,
  { from, report = [] }: CompareOptions,
  openFolder: () => Promise<Output>,
): Promise<number> {
  const reports = reportsOf(
    mergeConfiguration({ flags: report.length > 0 ? { report } : {}, environment: {} }),
    Object.keys(RENDERERS),
  );
  if (from !== undefined) {
    if (names.length > 0) {
      throw new UserError('Profiles to run and records to read are both given', {
        where: `${names.join(' ')} --from`,
        remedy: 'Choose one: `compare none istio`, or `compare --from <record.ndjson>…`',
      });
    }
    const entrants = await entrantsFrom(from);
    const folder = typeof flags['out'] === 'string' ? path.resolve(flags['out']) : undefined;
    const published = await publish(compareRuns(entrants), reports, folder);
    return published ? exitCodeOf(entrants) : EXIT_USAGE;
  }
  const output = await openFolder();
  const planned = await planAll(names, flags, output.folder);
  const { entrants, defect } = await runAll(planned);
  const published = await publish(compareRuns(entrants), reports, output.folder);
  return published && !defect ? exitCodeOf(entrants) : EXIT_USAGE;
}

const exitCodeOf = (entrants: readonly Entrant[]): number => {
  const codes = entrants.flatMap(({ runs }) => runs.map(({ exitCode }) => exitCode));
  return exitCodeOfAll(entrants.some(({ runs }) => runs.length === 0) ? [...codes, EXIT_USAGE] : codes);
};

interface Planned {
  readonly name: string;
  readonly spec: RunSpec;
}

/** Everything that can be wrong with any of them is told before the first begins. */
async function planAll(names: readonly string[], flags: RawFlags, folder: string): Promise<Planned[]> {
  // One alone is measured for a comparison by `--from`, where several at once would take too long.
  if (names.length === 0) {
    throw new UserError('There is nothing to compare', {
      where: 'compare',
      remedy: `Name profiles, as in \`compare none istio\`; there are ${profileNames().join(', ')}`,
    });
  }
  const wanted = names.map(parseEntrant);
  const planned: Planned[] = [];
  for (const { profile, ...variant } of wanted) {
    const others = wanted.map((one) => one.profile).filter((other) => other !== profile);
    const { attach: _, ...asked } = await readSpec({ ...flags, ...variant, profile }, process.env, others);
    const name = profileName(asked);
    if (planned.some((one) => one.name === name)) {
      throw new UserError(`The profile "${name}" is named twice`, {
        where: names.join(' '),
        remedy: 'Name it once; records of several runs are put together by `compare --from`',
      });
    }
    const spec: RunSpec = {
      ...(await completeSpec(asked)),
      out: path.join(folder, name.replaceAll(':', '-')),
      // What a file or a variable says for single runs: reports would overwrite each other, clusters stand in the way.
      reports: [],
      keep: false,
      bail: false,
      measureUsage: true,
      // How long each takes is what people compare.
      patient: true,
    };
    planRun(spec, partsOf(spec));
    planned.push({ name, spec });
  }
  return planned;
}

const profileNames = (): string[] => choicesOf('profile').map(({ name }) => name);

/** `istio:multi-network`: flags of its run. @throws UserError with the nearest name */
function parseEntrant(name: string): { readonly profile: string; readonly [key: string]: string } {
  const [profile = '', variant] = name.split(':', 2);
  if (!profileNames().includes(profile)) {
    throw new UserError(`There is no profile "${profile}"`, {
      where: name,
      remedy: suggest(profile, profileNames()),
    });
  }
  if (variant === undefined) return { profile };
  const key = VARIANTS_OF[profile];
  if (key === undefined) {
    throw new UserError(`The profile ${profile} has no variants`, {
      where: name,
      remedy: `Write ${profile}`,
    });
  }
  const variants = choicesOf(key).map((choice) => choice.name);
  if (!variants.includes(variant)) {
    throw new UserError(`The profile ${profile} has no variant "${variant}"`, {
      where: name,
      remedy: suggest(variant, variants),
    });
  }
  return { profile, [key]: variant };
}

/** One after the other, so that none takes processors from another. A signal ends them all. */
async function runAll(
  planned: readonly Planned[],
): Promise<{ readonly entrants: Entrant[]; readonly defect: boolean }> {
  const entrants: Entrant[] = [];
  let interrupted = false;
  let defect = false;
  for (const [index, { name, spec }] of planned.entries()) {
    if (interrupted || defect) {
      entrants.push({ name, runs: [], notRun: 'the comparison was interrupted before its turn' });
      continue;
    }
    if (spec.verbosity !== 'quiet') note(`\n${index + 1} of ${planned.length}: ${name}, in ${spec.out}`);
    const run = await runOne(spec);
    if (run.results) {
      if (spec.verbosity !== 'quiet') note(`${name}: ${headline(run.results)}`);
      interrupted = run.results.ended === 'interrupted';
    }
    defect = run.defect;
    entrants.push(
      run.results
        ? { name, runs: [run.results] }
        : { name, runs: [], notRun: run.reason ?? 'it ended without results' },
    );
  }
  return { entrants, defect };
}

interface OneRun {
  readonly results?: RunResults;
  readonly reason?: string;
  /** Of this program: nothing more is to be begun. */
  readonly defect: boolean;
}

async function runOne(spec: RunSpec): Promise<OneRun> {
  const shown = runConsole(spec.verbosity, undefined, monotonic);
  const { dependencies, interruption } = beginExecution(spec, [shown.observer]);
  let output: Output | undefined;
  try {
    output = await openOutput(spec.out);
    const { results, recordFailure } = await executeRun(spec, dependencies);
    const failures = await writeReports([results], destinationsOfRun(spec));
    if (recordFailure !== undefined) failures.push(`record: ${recordFailure}`);
    if (failures.length > 0) note(['Could not be written:', ...failures].join('\n  '));
    return { results, defect: interruption.defect || failures.length > 0 };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    note(`${error.message}${error.where === undefined ? '' : ` (${error.where})`}`);
    return { reason: error.message, defect: interruption.defect };
  } finally {
    shown.stop();
    interruption.stop();
    await output?.release();
  }
}

/** Records of the same subject are several runs of one column. */
async function entrantsFrom(files: readonly string[]): Promise<Entrant[]> {
  const registry = registryOf(SUITES);
  const all: RunResults[] = [];
  for (const file of files) all.push(...readResults(await linesOf(file), registry));
  const named = all.map((results) => ({ results, name: nameOf(results, all) }));
  return [...Map.groupBy(named, ({ name }) => name)].map(([name, own]) => ({
    name,
    runs: own.map(({ results }) => results),
  }));
}

/** As `compare` takes it. */
function profileName({ profile, configuration }: Pick<RunSubject, 'profile' | 'configuration'>): string {
  const key = VARIANTS_OF[profile];
  const variant = key === undefined ? undefined : configuration[key];
  return typeof variant === 'string' ? `${profile}:${variant}` : profile;
}

/** What tells subjects of one profile apart. */
const ASPECTS: readonly ((subject: RunSubject) => string)[] = [
  ({ provider }) => provider,
  ({ underlay }) => underlay,
  ({ topology }) => topology,
  ({ clusters }) => `${clusters.length} clusters`,
  ({ ipFamilies }) => ipFamilies.join('+'),
  ({ tuning }) => `timers ${tuning}`,
  ({ build }) => `build ${build.kind}`,
];

/** Differing versions that are longer than this are counted in a name, and told in the table. */
const LONGEST_VERSIONS = 40;

/** `istio`, or `istio (direct)` where another record is of Istio over something else. */
function nameOf({ subject, ended }: RunResults, all: readonly RunResults[]): string {
  const name = profileName(subject);
  const namesakes = all.filter((other) => profileName(other.subject) === name);
  // It has seen no versions, and knows nothing of its build.
  const alive = namesakes.filter((other) => other.ended !== 'set-up-failed');
  if (ended === 'set-up-failed') return alive.length === 0 ? name : `${name} (set-up failed)`;
  const others = alive.map((results) => results.subject);
  const aspects = ASPECTS.filter((aspect) => new Set(others.map(aspect)).size > 1).map((aspect) =>
    aspect(subject),
  );
  const versions = [...new Set(others.map((other) => versionsText(other, others)))];
  const own = versionsText(subject, others);
  const short = versions.every((text) => text.length <= LONGEST_VERSIONS);
  const said =
    versions.length < 2 ? aspects : [...aspects, short ? own : `versions ${versions.indexOf(own) + 1}`];
  return said.length === 0 ? name : `${name} (${said.join(', ')})`;
}

/** In what the others do not agree with it. */
const versionsText = (subject: RunSubject, others: readonly RunSubject[]): string =>
  Object.entries(subject.versions)
    .filter(([what, version]) => others.some((other) => other.versions[what] !== version))
    .map((entry) => entry.join(' '))
    .join(', ');

/**
 * The files of the folder, where they were not sent elsewhere, and the table for a person; without a folder only what
 * was asked for.
 * @returns whether everything could be written
 */
async function publish(
  comparison: Comparison,
  reports: RunSpec['reports'],
  folder: string | undefined,
): Promise<boolean> {
  const fileOf = (format: Format): string => {
    const file = DEFAULT_FILES[format];
    return file === undefined || folder === undefined ? STANDARD_OUTPUT : path.join(folder, file);
  };
  const asked = reports.map(({ format, path: target }) => ({
    format: format as Format,
    target: target ?? fileOf(format as Format),
  }));
  const always = (Object.keys(RENDERERS) as Format[])
    .filter((format) => !asked.some((one) => one.format === format))
    .map((format) => ({ format, target: fileOf(format) }))
    // What a program reads from standard output is not to have the console's table in it.
    .filter(({ format, target }) =>
      target === STANDARD_OUTPUT
        ? format === 'console' && !asked.some((one) => one.target === STANDARD_OUTPUT)
        : true,
    );
  const failures: string[] = [];
  for (const { format, target } of [...always, ...asked]) {
    try {
      const text = RENDERERS[format](comparison);
      if (target === STANDARD_OUTPUT) process.stdout.write(text);
      else await writeAtomically(target, text);
    } catch (error) {
      failures.push(`${format} (${target}): ${messageOf(error)}`);
    }
  }
  const summary = process.env['GITHUB_STEP_SUMMARY'];
  if (summary) {
    await appendFile(summary, renderComparisonMarkdown(comparison)).catch((error: unknown) => {
      failures.push(`step summary: ${messageOf(error)}`);
    });
  }
  if (failures.length > 0)
    note([comparisonHeadline(comparison), 'Could not be written:', ...failures].join('\n  '));
  return failures.length === 0;
}
