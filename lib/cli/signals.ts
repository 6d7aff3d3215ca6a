/** SIGINT and SIGTERM: the first one begins the clean-up, an impatient second one ends the process. */
import { InterruptedError } from '../model/errors.ts';

/** A terminal and a wrapper often send the same signal twice. */
const IMPATIENCE_MS = 1_000;

export interface Interruption {
  readonly signal: AbortSignal;
  stop(): void;
}

/** @param impatient what is said before the process ends with clean-up undone */
export function interruptible(now: () => number, impatient: () => void): Interruption {
  const controller = new AbortController();
  let first: number | undefined;
  const onSignal = (name: 'SIGINT' | 'SIGTERM'): void => {
    if (first === undefined) {
      first = now();
      controller.abort(new InterruptedError(`${name} received`, name));
    } else if (now() - first >= IMPATIENCE_MS) {
      impatient();
      process.exit(130);
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    stop: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
