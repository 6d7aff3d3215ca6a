/** A whole cluster without any link. */
import { firstOf } from '../../../model/cidr.ts';
import type { Disturbance } from '../../../model/fault.ts';
import { CLUSTER_INTERFACE, wanNetns } from '../names.ts';
import { runInNetns } from '../namespace.ts';
import { asLabCluster } from '../handlers.ts';
import type { FaultOf, Injection } from '../../../model/injection.ts';
import { answersPing, clusterOf, portOf, prepareMending } from './injector.ts';

/**
 * Unplugs every cable: the gateway's on the wan, and those of the workloads. Addresses and routes stay. What was unplugged
 * before stays so when this is mended.
 */
export async function takeClusterAway(injection: Injection<FaultOf<'cluster-gone'>>): Promise<Disturbance> {
  const { fleet, fault } = injection;
  const cluster = clusterOf(fleet, fault.cluster);
  const wan = wanNetns(fleet.run);
  const { netns } = cluster.gateway;
  const wanPorts = (await portsThatAreUp(wan, [])).filter((name) => name === portOf(fleet, cluster.name));
  const podPorts = await portsThatAreUp(netns, ['master', CLUSTER_INTERFACE]);
  const mends = [
    await prepareMending(injection, { netns: wan, cluster: cluster.name }, renderUp(wanPorts)),
    await prepareMending(injection, { netns, cluster: cluster.name }, renderUp(podPorts)),
  ];
  const takeDown = (ports: readonly string[]): string =>
    ports.map((name) => `link set ${name} down\n`).join('');
  await Promise.all([
    runInNetns(wan, ['ip', '-batch', '-'], { input: takeDown(wanPorts) }),
    runInNetns(netns, ['ip', '-batch', '-'], { input: takeDown(podPorts) }),
  ]);
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
    async mend() {
      await Promise.all(mends.map((mend) => mend()));
    },
  };
}

async function portsThatAreUp(netns: string, filter: readonly string[]): Promise<string[]> {
  const shown = await runInNetns(netns, ['ip', '-json', 'link', 'show', 'up', ...filter]);
  return (JSON.parse(shown || '[]') as { ifname?: string }[]).flatMap(({ ifname }) => ifname ?? []);
}

/** Lines for a shell; a workload may have gone meanwhile, and its port with it. */
const renderUp = (ports: readonly string[]): string =>
  ports.map((name) => `if ip link show ${name} > /dev/null 2>&1; then ip link set ${name} up; fi\n`).join('');
