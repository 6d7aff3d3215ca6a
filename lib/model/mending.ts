/** How a fault at a gateway is noted before it is made, so that any process can take it back. */
import type { Gateway, Ledger, UndoAction } from './cluster.ts';
import { type FaultSpec, mendOnce } from './fault.ts';

/** A command at a gateway, complete, for a process that knows nothing of this fleet. */
export function undoAt(gateway: Gateway, command: readonly [string, ...string[]]): UndoAction {
  const words = [...gateway.shell.trim().split(/\s+/), ...command];
  return { kind: 'run', command: words as [string, ...string[]] };
}

/**
 * Leaves the script that mends at the gateway, notes in the ledger how to run it, and gives the same as a function.
 * It mends once: see `mendOnce`.
 * @param id of this fault alone: others of its kind may be in place @param means for people, where there is a choice
 */
export async function prepareMendingAt(
  gateway: Gateway,
  { fault, id, means }: { readonly fault: FaultSpec; readonly id: string; readonly means?: string },
  script: string,
  ledger: Ledger,
): Promise<() => Promise<void>> {
  const command = mendOnce(await gateway.writeFile(`mend-${id}.sh`, script));
  await ledger.add({
    description: `fault ${JSON.stringify(fault)} at ${gateway.cluster}${means === undefined ? '' : `, by ${means}`}`,
    undo: undoAt(gateway, command),
  });
  return async () => {
    await gateway.exec(command);
  };
}
