/** Faults that the lab injects itself: those of the wan, of whole clusters, of policy and of DNS. */
import type { Disturbance, FaultSpec } from '../../model/fault.ts';
import type { FaultInjector, Fleet, Ledger } from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import { CommandError, quoteCommand } from '../../system/commands.ts';
import { removePath } from '../../system/files.ts';
import { sendSignal } from '../../system/processes.ts';
import type { LabCluster } from './cluster.ts';
import { asLabCluster } from './handlers.ts';
import { CLUSTER_INTERFACE, netnsPath, wanNetns, wanPort } from './names.ts';
import { applyNft, insideNetns, runInNetns } from './namespace.ts';
import { tableName } from './policy.ts';

type Fault<K extends FaultSpec['kind']> = Extract<FaultSpec, { kind: K }>;

/** Long enough for an answer inside one machine, even a busy one. */
const PING_SECONDS = 0.5;
const LOOKUP_MS = 500;

export const labInjectors: readonly FaultInjector[] = [
  injector('wan-drop', dropOnWan),
  injector('cluster-gone', takeClusterAway),
  injector('dns-stopped', stopDns),
  injector('policy-flushed', flushPolicies),
];

function injector<K extends FaultSpec['kind']>(
  kind: K,
  inject: (fault: Fault<K>, fleet: Fleet, ledger: Ledger) => Promise<Disturbance>,
): FaultInjector {
  return {
    kinds: [kind],
    inject: (fault, fleet, ledger) => {
      if (fault.kind !== kind) throw new InternalError(`the injector of ${kind} was given ${fault.kind}`);
      return inject(fault as Fault<K>, fleet, ledger);
    },
  };
}

function clusterOf(fleet: Fleet, name: string): LabCluster {
  const cluster = fleet.clusters.find((one) => one.name === name);
  if (!cluster) throw new InternalError(`no cluster ${name} in this fleet`);
  return asLabCluster(cluster);
}

const portOf = (fleet: Fleet, cluster: string): string =>
  wanPort(fleet.clusters.findIndex(({ name }) => name === cluster));

/** Mends from another process, also after the namespace has gone. */
async function noteMending(ledger: Ledger, fault: FaultSpec, netns: string, script: string): Promise<void> {
  const inside = quoteCommand(insideNetns(netns, ['sh', '-c', script]));
  await ledger.add({
    description: `fault ${JSON.stringify(fault)}`,
    undo: { kind: 'run', command: ['sh', '-c', `[ ! -e ${netnsPath(netns)} ] || ${inside}`] },
  });
}

async function answersPing(cluster: LabCluster, address: string): Promise<boolean> {
  try {
    await cluster.gateway.exec(['ping', '-n', '-q', '-c', '1', '-W', String(PING_SECONDS), address]);
    return true;
  } catch (error) {
    // 1: no answer. Anything else, such as a wrong argument, would prove nothing.
    if (error instanceof CommandError && error.exitCode === 1) return false;
    throw error;
  }
}

const firstOf = (addresses: { readonly ipv4?: string; readonly ipv6?: string }): string =>
  (addresses.ipv4 ?? addresses.ipv6) as string;

async function dropOnWan(fault: Fault<'wan-drop'>, fleet: Fleet, ledger: Ledger): Promise<Disturbance> {
  const netns = wanNetns(fleet.run);
  const table = `bridge mcnet_drop_${fault.from}_${fault.to}`;
  const removal = `add table ${table}\ndelete table ${table}\n`;
  await noteMending(ledger, fault, netns, quoteCommand(['nft', `add table ${table}; delete table ${table}`]));
  await applyNft(netns, removal + renderWanDrop(table, portOf(fleet, fault.from), portOf(fleet, fault.to)));
  const sender = clusterOf(fleet, fault.from);
  const receiver = clusterOf(fleet, fault.to);
  return {
    async tookHold() {
      if (await answersPing(sender, firstOf(receiver.gateway.wanAddresses))) return false;
      return /counter packets [1-9]/.test(
        await runInNetns(netns, ['nft', 'list', 'table', ...table.split(' ')]),
      );
    },
    mend: () => applyNft(netns, removal),
  };
}

