/** Missing Debian packages: named in one line, or installed when the user said yes. */
import type { MachineProblem, Provider } from '../model/cluster.ts';
import { messageOf, UserError } from '../model/errors.ts';
import { type Command, CommandError, quoteCommand, runCommand } from '../system/commands.ts';
import { listFolder } from '../system/storage.ts';
import { note } from './print.ts';

const LISTS_FOLDER = '/var/lib/apt/lists';
/** A slow mirror; nothing runs without a limit. */
const APT_LIMIT_MS = 10 * 60_000;

export const installCommand = (packages: readonly string[]): Command => [
  'apt-get',
  'install',
  '-y',
  '--no-install-recommends',
  ...packages,
];

export const packagesOf = (problems: readonly MachineProblem[]): string[] => [
  ...new Set(problems.flatMap((problem) => problem.packages ?? [])),
];

/** One line to run for everything that packages mend, beside what they do not. */
function summarise(problems: readonly MachineProblem[]): MachineProblem[] {
  const lacking = problems.filter(({ packages }) => packages !== undefined);
  const others = problems.filter(({ packages }) => packages === undefined);
  if (lacking.length === 0) return others;
  const packages = packagesOf(lacking);
  return [
    ...others,
    {
      what: lacking.map(({ what }) => what).join(', '),
      remedy: `${quoteCommand(installCommand(packages))} (or give --yes)`,
      packages,
    },
  ];
}

/** The same provider, whose check of the machine installs what is missing. */
export function mendingProvider(provider: Provider, signal: AbortSignal): Provider {
  return {
    ...provider,
    async check(requirements) {
      const problems = await provider.check(requirements);
      // What no package mends (not root, an unfit kernel) comes first: then nothing is half made.
      const mendable = problems.length > 0 && problems.every(({ packages }) => packages !== undefined);
      if (!mendable) return problems;
      await installPackages(packagesOf(problems), signal);
      return provider.check(requirements);
    },
  };
}

/** The same provider, which names everything that is missing in one line to run. */
export function summarisingProvider(provider: Provider): Provider {
  return { ...provider, check: async (requirements) => summarise(await provider.check(requirements)) };
}

/** From the configured sources, adding none. @throws UserError with what apt-get said */
async function installPackages(packages: readonly string[], signal: AbortSignal): Promise<void> {
  const command = installCommand(packages);
  note(`Installing what is missing: ${quoteCommand(command)}`);
  try {
    if (!(await hasLists())) await apt(['apt-get', 'update'], signal);
    try {
      await apt(command, signal);
    } catch (error) {
      if (!(error instanceof CommandError) || !isOutdated(error.output)) throw error;
      await apt(['apt-get', 'update'], signal);
      await apt(command, signal);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(`The missing packages could not be installed: ${messageOf(error)}`, {
      where: 'this machine',
      remedy: `Install them yourself: ${quoteCommand(command)}`,
      cause: error,
    });
  }
}

/** Lists that are missing or older than the mirror. */
const isOutdated = (output: string): boolean =>
  /Unable to locate package|has no installation candidate|404 +Not Found/.test(output);

async function hasLists(): Promise<boolean> {
  return (await listFolder(LISTS_FOLDER)).some((name) => name.includes('_Packages'));
}

async function apt(command: Command, signal: AbortSignal): Promise<void> {
  await runCommand(command, {
    signal,
    timeoutMs: APT_LIMIT_MS,
    // Questions are answered by their defaults: iperf3, for one, asks whether to start a daemon, and the default is no.
    environment: { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_MODE: 'l' },
  });
}
