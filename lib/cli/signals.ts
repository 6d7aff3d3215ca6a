/** What ends a run from outside: SIGINT, SIGTERM, or a defect of ours somewhere in a callback. */
import { InterruptedError } from '../model/errors.ts';
import { describeFailure } from './failure.ts';
import { note } from './print.ts';

/** A terminal and a wrapper often send the same signal twice. */
const IMPATIENCE_MS = 1_000;

/** Runs that listen for signals now. Listeners of others (a library, a test runner) say nothing of that. */
let listening = 0;

export const someRunListens = (): boolean => listening > 0;

/**
 * A connection to an API server that went while its last streams were being given up: undici (client-h2.js) then throws where
 * nobody can catch it. Whoever waits for an answer by that connection is told so by his own promise.
 */
export const isStrayConnection = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'UND_ERR_SOCKET';

export interface Interruption {
  /** Aborted by the first signal: the clean-up begins. */
  readonly signal: AbortSignal;
  /** Whether a defect ended the run. */
  readonly defect: boolean;
  stop(): void;
}

/**
 * A second signal after a second ends the process at once.
 * @param leftBehind what is said then, as clean-up is not through
 */
export function interruptible(now: () => number, leftBehind: () => string): Interruption {
  const controller = new AbortController();
  let first: number | undefined;
  let defect = false;
  const onSignal = (name: 'SIGINT' | 'SIGTERM'): void => {
    if (first === undefined) {
      first = now();
      note(`${name}: cleaning up; again to leave at once`);
      controller.abort(new InterruptedError(`${name} received`, name));
    } else if (now() - first >= IMPATIENCE_MS) {
      note(leftBehind());
      process.exit(130);
    }
  };
  // Node would end with 1, which here says that a case failed, and would clean up nothing.
  const onDefect = (error: unknown): void => {
    if (isStrayConnection(error)) return;
    note(describeFailure(error, true));
    if (defect) process.exit(2);
    defect = true;
    controller.abort(new InterruptedError('a defect of this program', 'SIGTERM'));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('uncaughtException', onDefect);
  listening++;
  return {
    signal: controller.signal,
    get defect() {
      return defect;
    },
    stop: () => {
      listening--;
      process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('uncaughtException', onDefect);
    },
  };
}
