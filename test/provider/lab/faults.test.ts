/** Every fault of the lab, on a lab: it takes hold, and leaves nothing, mended by itself or by the ledger alone. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Fleet, Resource } from '../../../lib/model/cluster.ts';
import type { Disturbance, FaultSpec } from '../../../lib/model/fault.ts';
import { newRunId } from '../../../lib/model/ids.ts';
import type { PolicyIntent } from '../../../lib/model/intent.ts';
import { PORTS, type ServiceSpec, type WorkloadSpec } from '../../../lib/model/workload.ts';
import { connectProbe } from '../../../lib/probe/client.ts';
import { agentCommand } from '../../../lib/probe/command.ts';
import { createLabProvider } from '../../../lib/provider/lab/index.ts';
import { randomBelow } from '../../../lib/system/clock.ts';
import { runCommand } from '../../../lib/system/commands.ts';
import { filesIn, runtimeFolder } from '../../../lib/system/files.ts';
import { markedProcesses } from '../../../lib/system/processes.ts';
import { listFolder } from '../../../lib/system/storage.ts';
import { executeUndo } from '../../../lib/system/undo.ts';
import { takeBack } from '../../fixtures/takeBack.ts';
import { createWireguard } from '../../../lib/underlay/wireguard/index.ts';

const NAMES = ['east', 'west'] as const;
const WORKLOADS: readonly WorkloadSpec[] = [
  { namespace: 'shop', name: 'web', labels: { app: 'web' } },
  { namespace: 'shop', name: 'db', labels: { app: 'db' } },
];
const WEB: ServiceSpec = {
  namespace: 'shop',
  name: 'web',
  selector: { app: 'web' },
  ports: [{ name: 'http', port: PORTS.http, protocol: 'tcp' }],
  healthPort: PORTS.http,
};
const HEADLESS: ServiceSpec = { ...WEB, name: 'each', headless: true };
const POLICY: PolicyIntent = {
  kind: 'policy',
  name: 'db-from-web',
  namespace: 'shop',
  target: { app: 'db' },
  direction: 'ingress',
  allow: [{ peers: [{ labels: { app: 'web' } }] }],
};
const ranges = (index: number) => ({
  pods: { ipv4: `10.${16 * index}.0.0/13`, ipv6: `fd6d:636e:6574:${index}00::/64` },
  services: { ipv4: `10.${16 * index + 8}.0.0/14`, ipv6: `fd6d:636e:6574:${index}01::/112` },
  nodes: { ipv4: `10.${16 * index + 12}.0.0/16`, ipv6: `fd6d:636e:6574:${index}02::/64` },
});

const FAULTS: readonly FaultSpec[] = [
  { kind: 'wan-drop', from: 'west', to: 'east' },
  { kind: 'wan-drop', from: 'east', to: 'west', both: true },
  { kind: 'wan-loss', from: 'east', to: 'west', share: 0.05 },
  { kind: 'wan-loss', from: 'east', to: 'west', share: 0.05, workload: 'shop/web' },
  { kind: 'rate-limited', from: 'east', to: 'west', megabits: 10 },
  { kind: 'rate-limited', from: 'east', to: 'west', megabits: 10, workload: 'shop/web' },
  { kind: 'large-packets-dropped', from: 'east', to: 'west', above: 1_300 },
  { kind: 'delayed', from: 'east', to: 'west', milliseconds: 50 },
  { kind: 'delayed', from: 'east', to: 'west', milliseconds: 50, workload: 'shop/web' },
  { kind: 'reordered', from: 'east', to: 'west', share: 0.2 },
  { kind: 'duplicated', from: 'east', to: 'west', share: 0.1 },
  { kind: 'workload-cut', cluster: 'west', workload: 'shop/web' },
  { kind: 'source-rewritten', from: 'east', to: 'west' },
  { kind: 'wrong-answerer', at: 'east', cluster: 'west', workload: 'shop/web' },
  { kind: 'cluster-gone', cluster: 'west' },
  { kind: 'cluster-frozen', cluster: 'west' },
  { kind: 'policy-flushed', cluster: 'west' },
  { kind: 'policy-ignored', cluster: 'west' },
  { kind: 'policy-loosened', cluster: 'west', namespace: 'shop' },
  { kind: 'policy-added', cluster: 'east', namespace: 'shop' },
  { kind: 'dns-stopped', cluster: 'west' },
  { kind: 'dns-slow', cluster: 'west', milliseconds: 200 },
  { kind: 'dns-nxdomain', cluster: 'west' },
  { kind: 'dns-stale', cluster: 'west' },
  { kind: 'dns-ttl-long', cluster: 'west', seconds: 3_600 },
  { kind: 'dns-wrong-address', cluster: 'west', instead: 'east' },
  { kind: 'service-not-shared', cluster: 'west', namespace: 'shop', service: 'web' },
];

/** Service addresses follow health, each at its own time; tables are listed in the order of their creation. */
function withoutServices(shown: string): string {
  const kept = shown.replaceAll(/^table inet mcnet_services \{[\s\S]*?^\}$/gm, '');
  return kept.split('\n').toSorted().join('\n');
}

