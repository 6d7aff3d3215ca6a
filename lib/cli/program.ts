/** The commands and their flags. Nothing heavy is imported before a command is known. */
import { Command, CommanderError, Help, Option } from '@commander-js/extra-typings';
import { closest } from 'fastest-levenshtein';
import { CONDUCT, FLAGS, type Flag, RESULTS, defaultOf, longFlag } from '../config/flags.ts';
import { CONFIG_FILE } from '../config/names.ts';
import { suggest } from '../config/nearest.ts';
import { UserError } from '../model/errors.ts';
import type { ProveOptions } from '../run/prove.ts';
import type { CompareOptions } from './commands/compare.ts';
import type { DrillFlags } from './commands/drill.ts';
import { type HelpTexts, helpConfiguration } from './help.ts';
import { version } from './version.ts';

/** What `list` can list. */
export const LISTS = ['profiles', 'suites', 'checks', 'faults'] as const;
export type ListName = (typeof LISTS)[number];

/** Values of flags as written; each command has them judged by the schema of the configuration. */
export type RawFlags = Readonly<Record<string, unknown>>;

/** What each command does; resolves to its exit code. */
/** What `plan` says, and how. */
export interface PlanOptions {
  readonly json: boolean;
  readonly images: boolean;
  readonly chart: boolean;
}

export interface Actions {
  run(flags: RawFlags): Promise<number>;
  list(what: string, json: boolean): Promise<number>;
  plan(flags: RawFlags, options: PlanOptions): Promise<number>;
  report(records: readonly string[], options: { readonly report?: readonly string[] }): Promise<number>;
  doctor(flags: RawFlags): Promise<number>;
  clean(run: string | undefined, dryRun: boolean): Promise<number>;
  prove(flags: RawFlags, options: ProveOptions): Promise<number>;
  drill(fault: string, flags: RawFlags, options: DrillFlags): Promise<number>;
  compare(profiles: readonly string[], flags: RawFlags, options: CompareOptions): Promise<number>;
}

const PRECEDENCE = `Every flag may also stand in ${CONFIG_FILE}, in camelCase (ipFamily: dual), and in the environment (MCNET_IP_FAMILY=dual). A flag wins over the environment, the environment over the file.`;

const HELP: Readonly<Record<string, HelpTexts>> = {
  'mcnet-conformance': {
    examples: [
      ['Two clusters on this machine, joined by WireGuard, all core checks', 'mcnet-conformance --yes'],
      [
        'Three clusters, IPv4 and IPv6, names and packet sizes only',
        'mcnet-conformance --clusters 3 --ip-family dual --suite dns --suite mtu',
      ],
      [
        'What would run and with which addresses; creates nothing',
        'mcnet-conformance plan --clusters 5 --topology hub-and-spoke',
      ],
    ],
    notes: [
      ['Configuration:', PRECEDENCE],
      [
        'Exit codes:',
        '0 all passed; 1 a case failed; 2 wrong usage, the set-up died, or nothing ran; 3 a case is inconclusive; 130 or 143 interrupted.',
      ],
    ],
  },
  run: {
    examples: [
      [
        'Clusters with names of their own, all traffic through one of them',
        'mcnet-conformance --clusters paris,rome,oslo --topology hub-and-spoke --hub rome',
      ],
      [
        'Some checks, and every case of one pair',
        "mcnet-conformance --check 'mtu.*' --check '*[east->west]'",
      ],
      [
        'Leave everything in place, then run again on it',
        'mcnet-conformance --keep; mcnet-conformance --attach <run id>',
      ],
    ],
    notes: [['Configuration:', PRECEDENCE]],
  },
  list: { examples: [['Every check with its budgets, as JSON', 'mcnet-conformance list checks --json']] },
  report: {
    examples: [
      ['Judge a record again', 'mcnet-conformance report mcnet-report/record.ndjson'],
      [
        'Merge shards into one JUnit file',
        'mcnet-conformance report shard-*/record.ndjson --report junit=all.xml',
      ],
    ],
  },
  prove: {
    examples: [
      [
        'Every core check on the healthy system, and under each fault that it names',
        'mcnet-conformance prove',
      ],
      [
        'How small a fault each packet size check notices, and who else does',
        'mcnet-conformance prove --suite mtu --graded --blast-radius',
      ],
      [
        'One fault again, on clusters that a run left',
        'mcnet-conformance prove --fault wan-drop --attach <run id>',
      ],
    ],
    notes: [
      [
        'Exit codes:',
        '0 every fault caught; 1 a fault missed or a false alarm; 2 wrong usage, or the set-up died; 3 something could not be proved; 130 or 143 interrupted.',
      ],
    ],
  },
  drill: {
    examples: [
      ['Half a minute without packets from east to west', 'mcnet-conformance drill wan-drop'],
      [
        'On clusters that a run left, the other way round, for two minutes',
        "mcnet-conformance drill 'wan-drop[west->east]' --attach <run id> --for 2m",
      ],
    ],
  },
  compare: {
    examples: [
      [
        'The same suites for three technologies in turn, side by side',
        'mcnet-conformance compare none istio istio:multi-network --tuning fast',
      ],
      [
        'A table from records that exist; several of one technology add up',
        'mcnet-conformance compare --from */record.ndjson --report markdown=-',
      ],
    ],
    notes: [
      [
        'Runs:',
        'Each profile is a run of its own, with its record and reports in <out>/<profile>; all have the same provider, clusters and seed. --deadline holds for each. Where one cannot be set up the table says so, and the next begins. Looking at memory and processors adds a minute to each.',
      ],
      [
        'Exit codes:',
        'those of run, the gravest of all runs; 0 says that each is conformant or partial, and nothing of who is better.',
      ],
    ],
  },
  clean: { examples: [['Look before anything is removed', 'mcnet-conformance clean --dry-run']] },
};

