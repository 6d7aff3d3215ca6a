/** What the two output streams can show, and the console of a living run on them. */
import type { RunObserver, RunResults } from '../model/results.ts';
import type { RunSpec } from '../model/spec.ts';
import { type ConsoleOptions, createConsole } from '../../reports/console.ts';

export type Stream = NodeJS.WriteStream & { fd: 1 | 2 };
type Environment = Readonly<Record<string, string | undefined>>;

const UNKNOWN_WIDTH = 100;
const TICK_MS = 200;

/** FORCE_COLOR wins over NO_COLOR (as in Node), both over what the stream is. */
function showsColour(stream: Stream, environment: Environment): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: forbidden } = environment;
  if (forced !== undefined) return !['0', 'false'].includes(forced);
  return !forbidden && stream.isTTY && environment['TERM'] !== 'dumb';
}

export function consoleOptions(
  stream: Stream,
  verbosity: RunSpec['verbosity'],
  environment: Environment = process.env,
): ConsoleOptions {
  return {
    stream,
    colour: showsColour(stream, environment),
    width: stream.columns ?? UNKNOWN_WIDTH,
    isTTY: stream.isTTY && !environment['CI'] && environment['TERM'] !== 'dumb',
    verbosity,
    githubActions: environment['GITHUB_ACTIONS'] === 'true',
  };
}

export interface RunConsole {
  readonly observer: RunObserver;
  /** Ends the progress and prints what came of the run. */
  finish(results: RunResults): void;
  /** Ends the progress without a word. */
  stop(): void;
}

/** @param reportTo where the final report goes; nowhere when another report says it all */
export function runConsole(
  verbosity: RunSpec['verbosity'],
  reportTo: Stream | undefined,
  now: () => number,
): RunConsole {
  const progress = createConsole(consoleOptions(process.stderr, verbosity));
  const began = now();
  const ticker = setInterval(() => {
    try {
      progress.tick(now() - began);
    } catch {
      // A status line that fails must not end the run; nothing of the results depends on it.
      clearInterval(ticker);
    }
  }, TICK_MS);
  const stop = (): void => {
    clearInterval(ticker);
    progress.onEnd([]);
  };
  return {
    observer: (event) => progress.onEvent(event),
    stop,
    finish(results) {
      stop();
      if (!reportTo) return;
      if (verbosity !== 'quiet') process.stderr.write('\n');
      createConsole(consoleOptions(reportTo, verbosity)).onEnd([results]);
    },
  };
}
