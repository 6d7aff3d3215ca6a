import { entryFile } from '../model/entry.ts';

/** What runs as a process of its own: the agent of a workload, and a backend that the agent may crash. */
export type Entry = 'agent' | 'backend';

const SOURCES: Record<Entry, string> = { agent: './agent/main.ts', backend: './agent/backend.ts' };

/**
 * Hundreds run on one machine: no helper threads for V8 (half of the processor time at start when many start at
 * once), and a heap that is collected early.
 */
const FLAGS = ['--v8-pool-size=0', '--max-semi-space-size=2', '--max-old-space-size=192'];

/**
 * Program and arguments that start an entry: `dist/<entry>.js` when this module itself has been bundled, else the
 * source file.
 */
export function agentCommand(entry: Entry): [string, ...string[]] {
  return [process.execPath, ...FLAGS, entryFile(import.meta.url, entry, SOURCES[entry])];
}
