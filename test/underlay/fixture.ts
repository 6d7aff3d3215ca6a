/** A fleet of bare namespaces: one for the wan, and per cluster a gateway with one workload behind it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { addressesAt } from '../../lib/model/addressing.ts';
import { type IpFamily, type PerFamily, parseCidr } from '../../lib/model/cidr.ts';
import type { Cluster, Fleet, Gateway, Ledger, Resource } from '../../lib/model/cluster.ts';
import type { Topology } from '../../lib/model/topology.ts';
import { randomBelow } from '../../lib/system/clock.ts';
import { type Command, runCommand, startDetached } from '../../lib/system/commands.ts';
import { sendSignal } from '../../lib/system/processes.ts';
import { networkOf } from './network.ts';

export interface Bench {
  readonly fleet: Fleet;
  readonly ledger: Ledger & { readonly resources: Resource[] };
  gateway(cluster: string): Gateway;
  /** Runs a command at the workload of a cluster. */
  atWorkload(cluster: string, ...command: Command): Promise<string>;
  /** The workload's address. */
  workload(cluster: string, family?: IpFamily): string;
  /** Whether one ping between workloads is answered. */
  reaches(from: string, to: string, family?: IpFamily): Promise<boolean>;
  /** Runs a command in the wan's namespace. */
  atWan(...command: Command): Promise<string>;
  remove(): Promise<void>;
}

const letters = 'abcdefghijklmnopqrstuvwxyz';
const run = (): string => Array.from({ length: 6 }, () => letters[randomBelow(26)]).join('');

const WORKLOAD_INDEX = 2;

export async function createBench(topology: Topology, families: readonly IpFamily[]): Promise<Bench> {
  const id = run();
  const network = networkOf(topology, families, id);
  const folder = await mkdtemp(path.join(tmpdir(), 'mcnet-underlay-'));
  const namespaces: string[] = [];
  const daemons = new Map<string, number>();
  const inside = (netns: string, ...command: Command): Promise<string> =>
    runCommand(['ip', 'netns', 'exec', netns, ...command]);
  const batch = (netns: string, lines: readonly string[]): Promise<string> =>
    runCommand(['ip', '-n', netns, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
  const addNamespace = async (netns: string): Promise<void> => {
    namespaces.push(netns);
    await runCommand(['ip', 'netns', 'add', netns]);
    const off = ['all', 'default'].map((name) => `/proc/sys/net/ipv6/conf/${name}/accept_dad`);
    await runCommand(['ip', 'netns', 'exec', netns, 'tee', ...off], { input: '0' });
    await batch(netns, ['link set lo up']);
  };
  const withPrefix = (range: PerFamily<string>, index: number): string[] =>
    Object.entries(addressesAt(range, index)).map(
      ([family, address]) => `${address}/${parseCidr(range[family as IpFamily] as string).prefix}`,
    );

  async function remove(): Promise<void> {
    for (const pid of daemons.values()) sendSignal(pid, 'SIGTERM');
    for (const { undo } of ledger.resources.toReversed()) {
      // Only what lies outside the namespaces: everything else goes with them.
      if (undo.kind === 'run' && undo.command[0] === 'rm') await runCommand(undo.command);
    }
    for (const netns of namespaces.toReversed())
      await runCommand(['ip', 'netns', 'del', netns]).catch(() => '');
    await rm(folder, { recursive: true, force: true });
  }

  const resources: Resource[] = [];
  const ledger = {
    resources,
    async add(resource: Resource) {
      resources.push(resource);
    },
  };
  const wan = `mcnett-${id}-wan`;
  const gatewayNetns = (name: string): string => `mcnett-${id}-${name}-gw`;
  const workloadNetns = (name: string): string => `mcnett-${id}-${name}-w`;
  try {
    await addNamespace(wan);
    await batch(wan, ['link add name br0 type bridge', 'link set br0 up']);
    for (const [index, { name, ranges }] of network.clusters.entries()) {
      const gw = gatewayNetns(name);
      const w = workloadNetns(name);
      await addNamespace(gw);
      await addNamespace(w);
      const forwarding = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((key) => `/proc/sys/net/${key}`);
      await runCommand(['ip', 'netns', 'exec', gw, 'tee', ...forwarding], { input: '1' });
      await batch(wan, [
        `link add name p${index} type veth peer name wan netns ${gw}`,
        `link set p${index} master br0 up`,
      ]);
      await batch(gw, [
        `link add name cluster type veth peer name eth0 netns ${w}`,
        ...withPrefix(network.plan.wan, index + 1).map((address) => `address add ${address} dev wan`),
        ...withPrefix(ranges.pods, 1).map((address) => `address add ${address} dev cluster`),
        ...withPrefix(ranges.nodes, 1).map((address) => `address add ${address} dev cluster`),
        'link set wan up',
        'link set cluster up',
      ]);
      await batch(w, [
        ...withPrefix(ranges.pods, WORKLOAD_INDEX).map((address) => `address add ${address} dev eth0`),
        'link set eth0 up',
        ...Object.values(addressesAt(ranges.pods, 1)).map((address) => `route add default via ${address}`),
      ]);
    }
  } catch (error) {
    await remove();
    throw error;
  }

  const clusters = network.clusters.map((site): Cluster => {
    const netns = gatewayNetns(site.name);
    const gateway: Partial<Gateway> = {
      cluster: site.name,
      wanAddresses: site.gateway.wanAddresses,
      nodeAddresses: addressesAt(site.ranges.nodes, 1),
      wanInterface: 'wan',
      clusterInterface: 'cluster',
      shell: `ip netns exec ${netns}`,
      exec: (command, options) => runCommand(['ip', 'netns', 'exec', netns, ...command], options),
      async startDaemon(name, command, environment = {}) {
        const pid = await startDetached(['ip', 'netns', 'exec', netns, ...command], {
          logPath: path.join(folder, `${netns}-${name}.log`),
          environment,
        });
        daemons.set(`${netns}-${name}`, pid);
      },
      async writeFile(name, content, mode = 0o644) {
        const file = path.join(folder, `${netns}-${name}`);
        await writeFile(file, content, { mode });
        return file;
      },
    };
    // A gateway without agent and capture: underlays use neither.
    return { kind: 'lab', name: site.name, ranges: site.ranges, gateway: gateway as Gateway } as Cluster;
  });
  const fleet: Fleet = { ...network, clusters };
  const workload = (cluster: string, family: IpFamily = families[0] as IpFamily): string =>
    addressesAt(fleet.plan.clusters[cluster]?.pods ?? {}, WORKLOAD_INDEX)[family] as string;
  const atWorkload = (cluster: string, ...command: Command): Promise<string> =>
    inside(workloadNetns(cluster), ...command);
  return {
    fleet,
    ledger,
    workload,
    atWorkload,
    gateway: (name) => clusters.find((cluster) => cluster.name === name)?.gateway as Gateway,
    reaches: (from, to, family) =>
      atWorkload(from, 'ping', '-n', '-q', '-c', '1', '-W', '1', workload(to, family)).then(
        () => true,
        () => false,
      ),
    atWan: (...command) => inside(wan, ...command),
    remove,
  };
}
