/** The lab as a whole, with real namespaces and traffic. The clusters are joined by plain routes over the wan. */
import { readdir } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { newRunId } from '../../../lib/model/ids.ts';
import type { Fleet, Provider, ProviderOptions, Resource, Workload } from '../../../lib/model/cluster.ts';
import type { FaultSpec } from '../../../lib/model/fault.ts';
import type { IpFamily } from '../../../lib/model/cidr.ts';
import type { PolicyIntent } from '../../../lib/model/intent.ts';
import type { Exchange } from '../../../lib/model/probe.ts';
import type { SetUpStep, Step } from '../../../lib/model/steps.ts';
import { PORTS, type ServiceSpec, type WorkloadSpec } from '../../../lib/model/workload.ts';
import { connectProbe } from '../../../lib/probe/client.ts';
import { agentCommand } from '../../../lib/probe/command.ts';
import { createLabProvider } from '../../../lib/provider/lab/index.ts';
import { clusterFolder, wanNetns } from '../../../lib/provider/lab/names.ts';
import { randomBelow } from '../../../lib/system/clock.ts';
import { runCommand } from '../../../lib/system/commands.ts';
import { runtimeFolder } from '../../../lib/system/files.ts';
import { markedProcesses } from '../../../lib/system/processes.ts';
import { executeUndo, stillExists } from '../../../lib/system/undo.ts';
import { takeBack } from '../../fixtures/takeBack.ts';

const FAMILIES: readonly IpFamily[] = ['ipv4', 'ipv6'];
const NAMES = ['east', 'west'] as const;
const ranges = (index: number) => ({
  pods: { ipv4: `10.${16 * index}.0.0/13`, ipv6: `fd6d:636e:6574:${index}00::/64` },
  services: { ipv4: `10.${16 * index + 8}.0.0/14`, ipv6: `fd6d:636e:6574:${index}01::/112` },
  nodes: { ipv4: `10.${16 * index + 12}.0.0/16`, ipv6: `fd6d:636e:6574:${index}02::/64` },
});

interface Lab {
  readonly provider: Provider;
  readonly options: ProviderOptions;
  readonly fleet: Fleet;
  readonly resources: Resource[];
}

function newLab(signal: AbortSignal, noted: (count: number) => void = () => undefined): Omit<Lab, 'fleet'> {
  const resources: Resource[] = [];
  const options: ProviderOptions = {
    run: newRunId(randomBelow),
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
    families: FAMILIES,
    requirements: { wan: true, hostPackages: [] },
    ledger: { add: async (resource) => noted(resources.push(resource)) },
    signal,
  };
  return {
    provider: createLabProvider({ agentCommand: agentCommand('agent'), connectProbe }),
    options,
    resources,
  };
}

async function createLab(t: Test): Promise<Lab> {
  const lab = newLab(new AbortController().signal);
  takeBack(t, () => undoAll(lab));
  return { ...lab, fleet: await lab.provider.create(lab.options) };
}

async function undoAll({ resources }: Pick<Lab, 'resources'>): Promise<Resource[]> {
  for (const resource of resources.toReversed()) await executeUndo(resource.undo);
  const left = await Promise.all(resources.map(({ undo }) => stillExists(undo)));
  return resources.filter((_, index) => left[index]);
}

async function nothingIsLeft(t: Test, lab: Pick<Lab, 'resources' | 'options'>): Promise<void> {
  const { run } = lab.options;
  t.same(await undoAll(lab), []);
  t.same(await markedProcesses(run), []);
  t.notMatch((await readdir('/run/netns')).join(' '), run);
  await t.rejects(readdir(runtimeFolder(run)), { code: 'ENOENT' });
  t.same(await undoAll(lab), [], 'a second time is no error');
}

async function joinByPlainRoutes({ clusters }: Fleet): Promise<void> {
  for (const from of clusters) {
    for (const to of clusters.filter((other) => other !== from)) {
      for (const family of FAMILIES) {
        const via = to.gateway.wanAddresses[family] as string;
        const source = from.gateway.nodeAddresses[family] as string;
        for (const kind of ['pods', 'nodes'] as const) {
          await from.gateway.exec([
            'ip',
            'route',
            'add',
            to.ranges[kind][family] as string,
            'via',
            via,
            'src',
            source,
          ]);
        }
      }
    }
  }
}

const SPECS: readonly WorkloadSpec[] = [
  { namespace: 'shop', name: 'web', labels: { app: 'web' } },
  { namespace: 'shop', name: 'db', labels: { app: 'db' } },
  { namespace: 'blog', name: 'web', labels: { app: 'web' } },
];
const ECHO: ServiceSpec = {
  namespace: 'shop',
  name: 'web',
  selector: { app: 'web' },
  ports: [{ name: 'http', port: PORTS.http, protocol: 'tcp' }],
  healthPort: PORTS.http,
};

