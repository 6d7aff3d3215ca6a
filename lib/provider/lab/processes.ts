/** Programs that a lab leaves running: started, watched until they are ready, and found again. */
import { systemClock } from '../../system/clock.ts';
import { readIfPresent } from '../../system/files.ts';
import { startTimeOf } from '../../system/processes.ts';

const POLL_MS = 10;
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
  const end = systemClock.monotonic() + options.timeoutMs;
  while (!(await isReady())) {
    const problem =
      (await startTimeOf(program.pid)) === undefined
        ? 'ended at once'
        : systemClock.monotonic() > end
          ? `was not ready within ${options.timeoutMs} ms`
          : undefined;
    if (problem) throw new Error(`${program.name} ${problem}: ${await logTail(program.logPath)}`);
    await systemClock.sleep(POLL_MS, options.signal);
  }
}
