import type { Clock } from '../system/clock.ts';

export interface Deadline {
  readonly signal: AbortSignal;
  /** Lets go of the timer. */
  readonly clear: () => void;
}

/** Nobody hears it; one for all, since an error with its stack costs more than many a deadline. */
const CLEARED = new Error('the deadline was cleared');

/** A signal that is aborted with `reason` after a while, or with its own reason when the outer one is. */
export function deadlineAfter(
  clock: Pick<Clock, 'sleep'>,
  milliseconds: number,
  reason: () => Error,
  outer?: AbortSignal,
): Deadline {
  const controller = new AbortController();
  const timer = new AbortController();
  clock.sleep(milliseconds, timer.signal).then(
    () => controller.abort(reason()),
    () => undefined,
  );
  const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal;
  return { signal, clear: () => timer.abort(CLEARED) };
}