function clusterOf(fleet: Fleet, name: (typeof NAMES)[number]) {
  const cluster = fleet.clusters.find((one) => one.name === name);
  if (!cluster) throw new Error(`no cluster ${name}`);
  return cluster;
}
function at(fleet: Fleet, cluster: (typeof NAMES)[number], key: string): Workload {
  const found = clusterOf(fleet, cluster).workloads.find(
    ({ spec }) => `${spec.namespace}/${spec.name}` === key,
  );
  if (!found) throw new Error(`no workload ${cluster}/${key}`);
  return found;
}

async function call(
  from: Workload,
  address: string | undefined,
  options: { protocol?: 'tcp' | 'udp' | 'http'; port?: number } = {},
): Promise<Exchange> {
  const { protocol = 'tcp', port = protocol === 'http' ? PORTS.http : PORTS.echo } = options;
  const [exchange] = await from.probe.exchange([
    { protocol, port, address: address as string, timeoutMs: 700 },
  ]);
  return exchange as Exchange;
}

async function eventually(attempt: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (await attempt()) return true;
  }
  return false;
}

/** But those of Docker, which other tests may come with and go. */
async function linksOfHost(): Promise<string[]> {
  const shown = await runCommand(['ip', '-o', 'link']);
  return shown.split('\n').filter((line) => !/^\d+: (?:docker0|br-|veth)/.test(line));
}

// Other tests and runs may keep the machine busy.
t.setTimeout(120_000);
const skip = process.getuid?.() === 0 ? false : 'needs root: network namespaces';

