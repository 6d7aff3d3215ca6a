import t from 'tap';
import { overlaps, parseCidr } from '../../../lib/model/cidr.ts';
import {
  type Configuration,
  INTERFACE_PATTERN,
  configurationsOf,
  interfaceName,
  renderInterface,
  renderPeers,
  renderRoutes,
} from '../../../lib/underlay/wireguard/configuration.ts';
import { generateKeyPair } from '../../../lib/underlay/wireguard/keys.ts';
import { networkOf } from '../fixtures/network.ts';
import { numbered, topologyOf } from '../fixtures/topologies.ts';

const clamped = { clampMss: true };
const BOTH = ['ipv4', 'ipv6'] as const;

function configurationAt(all: ReadonlyMap<string, Configuration>, cluster: string): Configuration {
  const found = all.get(cluster);
  if (!found) throw new Error(`no configuration for ${cluster}`);
  return found;
}

const clashes = ({ neighbours }: Configuration): string[] => {
  const owned = neighbours.flatMap(({ cluster, allowedIps }) =>
    allowedIps.map((block) => ({ cluster, block, cidr: parseCidr(block) })),
  );
  return owned.flatMap((a, index) =>
    owned
      .slice(index + 1)
      .filter((b) => overlaps(a.cidr, b.cidr))
      .map((b) => `${a.cluster} ${a.block} and ${b.cluster} ${b.block}`),
  );
};

t.test('full mesh: every other cluster is a neighbour with its own ranges and tunnel address', async (t) => {
  const all = configurationsOf(networkOf(topologyOf('full-mesh', ['east', 'west', 'north']), BOTH), clamped);
  const east = configurationAt(all, 'east');
  t.equal(east.interface, 'wgabc1230');
  t.equal(east.listenPort, 51820);
  t.equal(east.mtu, 1420);
  t.strictSame(east.addresses, ['198.19.0.1/32', 'fd6d:636e:6574:ff01::1/128']);
  t.strictSame(
    east.neighbours.map(({ cluster, endpoint }) => [cluster, endpoint]),
    [
      ['west', '198.18.0.2:51820'],
      ['north', '198.18.0.3:51820'],
    ],
  );
  t.strictSame(
    new Set(east.neighbours[0]?.allowedIps),
    new Set([
      ...['198.19.0.2/32', '10.16.0.0/13', '10.24.0.0/14', '10.28.0.0/16'],
      ...[
        'fd6d:636e:6574:ff01::2/128',
        'fd6d:636e:6574:100::/64',
        'fd6d:636e:6574:101::/112',
        'fd6d:636e:6574:102::/64',
      ],
    ]),
  );
  t.strictSame(new Set(east.routes), new Set(east.neighbours.flatMap(({ allowedIps }) => allowedIps)));
  t.notOk(east.transit);
});

t.test('IPv6 alone: endpoints are bracketed and nothing of IPv4 is left', async (t) => {
  const all = configurationsOf(networkOf(topologyOf('full-mesh', ['east', 'west']), ['ipv6']), clamped);
  const east = configurationAt(all, 'east');
  t.equal(east.neighbours[0]?.endpoint, '[fd6d:636e:6574:ff00::2]:51820');
  t.notMatch(renderInterface(east), /\d+\.\d+\.\d+\.\d+/);
});

t.test('hub and spoke: a spoke reaches all others through the hub', async (t) => {
  const all = configurationsOf(
    networkOf(topologyOf('hub-and-spoke', ['hub', 'east', 'west']), ['ipv4']),
    clamped,
  );
  const east = configurationAt(all, 'east');
  t.strictSame(
    east.neighbours.map(({ cluster }) => cluster),
    ['hub'],
  );
  const allowed = east.neighbours[0]?.allowedIps ?? [];
  for (const block of ['10.0.0.0/13', '10.32.0.0/13', '198.19.0.1/32', '198.19.0.3/32']) {
    t.ok(allowed.includes(block), `${block} is allowed from the hub`);
  }
  t.notOk(allowed.includes('10.16.0.0/13'), 'its own range is not');
  t.ok(configurationAt(all, 'hub').transit);
  t.notMatch(
    configurationAt(all, 'hub').rules,
    'mcnet_segments',
    'nothing is forbidden, so nothing is dropped',
  );
});

