/** What the lab's injectors have in common. */
import path from 'node:path';
import type { Fleet } from '../../../model/cluster.ts';
import { NotApplicableError } from '../../../model/errors.ts';
import { mendOnce } from '../../../model/fault.ts';
import { type Injection, clusterOf as anyClusterOf } from '../../../model/injection.ts';
import { randomHex } from '../../../system/clock.ts';
import { CommandError, quoteCommand } from '../../../system/commands.ts';
import { writeAtomically } from '../../../system/files.ts';
import type { LabCluster } from '../cluster.ts';
import { asLabCluster } from '../handlers.ts';
import { clusterFolder, netnsPath, wanPort } from '../names.ts';
import { applyNft, insideNetns, runInNetns } from '../namespace.ts';

export const clusterOf = (fleet: Fleet, name: string): LabCluster => asLabCluster(anyClusterOf(fleet, name));

export const portOf = (fleet: Fleet, cluster: string): string =>
  wanPort(fleet.clusters.findIndex(({ name }) => name === cluster));

export const addressesOf = (addresses: { ipv4?: string; ipv6?: string }): string[] =>
  Object.values(addresses);

/** Files of faults lie with those of their cluster; each fault has names of its own. */
export const faultFile = (fleet: Fleet, cluster: string, name: string): string =>
  path.join(clusterFolder(fleet.run, cluster), `fault-${name}`);

/** @throws NotApplicableError for what is aimed at gateways of a technology: in the lab workloads themselves send */
export function refuseForwarded({ forwarded }: { readonly forwarded?: true }): void {
  if (forwarded)
    throw new NotApplicableError('here a fault strikes what one workload sends, or the whole wan');
}

/** Unique, for tables, files and interfaces: faults of the same kind may overlap. */
export const newFaultId = (): string => randomHex(4);

/**
 * Notes how to mend before anything is changed, with a script that works from another process, also after the namespace
 * has gone, and only once (see `mendOnce`). @returns the same as a function
 */
export async function prepareMending(
  { fault, fleet, ledger }: Injection,
  place: { readonly netns: string; readonly cluster: string; readonly means?: string },
  script: string,
): Promise<() => Promise<void>> {
  const file = faultFile(fleet, place.cluster, `${newFaultId()}.sh`);
  await writeAtomically(file, script, 0o600);
  const command = mendOnce(file);
  await ledger.add({
    description: `fault ${JSON.stringify(fault)}${place.means === undefined ? '' : `, by ${place.means}`}`,
    undo: {
      kind: 'run',
      command: [
        'sh',
        '-c',
        `[ ! -e ${netnsPath(place.netns)} ] || ${quoteCommand(insideNetns(place.netns, command))}`,
      ],
    },
  });
  return async () => {
    await runInNetns(place.netns, command);
  };
}

/** A table of the fault's own: everything else stays as it is, and mending takes only the table away. */
export async function addTable(
  injection: Injection,
  place: { readonly netns: string; readonly cluster: string; readonly means?: string },
  family: 'inet' | 'bridge' | 'ip' | 'ip6',
  chains: string,
): Promise<{ readonly mend: () => Promise<void>; readonly counted: () => Promise<boolean> }> {
  const table = `mcnet_fault_${newFaultId()}`;
  // Added first, so that it is no error to delete what is not there.
  const removal = `nft 'add table ${family} ${table}; delete table ${family} ${table}'\n`;
  const mend = await prepareMending(injection, place, removal);
  await applyNft(place.netns, `table ${family} ${table} {\n${chains}\n}\n`);
  return {
    mend,
    /** Whether any rule with a counter has met a packet. */
    async counted() {
      const listed = await listTable(place.netns, family, table);
      return /counter packets [1-9]/.test(listed ?? '');
    },
  };
}

/** Listing of a table; undefined when it is not there. */
export async function listTable(netns: string, family: string, table: string): Promise<string | undefined> {
  try {
    return await runInNetns(netns, ['nft', 'list', 'table', family, table]);
  } catch (error) {
    if (error instanceof CommandError && error.output.includes('No such file or directory')) return undefined;
    throw error;
  }
}

/** Long enough for an answer inside one machine, even a busy one. */
const PING_SECONDS = 0.25;

export async function answersPing(cluster: LabCluster, address: string): Promise<boolean> {
  return (await ping(cluster.gateway.netns, ['-c', '1', '-W', String(PING_SECONDS), address])).answered;
}

/** @throws CommandError for anything but silence, such as a wrong argument: it would prove nothing */
export async function ping(
  netns: string,
  args: readonly string[],
): Promise<{ answered: boolean; output: string }> {
  try {
    return { answered: true, output: await runInNetns(netns, ['ping', '-n', ...args]) };
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1)
      return { answered: false, output: error.output };
    throw error;
  }
}
