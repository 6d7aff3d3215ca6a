/** Faults of whole clusters and of their DNS: containers and processes that stop, and links that go down. */
import { firstOf } from '../../../model/cidr.ts';
import type { Cluster, Gateway } from '../../../model/cluster.ts';
import { InternalError } from '../../../model/errors.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { prepareMendingAt } from '../../../model/mending.ts';
import { randomHex, systemClock } from '../../../system/clock.ts';
import { quoteCommand, runCommand } from '../../../system/commands.ts';
import { docker, insideContainer } from '../docker.ts';
import { gatewayName } from '../names.ts';
import { nodeContainers } from '../nodes.ts';
import { type FaultOf, type Injection, clusterOf } from '../../../model/injection.ts';
import { answersPing } from './injector.ts';

const LOOKUP_MS = 500;
const STOP_MS = 1_000;
const POLL_MS = 20;

/**
 * Takes the gateway's links down: from outside the whole cluster is gone without a word, inside it goes on. Addresses
 * come back with the links; routes, which the kernel drops, are written back.
 */
export async function takeClusterAway(injection: Injection<FaultOf<'cluster-gone'>>): Promise<Disturbance> {
  const { fleet, fault, ledger } = injection;
  const { gateway } = clusterOf(fleet, fault.cluster);
  const links = [gateway.wanInterface, gateway.clusterInterface];
  const up = await linksThatAreUp(gateway, links);
  const routes = await Promise.all(up.map((link) => routesOf(gateway, link)));
  const restore = [
    ...up.map((link) => `ip link set ${link} up`),
    `ip -batch - <<'END'`,
    ...routes.flat().map((route) => `route replace ${route}`),
    'END',
    '',
  ].join('\n');
  const mend = await prepareMendingAt(gateway, { fault, id: randomHex(4) }, restore, ledger);
  for (const link of up) await gateway.exec(['ip', 'link', 'set', link, 'down']);
  const other = fleet.clusters.find(({ name }) => name !== fault.cluster);
  return {
    tookHold: async () =>
      other !== undefined && !(await answersPing(other.gateway, firstOf(gateway.wanAddresses))),
    mend,
  };
}

async function linksThatAreUp(gateway: Gateway, links: readonly string[]): Promise<string[]> {
  const shown = await gateway.exec(['ip', '-json', 'link', 'show', 'up']);
  const up = (JSON.parse(shown) as { ifname?: string }[]).map(({ ifname }) => ifname);
  return links.filter((link) => up.includes(link));
}

/** As they can be given back; those that the kernel makes itself are left out. */
async function routesOf(gateway: Gateway, link: string): Promise<string[]> {
  const shown = await gateway.exec(['ip', 'route', 'show', 'dev', link]);
  return shown
    .split('\n')
    .map((line) => line.replaceAll(/ (?:linkdown|dead)\b/g, '').trim())
    .filter((line) => line !== '' && !/ proto kernel\b/.test(line))
    .map((line) => `${line} dev ${link}`);
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