t.test(
  'forbidden pairs have neither allowed IPs nor routes at the edges, and are dropped at the hub',
  async (t) => {
    const topology = topologyOf('hub-and-spoke', ['hub', 'east', 'west', 'north'], {
      east: ['prod'],
      west: ['staging'],
      north: ['prod'],
    });
    const all = configurationsOf(networkOf(topology, BOTH), clamped);
    const east = configurationAt(all, 'east');
    const reached = east.routes.join(' ');
    t.match(reached, '10.48.0.0/13', 'east reaches north');
    t.notMatch(reached, '10.32.0.0/13', 'but not west');
    t.notMatch(reached, '198.19.0.3/32', 'nor its gateway');
    t.ok(east.closed.includes('10.32.0.0/13'), 'no other way to west is open either');
    const { rules } = configurationAt(all, 'hub');
    t.match(
      rules,
      /ip saddr \{ 10\.16\.0\.0\/13, .*198\.19\.0\.2\/32, 10\.48\.0\.0\/13, .*\} ip daddr \{ 10\.32\.0\.0\/13, .*\} drop/,
      'one rule for both clusters of prod',
    );
    t.match(
      rules,
      /ip saddr \{ 10\.32\.0\.0\/13, .*\} ip daddr \{ 10\.16\.0\.0\/13, .*10\.48\.0\.0\/13, .*\} drop/,
    );
    t.match(
      rules,
      /ip6 saddr \{ fd6d:636e:6574:100::\/64, .*\} ip6 daddr \{ fd6d:636e:6574:200::\/64, .*\} drop/,
    );
    t.notMatch(east.rules, 'mcnet_segments', 'an edge drops nothing');
  },
);

t.test(
  'a hub that may not talk to a spoke carries its traffic and its own ICMP errors all the same',
  async (t) => {
    const topology = topologyOf('hub-and-spoke', ['hub', 'east', 'west'], {
      hub: ['transit'],
      east: ['prod'],
      west: ['prod'],
    });
    const all = configurationsOf(networkOf(topology, ['ipv4']), clamped);
    const { rules, neighbours } = configurationAt(all, 'hub');
    t.ok(neighbours.find(({ cluster }) => cluster === 'east')?.allowedIps.includes('10.16.0.0/13'));
    t.match(
      rules,
      /ip saddr \{ 10\.0\.0\.0\/13, [^}]*\} ip daddr \{ 10\.16\.0\.0\/13/,
      "the hub's own ranges are dropped",
    );
    t.notMatch(rules, '198.19.0.1', 'its tunnel address is not');
    t.strictSame(
      configurationAt(all, 'east').neighbours[0]?.allowedIps.filter((block) => block.startsWith('10.0.')),
      [],
    );
    t.ok(configurationAt(all, 'east').routes.includes('198.19.0.1/32'));
  },
);

t.test('full mesh with segments: no tunnel between clusters that share none', async (t) => {
  const topology = topologyOf('full-mesh', ['east', 'west', 'north'], { east: ['prod'], west: ['staging'] });
  const east = configurationAt(configurationsOf(networkOf(topology, ['ipv4']), clamped), 'east');
  t.strictSame(
    east.neighbours.map(({ cluster }) => cluster),
    ['north'],
  );
});

