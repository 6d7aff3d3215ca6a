/** The only place that ends the process. */
import { InterruptedError } from '../model/errors.ts';
import type { Output } from '../run/output.ts';
import { EXIT_USAGE, describeFailure, exitCodeOfFailure } from './failure.ts';
import { type Actions, parseCommands } from './program.ts';
import { isStrayConnection, someRunListens } from './signals.ts';

export async function main(argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  tolerateClosedPipes();
  process.on('uncaughtException', (error) => {
    // A run has a way of its own, which cleans up first.
    if (someRunListens() || isStrayConnection(error)) return;
    process.stderr.write(`${describeFailure(error, true)}\n`);
    process.exit(EXIT_USAGE);
  });
  const exitCode = await execute(argv);
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  // Whatever is still open must not keep us here.
  process.exit(exitCode);
}

/** Resolves when everything written so far is read, or can no longer be. */
const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write('', () => resolve());
  });

/** `mcnet-conformance … | head` is no error: what nobody reads is not written. */
function tolerateClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

/** A run listens for itself and cleans up. Before and after it, and in all other commands, only a lock has to go. */
function leaveOnSignal(release: () => Promise<void>): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (someRunListens()) return;
      const interrupted = new InterruptedError(`${name} received`, name);
      process.stderr.write(`${describeFailure(interrupted, false)}\n`);
      void release().finally(() => process.exit(exitCodeOfFailure(interrupted)));
    });
  }
}

async function execute(argv: readonly string[]): Promise<number> {
  let opening: Promise<Output> | undefined;
  const openOutput = (): Promise<Output> => {
    opening ??= import('./output-folder.ts').then(({ openOutputOf }) => openOutputOf(argv, process.env));
    return opening;
  };
  const release = async (): Promise<void> => {
    const output = await opening?.catch(() => undefined);
    await output?.release();
  };
  leaveOnSignal(release);
  try {
    // Before anything is judged: a green result of yesterday must not outlive a run that failed to start.
    if (meansRun(argv)) await openOutput();
    return await parseCommands(argv, {
      ...ACTIONS,
      run: async (flags) => (await import('./commands/run.ts')).run(flags, await openOutput()),
      prove: async (flags, options) =>
        (await import('./commands/prove.ts')).prove(flags, options, await openOutput()),
      drill: async (fault, flags, options) =>
        (await import('./commands/drill.ts')).drill(fault, flags, options, await openOutput()),
      compare: async (profiles, flags, options) =>
        (await import('./commands/compare.ts')).compare(profiles, flags, options, openOutput),
    });
  } catch (error) {
    const verbose = argv.includes('--verbose') || Boolean(process.env['MCNET_VERBOSE']);
    process.stderr.write(`${describeFailure(error, verbose)}\n`);
    return exitCodeOfFailure(error);
  } finally {
    await release();
  }
}

/** Each command is loaded when it is asked for. */
const ACTIONS: Omit<Actions, 'run' | 'prove' | 'drill' | 'compare'> = {
  list: async (...given) => (await import('./commands/list.ts')).list(...given),
  plan: async (...given) => (await import('./commands/plan.ts')).plan(...given),
  report: async (...given) => (await import('./commands/report.ts')).report(...given),
  doctor: async (...given) => (await import('./commands/doctor.ts')).doctor(...given),
  clean: async (...given) => (await import('./commands/clean.ts')).clean(...given),
};

/** Commands that bring up clusters and write results. */
const RUNS: ReadonlySet<string> = new Set(['run', 'prove', 'drill', 'compare']);

/** Whether these arguments mean a run, however wrong they may be otherwise. */
function meansRun(argv: readonly string[]): boolean {
  const [first] = argv;
  const asksOnly = argv.some(
    (word) =>
      ['-h', '--help', '-V', '--version'].includes(word) ||
      (first === 'compare' && /^--from(?:=|$)/.test(word)),
  );
  return !asksOnly && (first === undefined || RUNS.has(first) || first.startsWith('-'));
}