t.test('two clusters from creation to removal', { skip }, async (t) => {
  const linksBefore = await linksOfHost();
  const lab = await createLab(t);
  const { fleet, provider, options } = lab;
  await Promise.all(fleet.clusters.flatMap((cluster) => SPECS.map((spec) => cluster.startWorkload(spec))));
  await joinByPlainRoutes(fleet);
  const [east, west] = [clusterOf(fleet, 'east'), clusterOf(fleet, 'west')];
  const web = at(fleet, 'east', 'shop/web');
  const db = at(fleet, 'east', 'shop/db');
  const remote = at(fleet, 'west', 'shop/web');

  await t.test('the host sees nothing of it', async (t) => {
    t.same(await linksOfHost(), linksBefore);
  });

  await t.test('the ends of an uplink differ in their index, so that the wan forwards at once', async (t) => {
    const shown = await runCommand([
      'ip',
      '-n',
      wanNetns(options.run),
      '-json',
      'link',
      'show',
      'type',
      'veth',
    ]);
    const ports = JSON.parse(shown) as { ifindex: number; link_index: number }[];
    t.equal(ports.length, NAMES.length);
    for (const { ifindex, link_index: otherEnd } of ports) t.not(ifindex, otherEnd);
  });

  await t.test('workloads reach each other in and between clusters, in both families', async (t) => {
    for (const family of FAMILIES) {
      for (const target of [db, remote]) {
        const exchange = await call(web, target.addresses[family]);
        t.match(exchange, {
          outcome: 'answered',
          answeredBy: { cluster: target.cluster, workload: target.spec.name },
          seenSource: { address: web.addresses[family] },
        });
      }
    }
  });

  await t.test('a flow inside a cluster passes its gateway', async (t) => {
    const trace = await web.probe.trace({ address: db.addresses.ipv4 as string });
    t.equal(trace.hops[0]?.address, '10.0.0.1');
    t.equal(trace.reached, true);
  });

  await t.test('a gateway has an agent of its own, started on first use', async (t) => {
    t.match(await east.gateway.probe.facts(), { identity: { cluster: 'east' } });
  });

  await t.test('a second workload of a name is refused', async (t) => {
    await t.rejects(east.startWorkload(SPECS[0] as WorkloadSpec), { name: 'UserError' });
    t.equal(east.workloads.length, SPECS.length);
  });

  await t.test('attaching finds what is there', async (t) => {
    const resources = lab.resources.length;
    const steps: SetUpStep[] = [];
    const step: Step = (one, action) => {
      steps.push(one);
      return action(() => {});
    };
    const attached = await provider.attach(options.run, { ...options, step });
    t.strictSame(
      steps,
      NAMES.map((cluster) => ({ what: 'workloads found', cluster })),
    );
    const found = at(attached, 'east', 'shop/web');
    t.same(found.addresses, web.addresses);
    t.equal((await found.probe.facts()).pid, (await web.probe.facts()).pid, 'the same agent');
    t.equal(lab.resources.length, resources, 'nothing was made');
    await t.rejects(provider.attach('zzzzzz', options), { name: 'UserError' });
  });

  await t.test('a capture sees the marker of a flow and counts it', async (t) => {
    const marker = 'capture-me-';
    const capture = await west.gateway.startCapture({
      interface: west.gateway.wanInterface,
      filter: `tcp port ${PORTS.echo}`,
      marker,
    });
    const [exchange] = await web.probe.exchange([
      {
        protocol: 'tcp',
        address: remote.addresses.ipv4 as string,
        port: PORTS.echo,
        nonce: marker.repeat(4),
      },
    ]);
    const summary = await capture.stop();
    t.equal(exchange?.outcome, 'answered');
    t.ok(summary.markerPackets >= 2, 'there and back');
    t.equal(summary.droppedByKernel, 0);
    t.match(summary.flows.map(({ flow }) => flow).toSorted(), [
      new RegExp(`^tcp ${web.addresses.ipv4}:\\d+ > ${remote.addresses.ipv4}:${PORTS.echo}$`),
      new RegExp(`^tcp ${remote.addresses.ipv4}:${PORTS.echo} > ${web.addresses.ipv4}:\\d+$`),
    ]);
    t.same(await capture.stop(), summary);
  });

  await t.test('captures of the same packets share a tcpdump, and each sees its own time only', async (t) => {
    const start = (marker: string) =>
      west.gateway.startCapture({
        interface: west.gateway.wanInterface,
        filter: `udp port ${PORTS.echo}`,
        marker,
      });
    const send = (nonce: string) =>
      web.probe.exchange([
        { protocol: 'udp', address: remote.addresses.ipv4 as string, port: PORTS.echo, nonce },
      ]);
    const programs = async (): Promise<number> =>
      (await readdir(clusterFolder(fleet.run, 'west'))).filter((name) => name.endsWith('.pcap')).length;
    const early = await start('first-marker');
    await send('first-marker');
    const late = await start('first-marker');
    t.equal(await programs(), 1);
    await send('second-marker');
    const seenLate = await late.stop();
    t.match(seenLate, { packets: 2, markerPackets: 0 });
    t.equal(await programs(), 1, 'the other one goes on');
    t.match(await early.stop(), { packets: 4, markerPackets: 2 });
    t.equal(await programs(), 0);
    await t.rejects(west.gateway.startCapture({ interface: 'wan0', filter: 'no such filter', marker: '' }));
  });

  await t.test('policies govern the flows they mean and no others', async (t) => {
    const handler = provider.handlers.find((one) => one.policySemantics);
    if (!handler) throw new Error('no handler of policies');
    const policy = (name: string, allow: PolicyIntent['allow']): PolicyIntent => ({
      kind: 'policy',
      name,
      namespace: 'shop',
      target: { app: 'db' },
      direction: 'ingress',
      allow,
    });
    const outcome = async (from: Workload, port: number = PORTS.echo): Promise<string> =>
      (await call(from, db.addresses.ipv4, { port })).outcome;
    const deny = await handler.apply(policy('deny', []), east);
    t.equal(await deny.settled(), true);
    t.equal(await outcome(web), 'timed-out');
    t.equal((await call(db, web.addresses.ipv4)).outcome, 'answered', 'egress is not governed');
    t.equal((await call(web, remote.addresses.ipv4)).outcome, 'answered', 'nor are other workloads');

    const allow = await handler.apply(
      policy('allow', [
        { peers: [{ namespace: 'shop', cluster: 'west' }], ports: [{ port: PORTS.echo, protocol: 'tcp' }] },
      ]),
      east,
    );
    t.same(
      [await outcome(web), await outcome(remote), await outcome(remote, PORTS.echoAlternate)],
      ['timed-out', 'answered', 'timed-out'],
    );

    await t.test('a workload that starts later is meant too', async (t) => {
      const late = await west.startWorkload({ namespace: 'shop', name: 'late', labels: {} });
      t.equal(await outcome(late), 'answered');
    });

    await t.test('a table flushed by hand stays so when another one changes', async (t) => {
      await east.gateway.exec(['nft', 'flush', 'table', 'inet', 'mcnet_policy_shop_ingress']);
      const other = await handler.apply({ ...policy('other', []), namespace: 'blog', target: {} }, east);
      t.equal(await allow.settled(), false);
      t.equal(await outcome(web), 'answered');
      await other.undo();
    });

    await allow.undo();
    t.equal(await outcome(remote), 'timed-out', 'the default deny stands again');
    await deny.undo();
    t.equal(await outcome(web), 'answered');
    t.notMatch(await east.gateway.exec(['nft', 'list', 'tables']), 'mcnet_policy');
  });

  await t.test('a service answers by its name and addresses, and follows what is shared', async (t) => {
    const handler = provider.handlers.find((one) => one.name === 'lab-share');
    if (!handler?.addressFrom) throw new Error('no handler of shared services');
    await Promise.all([east, west].map((cluster) => cluster.exposeService(ECHO)));
    const { name, addresses } = east.serviceAddress(ECHO);
    const [resolution] = await db.probe.resolve([{ server: east.dns.ipv4 as string, name, type: 'A' }]);
    t.same(resolution?.addresses, [addresses.ipv4]);
    t.equal(
      await eventually(
        async () => (await call(db, addresses.ipv4, { protocol: 'http' })).outcome === 'answered',
      ),
      true,
    );
    const intent = {
      kind: 'share-service',
      namespace: 'shop',
      service: 'web',
      preference: 'spread',
    } as const;
    await Promise.all([east, west].map((cluster) => handler.apply(intent, cluster)));
    const shared = handler.addressFrom(east, ECHO);
    const seen = new Set<string | undefined>();
    const both = await eventually(async () => {
      seen.add((await call(db, shared.addresses.ipv4, { protocol: 'http' })).answeredBy?.cluster);
      return seen.has('east') && seen.has('west');
    });
    t.equal(both, true, `answers came from ${[...seen].join(', ')}`);
  });

  await t.test('faults take hold and are mended', async (t) => {
    const inject = async (t: Test, fault: FaultSpec, broken: () => Promise<boolean>): Promise<void> => {
      const injector = provider.injectors.find(({ kinds }) => kinds.includes(fault.kind));
      const noted = lab.resources.length;
      const disturbance = await injector?.inject(fault, fleet, options.ledger);
      t.equal(await disturbance?.tookHold(), true, `${fault.kind} holds`);
      t.ok(lab.resources.length > noted, 'its mending is noted');
      t.equal(await broken(), true, `${fault.kind} is seen`);
      await disturbance?.mend();
      await disturbance?.mend();
      t.equal(await eventually(async () => !(await broken())), true, `${fault.kind} is mended`);
    };
    const isCut = async (): Promise<boolean> =>
      (await call(web, remote.addresses.ipv4)).outcome !== 'answered';
    await inject(t, { kind: 'wan-drop', from: 'west', to: 'east' }, isCut);
    await inject(t, { kind: 'cluster-gone', cluster: 'west' }, isCut);
    await inject(t, { kind: 'dns-stopped', cluster: 'east' }, async () => {
      const [answer] = await db.probe.resolve([
        {
          server: east.dns.ipv6 as string,
          name: east.serviceAddress(ECHO).name,
          type: 'AAAA',
          timeoutMs: 500,
        },
      ]);
      return answer?.outcome === 'timed-out';
    });
    const deny: PolicyIntent = {
      kind: 'policy',
      name: 'deny',
      namespace: 'shop',
      target: {},
      direction: 'egress',
      allow: [],
    };
    await provider.handlers.find(({ policySemantics }) => policySemantics)?.apply(deny, east);
    await inject(t, { kind: 'policy-flushed', cluster: 'east' }, async () => !(await isCut()));
  });

  await t.test('daemons start, stop and say why they ended', async (t) => {
    await east.gateway.startDaemon('waiter', ['sleep', '600']);
    await t.rejects(east.gateway.startDaemon('waiter', ['sleep', '600']), { name: 'InternalError' });
    await east.gateway.stopDaemon('waiter');
    await east.gateway.stopDaemon('waiter');
    const file = await east.gateway.writeFile('key', 'secret');
    t.equal(await east.gateway.exec(['stat', '-c', '%a', file]), '600\n');
    await t.rejects(east.gateway.exec(['ip', 'link', 'show', 'nothing']), { message: /does not exist/ });
  });

  await t.test('a diagnosis holds what a person looks at', async (t) => {
    const files = await east.diagnose();
    t.match(files['addresses.txt'], /10\.12\.0\.1\/32/);
    t.match(files['nftables.txt'], /table inet mcnet_services/);
    t.match(files['workload-shop-web.txt'], /default via 10\.0\.0\.1/);
  });

  await t.test('when it ends nothing is left', async (t) => {
    await nothingIsLeft(t, lab);
    t.same(await linksOfHost(), linksBefore);
  });
});

t.test('a set-up that is interrupted anywhere can be taken back', { skip }, async (t) => {
  const everything = 2 + 1 + NAMES.length + 1 + NAMES.length * SPECS.length;
  for (const stopAfter of [1, 3, 5, 6, 9, everything]) {
    const interruption = new AbortController();
    const lab = newLab(interruption.signal, (count) => {
      if (count === stopAfter) interruption.abort();
    });
    takeBack(t, () => undoAll(lab));
    const setUp = async (): Promise<void> => {
      const { clusters } = await lab.provider.create(lab.options);
      const started = clusters.flatMap((cluster) => SPECS.map((spec) => cluster.startWorkload(spec)));
      await Promise.allSettled(started);
      await Promise.all(started);
    };
    await t.rejects(setUp(), { name: 'AbortError' });
    await t.test(`after ${stopAfter} resources`, (t) => nothingIsLeft(t, lab));
  }
});
