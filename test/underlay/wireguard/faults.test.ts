import t, { type Test } from 'tap';
import type { FaultSpec } from '../../../lib/model/fault.ts';
import { InternalError } from '../../../lib/model/errors.ts';
import { createWireguard } from '../../../lib/underlay/wireguard/index.ts';
import { type Bench, createBench } from '../fixtures/bench.ts';
import { topologyOf } from '../fixtures/topologies.ts';
import { undoAll } from '../fixtures/undo.ts';

// Other tests and runs may keep the machine busy.
t.setTimeout(120_000);
const needsRoot = process.getuid?.() === 0 ? false : 'needs root for network namespaces';
const wireguard = createWireguard();

async function inject(bench: Bench, fault: FaultSpec) {
  const injector = wireguard.injectors.find(({ kinds }) => kinds.includes(fault.kind));
  if (!injector) throw new Error(`no injector for ${fault.kind}`);
  return injector.inject(fault, bench.fleet, bench.ledger);
}

/** Everything that faults change at a gateway, as it is now. */
async function stateAt(bench: Bench, cluster: string): Promise<string> {
  const gateway = bench.gateway(cluster);
  const tunnel = `wg${bench.fleet.run}${bench.fleet.clusters.findIndex(({ name }) => name === cluster)}`;
  const shown = await Promise.all([
    gateway.exec(['ip', 'route', 'show', 'table', 'all']),
    gateway.exec(['ip', '-brief', 'address', 'show']),
    gateway.exec(['ip', '-oneline', 'link', 'show', 'dev', tunnel]),
    gateway.exec(['nft', 'list', 'ruleset']),
    gateway.exec(['wg', 'show', tunnel, 'allowed-ips']),
    gateway.exec(['wg', 'show', tunnel, 'persistent-keepalive']),
  ]);
  return shown
    .join('')
    .split('\n')
    .map((line) => (line.includes('\t') ? line.split(/[\t ]/).toSorted().join(' ') : line))
    .toSorted()
    .join('\n');
}

/** Sends from workload to workload while the wan is watched. @returns what was seen there of the workload's packets */
function leaked(bench: Bench): Promise<string> {
  return bench.watchWan('icmp and host 10.16.0.2', () =>
    bench
      .atWorkload('east', 'ping', '-q', '-c', '3', '-i', '0.2', '-W', '1', bench.workload('west'))
      .catch(() => ''),
  );
}

