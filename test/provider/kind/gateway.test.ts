/** Gateway containers between networks without any cluster: joined, listened to, broken and mended as those of a run. */
import t from 'tap';
import packageJson from '../../../package.json' with { type: 'json' };
import { planAddresses } from '../../../lib/config/addressing.ts';
import type { Cluster, Fleet, ProviderOptions, Resource } from '../../../lib/model/cluster.ts';
import { newRunId } from '../../../lib/model/ids.ts';
import type { Topology } from '../../../lib/model/topology.ts';
import { connectProbe } from '../../../lib/probe/client.ts';
import {
  createGateway,
  createNetworks,
  labelsOf,
  noteContainers,
} from '../../../lib/provider/kind/create.ts';
import { inspectEngine, inspectImage } from '../../../lib/provider/kind/docker.ts';
import { kindInjectors } from '../../../lib/provider/kind/faults/index.ts';
import { KindGateway } from '../../../lib/provider/kind/gateway.ts';
import { gatewayName } from '../../../lib/provider/kind/names.ts';
import { renderGatewayRoutes } from '../../../lib/provider/kind/routes.ts';
import { rangesInUse } from '../../../lib/provider/ranges.ts';
import { undoAll } from '../../../lib/run/undoAll.ts';
import { randomBelow } from '../../../lib/system/clock.ts';
import { createWireguard } from '../../../lib/underlay/wireguard/index.ts';

/** The engine is shared and may be busy with whole clusters. */
t.setTimeout(300_000);

const IMAGE = `mcnet-conformance/gateway:${packageJson.version}`;
const NAMES = ['east', 'west'] as const;

async function whyNot(): Promise<string | false> {
  try {
    await inspectEngine();
    return (await inspectImage(IMAGE)) ? false : `${IMAGE} is not built: npm run offline -- images`;
  } catch {
    return 'no Docker engine answers';
  }
}