/** For `node -e`, with a DNS server and a name: writes the code of its answer (RFC 1035, section 4.1.1). */
const ASK_FROM_ONE_PORT = `
const [, server, name] = process.argv;
const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (answer) => { process.stdout.write(String(answer[3] & 15)); socket.close(); });
socket.bind(40_000, () => socket.send(
  Buffer.concat([Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), ...labels, Buffer.from([0, 0, 1, 0, 1])]), 53, server));
setTimeout(() => socket.close(), 3000).unref();
`;

// Other tests and runs may keep the machine busy.
t.setTimeout(240_000);
const skip = process.getuid?.() === 0 ? false : 'needs root: network namespaces';

t.test('faults of the lab', { skip }, async (t) => {
  const resources: Resource[] = [];
  const run = newRunId(randomBelow);
  const wireguard = createWireguard();
  const provider = createLabProvider({ agentCommand: agentCommand('agent'), connectProbe });
  const ledger = { add: async (resource: Resource) => void resources.push(resource) };
  const undo = async (from: number): Promise<void> => {
    for (const resource of resources.slice(from).toReversed()) await executeUndo(resource.undo);
  };
  takeBack(t, () => undo(0));
  const fleet = await provider.create({
    run,
    names: NAMES,
    topology: { kind: 'full-mesh', hub: 'east', members: NAMES.map((name) => ({ name })) },
    plan: {
      pool: '10.0.0.0/8',
      prefix: 12,
      ipv6Pool: 'fd6d:636e:6574::/48',
      clusters: { east: ranges(0), west: ranges(1) },
      wan: { ipv4: '198.18.0.0/16', ipv6: 'fd6d:636e:6574:ff00::/64' },
      tunnel: { ipv4: '198.19.0.0/16', ipv6: 'fd6d:636e:6574:ff01::/64' },
    },
    families: ['ipv4', 'ipv6'],
    requirements: { wan: true, hostPackages: [] },
    ledger,
    signal: new AbortController().signal,
  });
  await wireguard.join(fleet, ledger);
  await setUp(fleet);

  async function setUp({ clusters }: Fleet): Promise<void> {
    const [policies, shares] = provider.handlers;
    if (!policies || !shares) throw new Error('no handlers');
    await Promise.all(clusters.flatMap((cluster) => WORKLOADS.map((spec) => cluster.startWorkload(spec))));
    for (const service of [WEB, HEADLESS]) {
      await Promise.all(clusters.map((cluster) => cluster.exposeService(service)));
      await Promise.all(
        clusters.map((cluster) =>
          shares.apply(
            {
              kind: 'share-service',
              namespace: service.namespace,
              service: service.name,
              preference: 'spread',
            },
            cluster,
          ),
        ),
      );
    }
    await Promise.all(clusters.map((cluster) => policies.apply(POLICY, cluster)));
    await Promise.all(clusters.map(({ gateway }) => gateway.probe.facts()));
  }

  /** Interfaces, addresses, routes, rules, queues, settings and processes of the whole lab, without what counts. */
  async function state(): Promise<string> {
    const own = (await listFolder('/run/netns')).filter((name) => name.includes(run));
    const questions = [
      'ip link show | grep -v link/; ip -o addr show | sed "s/ *$//"',
      'ip route show table all; ip rule; ip -6 rule; tc qdisc',
      'nft -s list ruleset',
      'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/*/forwarding',
    ];
    const shown = await Promise.all(
      own
        .toSorted()
        .map(
          async (name) =>
            `${name}\n${withoutServices(
              await runCommand(['nsenter', `--net=/run/netns/${name}`, 'sh', '-c', questions.join('; ')]),
            )}`,
        ),
    );
    const pids = (await markedProcesses(run)).toSorted((a, b) => a - b);
    const processes = await runCommand(['ps', '-o', 'pid=,stat=,args=', '-p', pids.join(',')]);
    const files = await Promise.all(NAMES.map((name) => filesIn(`${runtimeFolder(run)}/${name}`)));
    return [
      ...shown,
      processes
        .replaceAll(
          /^( *\d+ )([A-Z])\S*/gm,
          (_, pid: string, letter: string) => `${pid}${letter === 'T' ? 'stopped' : 'running'}`,
        )
        // A controller starts it anew when what is shared changes.
        .replaceAll(/^ *\d+ (\w+ +dnsmasq)/gm, '$1')
        .split('\n')
        .toSorted()
        .join('\n'),
      ...files.flat().toSorted(),
    ].join('\n');
  }

  /** Controllers follow what they see, so the state is awaited. */
  async function becomes(expected: string): Promise<string> {
    let seen = await state();
    for (let tries = 0; tries < 10 && seen !== expected; tries++) seen = await state();
    return seen;
  }

  /** The kernel tells of a link that is up again within a second, and one ping may get lost. */
  async function endsToHold(disturbance: Disturbance): Promise<boolean> {
    for (let tries = 0; tries < 10; tries++) {
      if (!(await disturbance.tookHold())) return true;
      await sleep(200);
    }
    return false;
  }

  const inject = (fault: FaultSpec) => {
    const injector = provider.injectors.find(({ kinds }) => kinds.includes(fault.kind));
    if (!injector) throw new Error(`no injector for ${fault.kind}`);
    return injector.inject(fault, fleet, ledger);
  };
  /** The code of the answer to a question from always the same port, which connection tracking remembers. */
  async function codeFromOnePort(): Promise<string> {
    const asked = fleet.clusters.find(({ name }) => name === 'west');
    const netns = (await listFolder('/run/netns')).find(
      (name) => name.includes(run) && /west.*web/.test(name),
    );
    return runCommand([
      'nsenter',
      `--net=/run/netns/${netns}`,
      process.execPath,
      '-e',
      ASK_FROM_ONE_PORT,
      asked?.dns.ipv4 ?? '',
      'web.shop.svc.cluster.local',
    ]);
  }

  await t.test('a question from the port of an earlier one meets the fault too', async (t) => {
    t.equal(await codeFromOnePort(), '0', 'NOERROR');
    const disturbance = await inject({ kind: 'dns-nxdomain', cluster: 'west' });
    t.equal(await codeFromOnePort(), '3', 'NXDOMAIN');
    await disturbance.mend();
    t.equal(await codeFromOnePort(), '0', 'NOERROR again');
  });

  const before = await state();
  for (const fault of FAULTS) {
    await t.test(JSON.stringify(fault), async (t) => {
      const noted = resources.length;
      const first = await inject(fault);
      t.ok(resources.length > noted, 'its mending is noted');
      t.equal(await first.tookHold(), true, 'it took hold');
      await first.mend();
      t.equal(await endsToHold(first), true, 'it does not hold any more');
      await first.mend();

      const again = resources.length;
      const second = await inject(fault);
      t.equal(await second.tookHold(), true, 'it took hold again');
      await undo(again);
      await undo(again);
      if (fault.kind !== 'policy-ignored') t.equal(await endsToHold(second), true, 'the ledger ended it');
      else await second.mend();
      t.equal(await becomes(before), before, 'the ledger restored everything');
    });
  }
});
