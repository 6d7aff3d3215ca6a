/** What run, prove and drill have in common: the parts of a run, put together, and what ends it from outside. */
import { entryFile } from '../model/entry.ts';
import type { RunObserver } from '../model/results.ts';
import type { RunSpec } from '../model/spec.ts';
import type { RunDependencies } from '../run/execute.ts';
import { systemClock } from '../system/clock.ts';
import { delegateCommands } from '../system/commands.ts';
import { stateFolder } from '../system/files.ts';
import { partsOf } from './compose.ts';
import { mendingProvider, summarisingProvider } from './packages.ts';
import { type Interruption, interruptible } from './signals.ts';
import { version } from './version.ts';

export const monotonic = (): number => systemClock.monotonic();

/** It only ever starts programs: no helper threads, and a heap that stays small. */
const LAUNCHER_FLAGS = ['--v8-pool-size=0', '--max-semi-space-size=1', '--max-old-space-size=128'];

/** Listens for signals from here on, until `interruption.stop()`. */
export function beginExecution(
  spec: RunSpec,
  observers: readonly RunObserver[],
): { dependencies: RunDependencies; interruption: Interruption } {
  delegateCommands([
    process.execPath,
    ...LAUNCHER_FLAGS,
    entryFile(import.meta.url, 'launcher', '../system/launcher/main.ts'),
  ]);
  let runId: string | undefined;
  const parts = partsOf(spec);
  const interruption = interruptible(monotonic, () =>
    runId === undefined ? 'Ended at once' : `Ended at once; what is left: mcnet-conformance clean ${runId}`,
  );
  const dependencies: RunDependencies = {
    ...parts,
    provider: summarisingProvider(
      spec.yes ? mendingProvider(parts.provider, interruption.signal) : parts.provider,
    ),
    clock: systemClock,
    observers: [
      ...observers,
      (event) => {
        if (event.type === 'run.began') runId = event.run;
      },
    ],
    signal: interruption.signal,
    stateFolder: stateFolder(),
    tool: `mcnet-conformance ${version}`,
  };
  return { dependencies, interruption };
}