for (const kind of ['full-mesh', 'hub-and-spoke', 'tree'] as const) {
  await t.test(
    `${kind} of 30: allowed IPs of no gateway overlap, and both ends of a link agree on it`,
    async (t) => {
      const segments = { c4: ['a'], c5: ['b'], c9: ['a', 'b'], c17: ['c'] };
      const all = configurationsOf(networkOf(topologyOf(kind, numbered(30), segments), BOTH), clamped);
      for (const [name, configuration] of all) {
        t.strictSame(clashes(configuration), [], `${name}: no block is allowed from two neighbours`);
        for (const { cluster } of configuration.neighbours) {
          const back = configurationAt(all, cluster).neighbours.map((neighbour) => neighbour.cluster);
          t.ok(back.includes(name), `${cluster} knows ${name}`);
          const ends = [
            [name, cluster],
            [cluster, name],
          ] as const;
          const begins = ends.map(
            ([from, to]) =>
              configurationAt(all, from).neighbours.find((other) => other.cluster === to)?.keepaliveSeconds,
          );
          t.strictSame(
            begins.toSorted((a = 0, b = 0) => a - b),
            [0, 25],
            `one end of ${name} and ${cluster} keeps the link alive`,
          );
        }
      }
    },
  );
}

t.test('tree: an inner gateway reaches what is below through the right child', async (t) => {
  const all = configurationsOf(networkOf(topologyOf('tree', numbered(7)), ['ipv4']), clamped);
  const [up, ...down] = configurationAt(all, 'c2').neighbours;
  t.strictSame([up?.cluster, ...down.map(({ cluster }) => cluster)], ['c1', 'c4', 'c5']);
  t.ok(up?.allowedIps.includes('10.96.0.0/13'), 'c7 lies beyond the root');
  t.ok(configurationAt(all, 'c2').transit);
  t.notOk(configurationAt(all, 'c4').transit);
});

t.test('a hub of a hundred has every spoke once; names fit into an interface name', async (t) => {
  const network = networkOf(topologyOf('hub-and-spoke', numbered(100)), BOTH);
  const hub = configurationAt(configurationsOf(network, clamped), 'c1');
  t.equal(hub.neighbours.length, 99);
  t.equal(new Set(hub.routes).size, 99 * 8);
  for (const { name } of network.clusters) {
    const tunnel = interfaceName(network, name);
    t.ok(tunnel.length <= 15 && INTERFACE_PATTERN.test(tunnel), tunnel);
  }
});

t.test('what the kernel is told closes first; what opens is told apart', async (t) => {
  const network = networkOf(topologyOf('full-mesh', ['east', 'west']), ['ipv4']);
  const east = configurationAt(configurationsOf(network, clamped), 'east');
  const text = renderInterface(east);
  t.match(text, 'route replace unreachable 10.16.0.0/13 metric 4294967295\n');
  t.ok(text.indexOf('unreachable') < text.indexOf(' up\n'));
  t.notMatch(text, /route replace \d/);
  t.match(renderRoutes(east), 'route replace 10.16.0.0/13 dev wgabc1230 metric 100\n');
});

t.test('MSS clamping is on unless it is switched off', async (t) => {
  const network = networkOf(topologyOf('full-mesh', ['east', 'west']), ['ipv4']);
  t.match(configurationAt(configurationsOf(network, clamped), 'east').rules, 'maxseg size set rt mtu');
  t.equal(configurationAt(configurationsOf(network, { clampMss: false }), 'east').rules, '');
});

t.test("peers hold the neighbours' public keys and one private key", async (t) => {
  const all = configurationsOf(
    networkOf(topologyOf('full-mesh', ['east', 'west', 'north']), ['ipv4']),
    clamped,
  );
  const keys = new Map(['east', 'west', 'north'].map((name) => [name, generateKeyPair()]));
  const text = renderPeers(configurationAt(all, 'east'), keys);
  t.match(text, `PrivateKey = ${keys.get('east')?.privateKey}\n`);
  t.match(text, `PublicKey = ${keys.get('west')?.publicKey}\n`);
  t.notMatch(text, keys.get('west')?.privateKey ?? '');
  t.match(text, 'ListenPort = 51820\n');
  t.throws(() => renderPeers(configurationAt(all, 'east'), new Map()), { name: 'InternalError' });
});
