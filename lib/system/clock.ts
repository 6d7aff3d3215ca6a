import { randomBytes, randomInt } from 'node:crypto';

/** Wall clock and monotonic time; injected, so that tests can hold it still. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds of a clock that never jumps. */
  monotonic(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // By hand: the promised timer of Node makes an error with a stack for each one that is aborted, as most are.
  sleep: (milliseconds, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, milliseconds);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
};

export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex');
/** Uniform integer in [0, limit). */
export const randomBelow = (limit: number): number => randomInt(limit);

/** Asks again every `intervalMs` until the answer is yes. @returns whether it became yes within the budget */
export async function pollUntil(
  clock: Clock,
  budgetMs: number,
  intervalMs: number,
  question: () => Promise<boolean>,
): Promise<boolean> {
  const end = clock.monotonic() + budgetMs;
  for (;;) {
    if (await question()) return true;
    if (clock.monotonic() >= end) return false;
    await clock.sleep(intervalMs);
  }
}

const LOOK_MS = 250;

/** Whether it becomes so in time, by the clock of this machine. */
export const within = (
  limitMs: number,
  isSo: () => Promise<boolean>,
  lookMs: number = LOOK_MS,
): Promise<boolean> => pollUntil(systemClock, limitMs, lookMs, isSo);
