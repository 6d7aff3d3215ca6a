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

const LOOK_MS = 250;

/** Whether it becomes so in time; it is looked at until then, at least once. */
export async function within(
  limitMs: number,
  isSo: () => Promise<boolean>,
  lookMs: number = LOOK_MS,
): Promise<boolean> {
  const end = systemClock.monotonic() + limitMs;
  while (!(await isSo())) {
    if (systemClock.monotonic() > end) return false;
    await systemClock.sleep(lookMs);
  }
  return true;
}
