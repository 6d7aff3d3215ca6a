import { stat } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import type { Gateway } from '../../../lib/model/cluster.ts';
import type { SetUpStep } from '../../../lib/model/steps.ts';
import { createWireguard } from '../../../lib/underlay/wireguard/index.ts';
import { createBench } from '../fixtures/bench.ts';
import { topologyOf } from '../fixtures/topologies.ts';

const needsRoot = process.getuid?.() === 0 ? false : 'needs root for network namespaces';
const wireguard = createWireguard();

t.test('full mesh in both families', { skip: needsRoot }, async (t) => {
  const bench = await createBench(t, topologyOf('full-mesh', ['east', 'west', 'north']), ['ipv4', 'ipv6']);
  const steps: SetUpStep[] = [];
  await wireguard.join(bench.fleet, bench.ledger, (step, action) => {
    steps.push(step);
    return action(() => {});
  });
  const inEach = (what: string) => ['east', 'west', 'north'].map((cluster) => ({ what, cluster }));
  t.strictSame(steps, [
    ...inEach('tunnel interface'),
    { what: 'handshakes' },
    ...inEach('routes into the tunnel'),
  ]);
  for (const family of ['ipv4', 'ipv6'] as const) {
    t.ok(await bench.reaches('east', 'west', family), `east reaches west by ${family}`);
    t.ok(await bench.reaches('west', 'north', family), `west reaches north by ${family}`);
  }
  const ages = await wireguard.wire?.handshakes(bench.gateway('east'), bench.fleet);
  t.strictSame(Object.keys(ages ?? {}).toSorted(), ['north', 'west']);
  t.match(await wireguard.observedVersions(bench.fleet), { wireguard: /^(?:kernel|wireguard-go) \d/ });

  await t.test('large packets are refused out loud at the tunnel, on the way in', async (t) => {
    const ping = ['ping', '-n', '-c', '1', '-W', '1', '-M', 'do'] as const;
    await t.resolves(bench.atWorkload('east', ...ping, '-s', '1392', bench.workload('west')));
    await t.rejects(bench.atWorkload('east', ...ping, '-s', '1393', bench.workload('west')), /mtu = 1420/);
  });

  await t.test('the wan carries nothing but the tunnel', async (t) => {
    const seen = await bench.watchWan('udp port 51820 or host 10.16.0.2', () =>
      bench.atWorkload('east', 'ping', '-q', '-c', '3', '-i', '0.2', '-s', '1000', bench.workload('west')),
    );
    t.match(seen, /198\.18\.0\.1\.51820 > 198\.18\.0\.2\.51820: UDP, length 10\d\d/);
    t.notMatch(seen, /10\.16\.0\.2/);
  });

  await t.test('diagnosis names peers and shows no private key', async (t) => {
    const files = await wireguard.diagnose(bench.gateway('east'));
    t.match(files['wireguard.txt'], /peer: \S+=[^]*allowed ips: [^]*10\.16\.0\.0\/13/);
    t.notMatch(files['wireguard.txt'], /private key/);
    t.match(files['routes.txt'], /10\.16\.0\.0\/13 dev wg/);
    t.match(files['rules.txt'], /mcnet_mss/);
  });
});

t.test(
  'keys: in a file of mode 0600, never in the ledger; routes come last',
  { skip: needsRoot },
  async (t) => {
    const bench = await createBench(t, topologyOf('full-mesh', ['east', 'west']), ['ipv4']);
    const files: { file: string; content: string }[] = [];
    const commands: string[] = [];
    const watched = bench.fleet.clusters.map((cluster) => ({
      ...cluster,
      gateway: {
        ...cluster.gateway,
        async writeFile(name: string, content: string, mode?: number) {
          const file = await cluster.gateway.writeFile(name, content, mode);
          files.push({ file, content });
          return file;
        },
        exec(command: Parameters<Gateway['exec']>[0], options?: { input?: string }) {
          commands.push([...command, options?.input ?? ''].join(' '));
          return cluster.gateway.exec(command, options);
        },
      },
    }));
    await wireguard.join({ ...bench.fleet, clusters: watched }, bench.ledger);
    t.equal(files.length, 2);
    const openings = commands.flatMap((command, index) =>
      /route replace [^u]\S+ dev /.test(command) ? [index] : [],
    );
    const calls = commands.flatMap((command, index) =>
      command.includes('persistent-keepalive') ? [index] : [],
    );
    t.same([openings.length, calls.length], [2, 1]);
    t.ok(Math.max(...calls) < Math.min(...openings), 'nothing leads into a tunnel before its ends have met');
    const elsewhere = [...commands, JSON.stringify(bench.ledger.resources)].join('\n');
    for (const { file, content } of files) {
      t.equal((await stat(file)).mode & 0o777, 0o600, path.basename(file));
      const key = /PrivateKey = (\S{43}=)/.exec(content)?.[1] ?? t.fail('no private key');
      t.notOk(elsewhere.includes(String(key)));
    }
  },
);

