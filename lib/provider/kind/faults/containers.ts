/** Faults of whole clusters and of their DNS: containers and processes that stop, and links that go down. */
import { firstOf } from '../../../model/cidr.ts';
import type { Cluster } from '../../../model/cluster.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { randomHex, systemClock } from '../../../system/clock.ts';
import { quoteCommand, runCommand } from '../../../system/commands.ts';
import { docker, insideContainer } from '../docker.ts';
import { gatewayName } from '../names.ts';
import { nodeContainers } from '../nodes.ts';
import { type FaultOf, type Injection, clusterOf } from '../../../model/injection.ts';
import { addTable, answersPing, renderChain } from './injector.ts';

const LOOKUP_MS = 500;
const STOP_MS = 1_000;
const POLL_MS = 20;

/** Neighbours of the gateway go on knowing it, as they do by ARP: on neither side anybody is told that nobody is there. */
const NEIGHBOURS = 'meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept';

/**
 * Drops whatever comes to the gateway or leaves it: from outside the whole cluster is gone without a word, and from inside
 * all others are; inside it goes on.
 */
export async function takeClusterAway(injection: Injection<FaultOf<'cluster-gone'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const { gateway } = clusterOf(fleet, fault.cluster);
  const chains = (
    [
      ['arrival', 'prerouting', 'iifname'],
      ['departure', 'output', 'oifname'],
    ] as const
  ).map(([name, hook, interfaceName]) =>
    renderChain(name, `filter hook ${hook} priority -450; policy accept;`, [
      NEIGHBOURS,
      `${interfaceName} != "lo" counter drop`,
    ]),
  );
  const { mend, counted } = await addTable(injection, gateway, 'inet', chains.join('\n'));
  const other = fleet.clusters.find(({ name }) => name !== fault.cluster);
  return {
    tookHold: async () => {
      if (!other) return false;
      const answered = await Promise.all([
        answersPing(other.gateway, firstOf(gateway.wanAddresses)),
        // The other may be gone as well.
        answersPing(gateway, firstOf(other.gateway.wanAddresses)),
      ]);
      return !answered.includes(true) && (await counted());
    },
    mend,
  };
}

/** Every process of the nodes and the gateway stops where it stands; the kernel goes on answering for them. */
export async function freezeCluster(injection: Injection<FaultOf<'cluster-frozen'>>): Promise<Disturbance> {
  const { fleet, fault, ledger } = injection;
  const { name } = clusterOf(fleet, fault.cluster);
  const containers = [...(await nodeContainers(fleet.run, name)), gatewayName(fleet.run, name)];
  const running = await inState(containers, 'running');
  const thaw = running
    .map((container) => `docker unpause ${quoteCommand([container])} 2> /dev/null || true`)
    .join('\n');
  const command = ['sh', '-c', thaw] as const;
  await ledger.add({
    description: `fault ${JSON.stringify(fault)}`,
    undo: { kind: 'run', command },
  });
  await docker(['pause', ...running]);
  return {
    tookHold: async () => (await inState(containers, 'paused')).length === containers.length,
    async mend() {
      await runCommand(command);
    },
  };
}

async function inState(containers: readonly string[], state: 'running' | 'paused'): Promise<string[]> {
  const shown = await docker([
    'container',
    'inspect',
    '--format',
    '{{.Name}} {{.State.Status}}',
    ...containers,
  ]);
  return shown
    .split('\n')
    .filter((line) => line.endsWith(` ${state}`))
    .map((line) => line.slice(1, line.indexOf(' ')));
}

/** Stops CoreDNS on every node, as a process that hangs. The kubelet would start it anew after about a minute. */
export async function stopDns(injection: Injection<FaultOf<'dns-stopped'>>): Promise<Disturbance> {
  const { fleet, fault, ledger } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const nodes = await nodeContainers(fleet.run, cluster.name);
  const signal = (name: string, node: string): readonly [string, ...string[]] =>
    insideContainer(node, ['sh', '-c', `pkill -${name} -x coredns || true`]);
  for (const node of nodes) {
    await ledger.add({
      description: `fault ${JSON.stringify(fault)} on ${node}`,
      undo: { kind: 'run', command: signal('CONT', node) },
    });
  }
  const stopped = await Promise.all(nodes.map((node) => stopProcesses(node)));
  if (!stopped.includes(true)) throw new InternalError(`cluster ${cluster.name} has no CoreDNS to stop`);
  return {
    tookHold: () => isSilent(cluster),
    async mend() {
      await Promise.all(nodes.map((node) => runCommand(signal('CONT', node))));
    },
  };
}

/** @returns whether there was any, once each has stopped: it does when all of its threads have come by */
async function stopProcesses(node: string): Promise<boolean> {
  const script = 'pids=$(pgrep -x coredns) || exit 0; kill -STOP $pids; echo $pids';
  const pids = (await runCommand(insideContainer(node, ['sh', '-c', script])))
    .trim()
    .split(/\s+/)
    .filter(Boolean);
  if (pids.length === 0) return false;
  const end = systemClock.monotonic() + STOP_MS;
  const states = `for pid in ${pids.join(' ')}; do sed 's/.*) //' /proc/$pid/stat | cut -c 1; done`;
  for (;;) {
    const shown = (await runCommand(insideContainer(node, ['sh', '-c', states]))).trim().split('\n');
    if (shown.every((state) => state === 'T')) return true;
    if (systemClock.monotonic() > end)
      throw new Error(`CoreDNS on ${node} does not stop: state ${shown.join(', ')}`);
    await systemClock.sleep(POLL_MS);
  }
}

async function isSilent(cluster: Cluster): Promise<boolean> {
  const [workload] = cluster.workloads;
  if (!workload) throw new InternalError(`cluster ${cluster.name} has no workload to ask its DNS server`);
  const [answer] = await workload.probe.resolve([
    {
      server: firstOf(cluster.dns),
      // Of no zone that a cache could have it from.
      name: `mcnet-${randomHex(4)}.default.svc.cluster.local`,
      type: 'A',
      timeoutMs: LOOKUP_MS,
    },
  ]);
  return answer?.outcome === 'timed-out';
}