/** Neighbour discovery passes, or the other direction would soon stop too, for want of a link address. */
export function renderWanDrop(table: string, fromPort: string, toPort: string): string {
  const flow = `iifname "${fromPort}" oifname "${toPort}"`;
  return `table ${table} {
	chain forward {
		type filter hook forward priority filter; policy accept;
		${flow} icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		${flow} ether type { ip, ip6 } counter drop
	}
}
`;
}

/** Unplugs every cable: the gateway's on the wan, and those of the workloads. Addresses and routes stay. */
async function takeClusterAway(
  fault: Fault<'cluster-gone'>,
  fleet: Fleet,
  ledger: Ledger,
): Promise<Disturbance> {
  const cluster = clusterOf(fleet, fault.cluster);
  const wan = wanNetns(fleet.run);
  const port = portOf(fleet, fault.cluster);
  const { netns } = cluster.gateway;
  const pods = (state: 'up' | 'down'): string => renderPortsState(state);
  const setWanPort = (state: 'up' | 'down'): string => `ip link set ${port} ${state}`;
  await noteMending(ledger, fault, wan, setWanPort('up'));
  await noteMending(ledger, fault, netns, pods('up'));
  const set = async (state: 'up' | 'down'): Promise<void> => {
    await Promise.all([
      runInNetns(wan, ['sh', '-e', '-c', setWanPort(state)]),
      runInNetns(netns, ['sh', '-e', '-c', pods(state)]),
    ]);
  };
  await set('down');
  const other = fleet.clusters.find(({ name }) => name !== fault.cluster);
  const [workload] = cluster.workloads;
  return {
    async tookHold() {
      const answers = await Promise.all([
        ...(other ? [answersPing(asLabCluster(other), firstOf(cluster.gateway.wanAddresses))] : []),
        ...(workload ? [answersPing(cluster, firstOf(workload.addresses))] : []),
      ]);
      return answers.length > 0 && !answers.includes(true);
    },
    mend: () => set('up'),
  };
}

/** For every port of the bridge, whichever workloads there are by then. */
function renderPortsState(state: 'up' | 'down'): string {
  return `ip -o link show master ${CLUSTER_INTERFACE} | while IFS=': @' read -r _ port _; do echo "link set $port ${state}"; done | ip -batch -`;
}

async function stopDns(fault: Fault<'dns-stopped'>, fleet: Fleet, ledger: Ledger): Promise<Disturbance> {
  const cluster = clusterOf(fleet, fault.cluster);
  const { dnsPid } = await cluster.controller.status();
  if (dnsPid === undefined) throw new InternalError(`cluster ${fault.cluster} has no DNS server to stop`);
  await noteMending(ledger, fault, cluster.gateway.netns, `kill -CONT ${dnsPid} || true`);
  sendSignal(dnsPid, 'SIGSTOP');
  return {
    async tookHold() {
      const [answer] = await cluster.gateway.probe.resolve([
        { server: firstOf(cluster.dns), name: 'cluster.local', type: 'A', timeoutMs: LOOKUP_MS },
      ]);
      return answer?.outcome === 'timed-out';
    },
    mend: async () => {
      sendSignal(dnsPid, 'SIGCONT');
    },
  };
}

/** Removes the rules and keeps the tables, as an operator's `nft flush table` does. */
async function flushPolicies(
  fault: Fault<'policy-flushed'>,
  fleet: Fleet,
  ledger: Ledger,
): Promise<Disturbance> {
  const { gateway, policies } = clusterOf(fleet, fault.cluster);
  const { tables } = policies;
  const names = tables.map((table) => `inet ${tableName(table)}`);
  const listings = await Promise.all(
    names.map((name) => gateway.exec(['nft', 'list', 'table', ...(name.split(' ') as [string, string])])),
  );
  const saved = await gateway.writeFile(
    'flushed-policies.nft',
    names.map((name, index) => `add table ${name}\ndelete table ${name}\n${listings[index]}`).join(''),
  );
  await noteMending(ledger, fault, gateway.netns, `[ ! -e ${saved} ] || nft -f ${saved}`);
  await applyNft(gateway.netns, names.map((name) => `flush table ${name}\n`).join(''));
  return {
    async tookHold() {
      const inForce = await Promise.all(tables.map((table) => policies.isInForce(table)));
      return tables.length > 0 && !inForce.includes(true);
    },
    async mend() {
      await policies.restore(tables);
      await removePath(saved);
    },
  };
}
