/** How a fault is noted before it is made, so that any process can take it back. */
import { applicable } from './applicable.ts';
import type {
  Gateway,
  KubernetesCluster,
  KubernetesObject,
  Ledger,
  ObjectReference,
  UndoAction,
} from './cluster.ts';
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

/** Who owns the fields that this program sets by server-side apply. */
export const FIELD_MANAGER = 'mcnet-conformance';

/**
 * Notes how objects of a cluster get back to what they are now. The note lies in the run's state file (mode 0600), as
 * objects may hold keys. @param before as read, before anything is changed @param added what only the fault brings
 * @returns the same as a function
 */
export async function prepareRestoring(
  cluster: KubernetesCluster,
  fault: FaultSpec,
  {
    before,
    added = [],
  }: { readonly before: readonly KubernetesObject[]; readonly added?: readonly ObjectReference[] },
  ledger: Ledger,
): Promise<() => Promise<void>> {
  const apply = before.map(applicable);
  const remove = added.map(referenceOf);
  await ledger.add({
    description: `fault ${JSON.stringify(fault)} in ${cluster.name}`,
    undo: {
      kind: 'restore-objects',
      kubeconfig: cluster.kubeconfig,
      context: cluster.context,
      fieldManager: FIELD_MANAGER,
      apply,
      remove,
    },
  });
  return async () => {
    await cluster.objects.apply(apply);
    await cluster.objects.delete(remove);
  };
}

const referenceOf = ({
  apiVersion,
  kind,
  metadata: { name, namespace },
}: ObjectReference): ObjectReference => ({
  apiVersion,
  kind,
  metadata: { name, ...(namespace !== undefined && { namespace }) },
});