t.test(
  'hub and spoke: through the hub, which is seen as a hop by its tunnel address',
  { skip: needsRoot },
  async (t) => {
    const bench = await createBench(t, topologyOf('hub-and-spoke', ['hub', 'east', 'west']), [
      'ipv4',
      'ipv6',
    ]);
    await wireguard.join(bench.fleet, bench.ledger);
    for (const family of ['ipv4', 'ipv6'] as const) {
      t.ok(await bench.reaches('east', 'west', family), `east reaches west by ${family}`);
      t.ok(await bench.reaches('hub', 'east', family), `the hub reaches east by ${family}`);
    }
    const hops = [
      ['ipv4', '198.19.0.1', '198.19.0.3'],
      ['ipv6', 'fd6d:636e:6574:ff01::1', 'fd6d:636e:6574:ff01::3'],
    ] as const;
    for (const [family, hub, west] of hops) {
      for (const [ttl, hop] of [
        ['2', hub],
        ['3', west],
      ] as const) {
        const ping = ['ping', '-n', '-c', '1', '-W', '1', '-t', ttl] as const;
        const seen = await bench
          .atWorkload('east', ...ping, bench.workload('west', family))
          .catch((error: { output: string }) => error.output);
        t.match(
          seen,
          new RegExp(`From ${hop} .*(?:Time to live exceeded|Hop limit)`),
          `${family}, hop ${ttl}`,
        );
      }
    }
  },
);

t.test(
  'segments: closed at the edge, and at the hub for a route somebody adds',
  { skip: needsRoot },
  async (t) => {
    const topology = topologyOf('hub-and-spoke', ['hub', 'east', 'west', 'north'], {
      hub: ['shared', 'prod'],
      east: ['prod'],
      west: ['staging', 'shared'],
      north: ['prod'],
    });
    const bench = await createBench(t, topology, ['ipv4']);
    await wireguard.join(bench.fleet, bench.ledger);
    t.ok(await bench.reaches('east', 'north'), 'prod reaches prod through the hub');
    t.ok(await bench.reaches('hub', 'west'));
    t.notOk(await bench.reaches('east', 'west'), 'prod does not reach staging');

    const [tunnelEast, tunnelWest] = [1, 2].map((index) => `wg${bench.fleet.run}${index}`) as [
      string,
      string,
    ];
    const open = async (cluster: string, tunnel: string, range: string): Promise<void> => {
      const gateway = bench.gateway(cluster);
      await gateway.exec(['ip', 'route', 'add', range, 'dev', tunnel]);
      const peers = await gateway.exec(['wg', 'show', tunnel, 'allowed-ips']);
      const [key, allowed] = peers.trim().split('\t') as [string, string];
      const blocks = [...allowed.split(' '), range].join(',');
      await gateway.exec(['wg', 'set', tunnel, 'peer', key, 'allowed-ips', blocks]);
    };
    await open('east', tunnelEast, '10.32.0.0/13');
    await open('west', tunnelWest, '10.16.0.0/13');
    t.notOk(await bench.reaches('east', 'west'), 'the hub drops it');
    await bench.gateway('hub').exec(['nft', 'delete', 'table', 'inet', 'mcnet_segments']);
    t.ok(await bench.reaches('east', 'west'), 'and nothing else did');
  },
);

t.test('a link without a handshake is an error that names both ends', { skip: needsRoot }, async (t) => {
  const bench = await createBench(t, topologyOf('full-mesh', ['east', 'west', 'north']), ['ipv4']);
  await bench.gateway('west').exec(['nft', '-f', '-'], {
    input:
      'table ip test { chain input { type filter hook input priority 0; ip saddr 198.18.0.3 udp dport 51820 drop; }; }',
  });
  await t.rejects(createWireguard({ handshakeBudgetMs: 1_000 }).join(bench.fleet, bench.ledger), {
    name: 'UserError',
    message: 'WireGuard had no handshake within 1 s between west and north',
  });
});
