/** Programs that a lab leaves running: started, watched until they are ready, and found again. */
import { systemClock } from '../../system/clock.ts';
import { readIfPresent } from '../../system/files.ts';
import { startTimeOf } from '../../system/processes.ts';

/** Between two looks: a share of the time already waited, so that those who start slowly are not slowed down by looking. */
const POLL_SHARE = 1 / 8;
const SHORTEST_POLL_MS = 10;
const LONGEST_POLL_MS = 200;
const LOG_TAIL_CHARACTERS = 2_000;

export async function logTail(logPath: string): Promise<string> {
  return ((await readIfPresent(logPath)) ?? '').slice(-LOG_TAIL_CHARACTERS).trim();
}

/**
 * Waits until a program that was just started shows that it is ready.
 * @throws Error with the end of its log, when it ends before or is not ready in time
 */
export async function untilReady(
  program: { readonly name: string; readonly pid: number; readonly logPath: string },
  isReady: () => Promise<boolean>,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const began = systemClock.monotonic();
  while (!(await isReady())) {
    const waited = systemClock.monotonic() - began;
    const problem =
      (await startTimeOf(program.pid)) === undefined
        ? 'ended at once'
        : waited > options.timeoutMs
          ? `was not ready within ${options.timeoutMs} ms`
          : undefined;
    if (problem) throw new Error(`${program.name} ${problem}: ${await logTail(program.logPath)}`);
    const pauseMs = Math.min(LONGEST_POLL_MS, Math.max(SHORTEST_POLL_MS, POLL_SHARE * waited));
    await systemClock.sleep(pauseMs, options.signal);
  }
}
