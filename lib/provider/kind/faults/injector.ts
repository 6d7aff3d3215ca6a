/** What injectors at gateway containers have in common. */
import type { Cluster, Gateway, Workload } from '../../../model/cluster.ts';
import { RANGE_KINDS } from '../../../model/addressing.ts';
import type { IpFamily } from '../../../model/cidr.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Injection } from '../../../model/injection.ts';
import { prepareMendingAt } from '../../../model/mending.ts';
import { randomHex } from '../../../system/clock.ts';
import { CommandError } from '../../../system/commands.ts';

/** The first workload of a cluster: any will do. */
export function anyWorkload(cluster: Cluster): Workload {
  const [workload] = cluster.workloads;
  if (!workload) throw new InternalError(`cluster ${cluster.name} has no workload to prove this with`);
  return workload;
}

/** How nftables calls a family's header. */
export const HEADER: Readonly<Record<IpFamily, 'ip' | 'ip6'>> = { ipv4: 'ip', ipv6: 'ip6' };

/** Elements of a set: the ranges of a cluster in one family. */
export const rangesOf = (cluster: Cluster, family: IpFamily): string =>
  RANGE_KINDS.flatMap((kind) => cluster.ranges[kind][family] ?? []).join(', ');

export const renderChain = (name: string, type: string, rules: readonly string[]): string =>
  [`  chain ${name} {`, `    type ${type}`, ...rules.map((rule) => `    ${rule}`), '  }'].join('\n');

/** A table of the fault's own: everything else stays as it is, and mending takes only the table away. */
export async function addTable(
  { fault, ledger }: Injection,
  gateway: Gateway,
  family: 'inet' | 'ip' | 'ip6',
  chains: string,
  means?: string,
): Promise<{ readonly mend: () => Promise<void>; readonly counted: () => Promise<boolean> }> {
  const id = randomHex(4);
  const table = `mcnet_fault_${id}`;
  // Added first, so that it is no error to delete what is not there.
  const removal = `nft 'add table ${family} ${table}; delete table ${family} ${table}'\n`;
  const mend = await prepareMendingAt(
    gateway,
    { fault, id, ...(means !== undefined && { means }) },
    removal,
    ledger,
  );
  await gateway.exec(['nft', '-f', '-'], { input: `table ${family} ${table} {\n${chains}\n}\n` });
  return {
    mend,
    /** Whether any rule with a counter has met a packet. */
    async counted() {
      const listed = await gateway.exec(['sh', '-c', `nft list table ${family} ${table} 2>&1 || true`]);
      return /counter packets [1-9]/.test(listed);
    },
  };
}

/** Long enough for an answer inside one machine, even a busy one. */
const PING_SECONDS = '0.5';

/** Whether one packet is answered. @throws CommandError for anything but silence: it would prove nothing */
export function answersPing(gateway: Gateway, address: string): Promise<boolean> {
  return ping(gateway, ['-c', '1', '-W', PING_SECONDS, address]);
}

export async function ping(gateway: Gateway, args: readonly string[]): Promise<boolean> {
  try {
    await gateway.exec(['ping', '-n', ...args]);
    return true;
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}