void t.test('gateways in containers', { skip: await whyNot() }, async (t) => {
  const run = newRunId(randomBelow);
  const topology: Topology = { kind: 'full-mesh', members: NAMES.map((name) => ({ name })), hub: 'east' };
  const plan = planAddresses({
    clusters: NAMES.map((name) => ({ name })),
    families: ['ipv4'],
    pool: '10.0.0.0/8',
    prefix: 12,
    ipv6Pool: 'fd6d:636e:6574::/48',
  });
  const resources: Resource[] = [];
  const ledger = { add: async (resource: Resource) => void resources.push(resource) };
  t.teardown(async () => {
    const undone = await undoAll(resources);
    const failed = undone.filter(({ outcome }) => outcome === 'failed');
    if (failed.length > 0) throw new Error(JSON.stringify(failed));
  });
  const options: ProviderOptions = {
    run,
    names: NAMES,
    topology,
    plan,
    families: ['ipv4'],
    requirements: { wan: true, hostPackages: [] },
    ledger,
    signal: new AbortController().signal,
  };
  const labels = labelsOf(run, '2030-01-01T00:00:00Z');
  const blocks = await createNetworks(options, labels);
  await noteContainers(options);
  const gateways = await Promise.all(
    NAMES.map(async (name) => {
      const facts = await createGateway(options, name, { image: IMAGE, blocks, labels });
      const gateway = new KindGateway(
        { run, cluster: name, container: gatewayName(run, name), ...facts },
        connectProbe,
      );
      await gateway.exec(['sh', '-e', '-s'], { input: renderGatewayRoutes([], ['ipv4']) });
      return gateway;
    }),
  );
  const [east, west] = gateways as [KindGateway, KindGateway];
  // Only what a join and the faults of the wan ask of a cluster.
  const clusters = gateways.map(
    (gateway) =>
      ({
        kind: 'kubernetes',
        name: gateway.cluster,
        ranges: rangesInUse(plan, ['ipv4'], gateway.cluster),
        gateway,
        workloads: [],
      }) as unknown as Cluster,
  );
  const fleet: Fleet = { run, clusters, topology, plan, families: ['ipv4'] };

  await t.test('each is on exactly its own network and the wan, and leads nowhere else', async (t) => {
    const links = JSON.parse(await east.exec(['ip', '-json', 'address', 'show'])) as { ifname: string }[];
    t.strictSame(
      links
        .map(({ ifname }) => ifname)
        .filter((name) => name.startsWith('eth'))
        .toSorted(),
      [east.clusterInterface, east.wanInterface].toSorted(),
    );
    t.equal((await east.exec(['ip', 'route', 'show', 'default'])).trim(), '');
    await t.rejects(east.exec(['false']), /ended with 1/, 'a program that fails says so');
    await t.rejects(east.exec(['sleep', '30'], { timeoutMs: 300 }), { name: 'CommandError' });
    t.equal(await east.exec(['cat'], { input: 'in and out' }), 'in and out');
    const file = await east.writeFile('secret.conf', 'text');
    t.equal((await east.exec(['stat', '--format', '%a', file])).trim(), '600');
  });

  await t.test('the same WireGuard configuration as the lab joins them', async (t) => {
    const wireguard = createWireguard();
    await wireguard.join(fleet, ledger);
    const handshakes = await wireguard.wire?.handshakes(east, fleet);
    t.ok(handshakes?.['west'] !== undefined);
    t.match(await wireguard.observedVersions(fleet), { wireguard: /\d/ });
    const { received } = await east.probe.ping({ address: west.nodeAddresses.ipv4 ?? '', count: 3 });
    t.ok(received > 0, 'through the tunnel');
  });

  await t.test('a capture on the wan sees the tunnel, and no clear text', async (t) => {
    const marker = 'mcnet-marker-0123456789';
    const [wan, tunnel] = await Promise.all([
      east.startCapture({ interface: east.wanInterface, filter: 'udp port 51820', marker }),
      east
        .startCapture({ interface: 'any', filter: `host ${west.nodeAddresses.ipv4}`, marker })
        .catch(() => undefined),
    ]);
    const pattern = Buffer.from(marker).toString('hex').slice(0, 32);
    await east.exec([
      'ping',
      '-c',
      '5',
      '-i',
      '0.2',
      '-s',
      '256',
      '-p',
      pattern,
      west.nodeAddresses.ipv4 ?? '',
    ]);
    const seen = await wan.stop();
    await tunnel?.stop().catch(() => undefined);
    t.ok(seen.packets >= 10, `${seen.packets} packets of the tunnel`);
    t.equal(seen.markerPackets, 0);
    t.equal((await wan.stop()).packets, seen.packets, 'stopped twice it says the same');
  });

  await t.test('faults of the wan take hold, and mending takes them back', async (t) => {
    const address = west.wanAddresses.ipv4 ?? '';
    const answers = async (): Promise<boolean> =>
      (await east.probe.ping({ address, count: 2, timeoutMs: 500 })).received > 0;
    for (const fault of [
      { kind: 'wan-drop', from: 'east', to: 'west' },
      { kind: 'wan-drop', from: 'east', to: 'west', both: true },
      { kind: 'wan-loss', from: 'east', to: 'west', share: 0.5 },
      { kind: 'large-packets-dropped', from: 'east', to: 'west', above: 1_000 },
      { kind: 'rate-limited', from: 'east', to: 'west', megabits: 1 },
      { kind: 'cluster-gone', cluster: 'west' },
    ] as const) {
      const injector = kindInjectors.find(({ kinds }) => kinds.includes(fault.kind));
      const disturbance = await injector?.inject(fault, fleet, ledger);
      t.equal(await disturbance?.tookHold(), true, `${JSON.stringify(fault)} took hold`);
      await disturbance?.mend();
      t.equal(await answers(), true, 'mended');
      await t.resolves(disturbance?.mend() ?? Promise.reject(new Error('no injector')), 'mended twice');
    }
    t.equal((await west.exec(['nft', 'list', 'tables'])).includes('mcnet_fault'), false);
  });

  await t.test('daemons', async (t) => {
    await east.startDaemon('sleeper', ['sleep', '100'], { SOME: 'thing' });
    const pid = await east.daemonPid('sleeper');
    t.type(pid, 'number');
    await t.rejects(east.startDaemon('sleeper', ['sleep', '100']), { name: 'InternalError' });
    await east.stopDaemon('sleeper');
    t.equal(await east.daemonPid('sleeper'), undefined);
    await t.resolves(east.stopDaemon('sleeper'), 'what does not run is stopped');
    await t.rejects(
      east.startDaemon('broken', ['sh', '-c', 'echo words of its own; exit 3']),
      /words of its own/,
    );
  });
});