/** Flags of a run that mean nothing to a proof or a drill: they write formats of their own, and run to their end. */
const OF_RUNS_ONLY: ReadonlySet<string> = new Set(['report', 'bail']);
/** A drill runs no checks, so there is nothing to select. */
const OF_CHECKS: ReadonlySet<string> = new Set([...OF_RUNS_ONLY, 'level', 'suite', 'check', 'skip', 'pairs']);
/** Each run of a comparison has a profile of its own, runs to its end, and leaves nothing. */
const OF_SINGLE_RUNS: ReadonlySet<string> = new Set([...OF_RUNS_ONLY, 'profile', 'keep', 'attach']);
const HOW_TO_BREAK = 'What to break:';

const REPORT_FLAG = FLAGS.find((flag) => flag.key === 'report') as Flag;

/** @returns the exit code of the command @throws UserError for what nobody knows, with the nearest known name */
export async function parseCommands(argv: readonly string[], actions: Actions): Promise<number> {
  let exitCode = 0;
  const program = createProgram(actions, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end this way too; everything else has become a UserError below.
    return error.exitCode;
  }
  return exitCode;
}

function createProgram(actions: Actions, finish: (exitCode: number) => void): Command {
  const program = new Command('mcnet-conformance')
    .description(
      'Proves by traffic that several clusters hang together: reachability, names, policy, packet size, encryption, failover and performance between every pair.',
    )
    .usage('[command] [flags]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help, or that of a command')
    .helpCommand(false)
    .configureOutput({ outputError: () => undefined })
    .configureHelp(helpConfiguration((name) => HELP[name]));

  const run = program
    .command('run', { isDefault: true })
    .description('bring up clusters, join them, check, report, clean up; what happens without a command')
    .usage('[flags]')
    // What is not a flag must be a command that nobody knows.
    .allowExcessArguments();
  addFlags(run).action(async (flags, command) => {
    const [unknown] = command.args;
    if (unknown !== undefined) throw unknownCommand(unknown, program);
    finish(await actions.run(flags));
  });

  program
    .command('list')
    .description(`what there is: ${LISTS.join(', ')}`)
    .argument('<what>', LISTS.join(', '))
    .option('--json', 'as JSON')
    .action(async (what, options) => finish(await actions.list(what, options.json ?? false)));

  addFlags(program.command('plan'))
    .description('what a run would do: configuration, addresses, cases; creates nothing')
    .usage('[flags of run] [--images] [--chart] [--json]')
    .addOption(new Option('--json', 'as JSON').helpGroup(RESULTS))
    .addOption(
      new Option('--images', 'only the images that it would use, and who named them').helpGroup(RESULTS),
    )
    .addOption(
      new Option(
        '--chart',
        "only how the technology's vendor would have it installed: values of its chart, custom resources, commands",
      ).helpGroup(RESULTS),
    )
    .action(async ({ json, images, chart, ...flags }) =>
      finish(
        await actions.plan(flags, { json: json === true, images: images === true, chart: chart === true }),
      ),
    );

  program
    .command('report')
    .description('judge the records of finished runs again, and report them')
    .argument('<record.ndjson...>', 'records; those of the same subject are merged')
    .addOption(optionOf(REPORT_FLAG))
    .option('--verbose', 'stack traces of errors')
    .action(async (records, options) => finish(await actions.report(records, options)));

  addFlags(program.command('doctor'))
    .description('what this machine lacks for a run, and how to mend it; changes nothing without --yes')
    .usage('[flags of run]')
    .action(async (flags) => finish(await actions.doctor(flags)));

  program
    .command('clean')
    .description('remove what killed, expired or kept runs left')
    .argument('[run id]', 'this run, even when it was kept (default: every dead or expired run)')
    .option('--dry-run', 'only say what would be removed')
    .action(async (id, options) => finish(await actions.clean(id, options.dryRun ?? false)));

  addFlags(program.command('prove'), OF_RUNS_ONLY)
    .description(
      'show that the checks can fail: run each healthy, under every fault that it names, and mended',
    )
    .usage('[flags of run] [flags]')
    .addOption(
      new Option(
        '--fault <kind>',
        'only faults of this kind, and the checks that name it (repeatable; globs)',
      )
        .argParser(listed)
        .helpGroup(HOW_TO_BREAK),
    )
    .addOption(new Option('--graded', 'every size of each fault: detection limits').helpGroup(HOW_TO_BREAK))
    .addOption(
      new Option('--blast-radius', 'which other checks notice each fault; takes longer').helpGroup(
        HOW_TO_BREAK,
      ),
    )
    .addOption(
      new Option('--repeat <n>', 'runs on the healthy system (default: 1): rate of false alarms')
        .argParser(countOf)
        .helpGroup(HOW_TO_BREAK),
    )
    .action(async ({ fault = [], graded, blastRadius, repeat, ...flags }) =>
      finish(
        await actions.prove(flags, {
          faults: fault,
          graded: graded === true,
          blastRadius: blastRadius === true,
          repeat: repeat ?? 1,
        }),
      ),
    );

  addFlags(program.command('drill'), OF_CHECKS)
    .argument('<fault>', 'its kind, and where: wan-drop, or wan-drop[east->west]')
    .description('one fault while clients run: a time line of what each of them saw')
    .usage('<fault> [flags]')
    .addOption(
      new Option('--for <duration>', 'how long the fault stands (default: 30s)').helpGroup(HOW_TO_BREAK),
    )
    .action(async (fault, { for: duration, ...flags }) =>
      finish(await actions.drill(fault, flags, { for: duration ?? '30s' })),
    );

  addFlags(program.command('compare'), OF_SINGLE_RUNS)
    .argument('[profile...]', 'technologies, and variants of them: istio, or istio:multi-network')
    .description('the same suites for several technologies in turn, set side by side')
    .usage('<profile> <profile>… [flags of run]\n       mcnet-conformance compare --from <record.ndjson>…')
    .addOption(
      new Option('--from <record...>', 'compare what these recorded; creates nothing').helpGroup(RESULTS),
    )
    .addOption(
      new Option(
        '--report <format[=path]>',
        'add a report or move one: console, markdown, json=table.json, markdown=- for standard output (repeatable)',
      )
        .argParser(listed)
        .helpGroup(RESULTS),
    )
    .action(async (profiles, { from, report, ...flags }) =>
      finish(
        await actions.compare(profiles, flags, {
          ...(from !== undefined && { from }),
          ...(report !== undefined && { report }),
        }),
      ),
    );

  for (const command of [program, ...program.commands] as Command[]) {
    command.exitOverride((error) => {
      throw error.exitCode === 0 ? error : usageError(error, command);
    });
  }
  return program;
}