t.test('faults between two clusters', { skip: needsRoot }, async (t) => {
  const bench = await createBench(t, topologyOf('full-mesh', ['east', 'west']), ['ipv4', 'ipv6']);
  await wireguard.join(bench.fleet, bench.ledger);
  const before = await stateAt(bench, 'east');
  const isAsBefore = async (t: Test): Promise<void> => {
    t.equal(await stateAt(bench, 'east'), before, 'everything is as it was');
    for (const family of ['ipv4', 'ipv6'] as const) {
      t.ok(await bench.reaches('east', 'west', family), `east reaches west by ${family}`);
      t.ok(await bench.reaches('west', 'east', family), `west reaches east by ${family}`);
    }
  };

  const faults: FaultSpec[] = [
    { kind: 'tunnel-down', between: ['east', 'west'] },
    { kind: 'wrong-peer-key', at: 'east', peer: 'west' },
    { kind: 'mtu-lowered', at: 'east', mtu: 1300, icmp: 'passes' },
    { kind: 'mtu-lowered', at: 'east', mtu: 1200, icmp: 'dropped', peer: 'west' },
    { kind: 'clear-text-route', from: 'east', to: 'west' },
    { kind: 'clear-text-fallback', from: 'east', to: 'west' },
  ];
  for (const fault of faults) {
    await t.test(`${JSON.stringify(fault)} takes hold, is mended, and by the ledger alone too`, async (t) => {
      const noted = bench.ledger.resources.length;
      const disturbance = await inject(bench, fault);
      t.ok(bench.ledger.resources.length > noted, 'it is in the ledger');
      t.ok(await disturbance.tookHold());
      t.not(await stateAt(bench, 'east'), before);
      await disturbance.mend();
      t.notOk(await disturbance.tookHold());
      await isAsBefore(t);
      await disturbance.mend();
      await isAsBefore(t);

      const again = bench.ledger.resources.length;
      const second = await inject(bench, fault);
      t.ok(await second.tookHold());
      await undoAll(bench.ledger.resources.slice(again));
      await isAsBefore(t);
      await undoAll(bench.ledger.resources.slice(again));
      await isAsBefore(t);
    });
  }

  await t.test('what was changed by hand comes back as it was, by the ledger alone', async (t) => {
    const gateway = bench.gateway('east');
    const tunnel = `wg${bench.fleet.run}0`;
    const setting = `/proc/sys/net/ipv6/conf/${tunnel}/hop_limit`;
    const change = (...lines: string[]): Promise<string> =>
      gateway.exec(['sh', '-e', '-s'], { input: `${lines.join('\n')}\n` });
    await change(
      `ip link set dev ${tunnel} mtu 1390`,
      `ip address add fd00:1::1/64 dev ${tunnel} nodad`,
      `ip route add 192.0.2.0/24 dev ${tunnel} metric 77 mtu 1300`,
      `ip -6 route add 2001:db8::/64 dev ${tunnel} metric 33 table 44`,
      `ip route del 10.28.0.0/16 dev ${tunnel}`,
      `echo 33 > ${setting}`,
      `wg set ${tunnel} peer "$(wg show ${tunnel} peers)" persistent-keepalive 7`,
    );
    const changed = async (): Promise<string> =>
      (await stateAt(bench, 'east')) + (await change(`cat ${setting}`));
    const expected = await changed();
    for (const fault of faults) {
      const noted = bench.ledger.resources.length;
      const disturbance = await inject(bench, fault);
      t.ok(await disturbance.tookHold(), fault.kind);
      await undoAll(bench.ledger.resources.slice(noted));
      t.equal(await changed(), expected, fault.kind);
    }

    const down = await inject(bench, { kind: 'tunnel-down', between: ['east', 'west'] });
    await change(`ip link set dev ${tunnel} mtu 1380`);
    await down.mend();
    t.equal(await changed(), expected.replace('mtu 1390', 'mtu 1380'), 'what it did not change stays');
    await change(
      `ip link set dev ${tunnel} mtu 1420`,
      `ip address del fd00:1::1/64 dev ${tunnel}`,
      `ip route del 192.0.2.0/24 dev ${tunnel}`,
      `ip -6 route del 2001:db8::/64 dev ${tunnel} table 44`,
      `ip route add 10.28.0.0/16 dev ${tunnel} metric 100`,
      `wg set ${tunnel} peer "$(wg show ${tunnel} peers)" persistent-keepalive off`,
    );
    await isAsBefore(t);
  });

  await t.test('tunnel down: nothing leaves in clear, though a default route leads to the wan', async (t) => {
    await bench.gateway('east').exec(['ip', 'route', 'add', 'default', 'via', '198.18.0.2']);
    const disturbance = await inject(bench, { kind: 'tunnel-down', between: ['east', 'west'] });
    t.notMatch(await leaked(bench), '> 10.16.0.2');
    await t.rejects(
      bench.atWorkload('east', 'ping', '-c', '1', '-W', '1', bench.workload('west')),
      /Destination Host Unreachable/,
    );

    await t.test('a route that somebody left beside the tunnel, however bad, does leak', async (t) => {
      const route = ['10.16.0.0/13', 'via', '198.18.0.2', 'metric', '4000'] as const;
      await bench.gateway('east').exec(['ip', 'route', 'add', ...route]);
      t.match(await leaked(bench), '10.0.0.2 > 10.16.0.2: ICMP echo request');
      await bench.gateway('east').exec(['ip', 'route', 'del', ...route]);
    });
    await disturbance.mend();
    await bench.gateway('east').exec(['ip', 'route', 'del', 'default']);
    await isAsBefore(t);
  });

  await t.test('a clear-text route leaks while the tunnel is up, and traffic still passes', async (t) => {
    t.notMatch(await leaked(bench), '10.16.0.2: ICMP');
    const disturbance = await inject(bench, { kind: 'clear-text-route', from: 'east', to: 'west' });
    t.ok(await bench.reaches('east', 'west'));
    t.match(await leaked(bench), '10.0.0.2 > 10.16.0.2: ICMP echo request');
    await disturbance.mend();
    t.notMatch(await leaked(bench), '10.16.0.2: ICMP');
  });

  await t.test('a wrong key gets no handshake', async (t) => {
    const disturbance = await inject(bench, { kind: 'wrong-peer-key', at: 'east', peer: 'west' });
    t.notOk(await bench.reaches('east', 'west'));
    t.strictSame(await wireguard.wire?.handshakes(bench.gateway('east'), bench.fleet), {});
    await disturbance.mend();
    const ages = await wireguard.wire?.handshakes(bench.gateway('east'), bench.fleet);
    t.strictSame(Object.keys(ages ?? {}), ['west']);
  });

  for (const icmp of ['passes', 'dropped'] as const) {
    await t.test(`a lowered MTU where ICMP ${icmp}`, async (t) => {
      const fault = { kind: 'mtu-lowered', at: 'east', mtu: 1300, icmp } as const;
      const disturbance = await inject(bench, fault);
      for (const [family, header] of [
        ['ipv4', 28],
        ['ipv6', 48],
      ] as const) {
        const ping = (from: string, to: string, size: number): Promise<string> =>
          bench
            .atWorkload(
              from,
              'ping',
              '-n',
              '-c',
              '1',
              '-W',
              '1',
              '-M',
              'do',
              '-s',
              String(size - header),
              bench.workload(to, family),
            )
            .catch((error: { output: string }) => error.output);
        t.match(await ping('east', 'west', 1300), '1 received', `${family}: 1300 bytes pass`);
        const refused = await ping('east', 'west', 1301);
        t.match(refused, '0 received', `${family}: 1301 do not`);
        t.equal(
          /mtu\s?=\s?1300/.test(refused),
          icmp === 'passes',
          `${family}: ${icmp === 'passes' ? 'and are told' : 'silently'}`,
        );
      }
      await disturbance.mend();
      for (const family of ['-4', '-6'])
        await bench.atWorkload('east', 'ip', family, 'route', 'flush', 'cache');
      await isAsBefore(t);
    });
  }

  await t.test('a link that does not exist cannot be broken', async (t) => {
    await t.rejects(inject(bench, { kind: 'wrong-peer-key', at: 'east', peer: 'mars' }), InternalError);
  });
});

t.test('tunnel down at a spoke: its way through the hub is closed', { skip: needsRoot }, async (t) => {
  const bench = await createBench(t, topologyOf('hub-and-spoke', ['hub', 'east', 'west']), ['ipv4']);
  await wireguard.join(bench.fleet, bench.ledger);
  const disturbance = await inject(bench, { kind: 'tunnel-down', between: ['east', 'west'] });
  t.ok(await disturbance.tookHold());
  t.notOk(await bench.reaches('east', 'west'));
  t.ok(await bench.reaches('hub', 'west'), 'others keep theirs');
  await disturbance.mend();
  t.ok(await bench.reaches('east', 'west'));
});