/** In our words, with the nearest known name. */
function usageError(error: CommanderError, command: Command): UserError {
  const what = error.message.replace(/^error: /, '').split('\n', 1)[0] as string;
  const unknown = /^unknown option '(-[^']*)'/.exec(what)?.[1];
  const help = `\`${[command.parent?.name(), command.name()].join(' ').trim()} --help\``;
  if (unknown === undefined) return new UserError(what, { remedy: `See ${help}` });
  const known = new Help().visibleOptions(command).flatMap((option) => option.long ?? []);
  const name = unknown.split('=', 1)[0] as string;
  return new UserError(`Unknown flag ${name}`, {
    where: name,
    remedy: `Did you mean ${closest(name, known)}? See ${help}`,
  });
}

function unknownCommand(
  word: string,
  program: { readonly commands: readonly { name(): string }[] },
): UserError {
  const names = program.commands.map((command) => command.name());
  return new UserError(`Unknown command "${word}"`, {
    where: word,
    remedy: names.includes(word) ? `Put it first: mcnet-conformance ${word} …` : suggest(word, names),
  });
}

/** Every flag of a run; values are strings, lists of strings, or true. */
function addFlags(command: Command, except: ReadonlySet<string> = new Set()): Command {
  for (const flag of FLAGS) if (!except.has(flag.key)) command.addOption(optionOf(flag));
  return command.addOption(
    new Option('--config <file>', `configuration (default: ${CONFIG_FILE}, where there is one)`).helpGroup(
      CONDUCT,
    ),
  );
}

/** Of a flag that may be given more than once. */
const listed = (text: string, earlier: string[] | undefined): string[] => [...(earlier ?? []), text];

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1) return count;
  throw new UserError(`"${text}" is no number of repeats`, {
    where: '--repeat',
    remedy: 'Give a whole number of at least 1',
  });
}

function optionOf(flag: Flag): Option {
  const value = flag.value === undefined ? '' : ` <${flag.value}>`;
  const standard = defaultOf(flag.key);
  const option = new Option(
    `${longFlag(flag.key)}${value}`,
    standard === undefined ? flag.help : `${flag.help} (default: ${standard})`,
  ).helpGroup(flag.group);
  if (flag.repeatable) {
    option.argParser(listed);
  }
  return option;
}
