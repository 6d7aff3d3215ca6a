import t from 'tap';
import { underlayNamed } from '../../../lib/underlay/index.ts';
import { createBench } from '../fixtures/bench.ts';
import { topologyOf } from '../fixtures/topologies.ts';
import { undoAll } from '../fixtures/undo.ts';

const needsRoot = process.getuid?.() === 0 ? false : 'needs root for network namespaces';
const direct = underlayNamed('direct');

t.test('hub and spoke by plain routes, in both families', { skip: needsRoot }, async (t) => {
  const topology = topologyOf('hub-and-spoke', ['hub', 'east', 'west', 'north'], {
    east: ['prod'],
    north: ['staging'],
  });
  const bench = await createBench(t, topology, ['ipv4', 'ipv6']);
  await direct.join(bench.fleet, bench.ledger);
  for (const family of ['ipv4', 'ipv6'] as const) {
    t.ok(await bench.reaches('east', 'west', family), `east reaches west by ${family}`);
    t.notOk(await bench.reaches('east', 'north', family), `east does not reach north by ${family}`);
  }
  const ping = ['ping', '-n', '-c', '1', '-W', '1', '-t', '2'] as const;
  await t.rejects(
    bench.atWorkload('east', ...ping, bench.workload('west')),
    /From 198\.18\.0\.1 .*Time to live exceeded/,
    'the hub is a hop',
  );
  await bench.gateway('east').exec(['ip', 'route', 'add', '10.48.0.0/13', 'via', '198.18.0.1']);
  await bench.gateway('north').exec(['ip', 'route', 'add', '10.16.0.0/13', 'via', '198.18.0.1']);
  t.notOk(await bench.reaches('east', 'north'), 'the hub drops what is forbidden');
  await bench.gateway('hub').exec(['nft', 'delete', 'table', 'inet', 'mcnet_segments']);
  t.ok(await bench.reaches('east', 'north'), 'and nothing else did');
  t.match(await direct.diagnose(bench.gateway('east')), {
    'routes.txt': /10\.0\.0\.0\/13 via 198\.18\.0\.1/,
  });
});

t.test('a lowered MTU of the wan, mended from the ledger alone', { skip: needsRoot }, async (t) => {
  const bench = await createBench(t, topologyOf('full-mesh', ['east', 'west']), ['ipv4', 'ipv6']);
  await direct.join(bench.fleet, bench.ledger);
  const [injector] = direct.injectors;
  const fault = { kind: 'mtu-lowered', at: 'east', mtu: 1200, icmp: 'passes' } as const;
  const disturbance = await injector?.inject(fault, bench.fleet, bench.ledger);
  t.ok(await disturbance?.tookHold());
  const ping = ['ping', '-n', '-c', '1', '-W', '1', '-M', 'do', '-s', '1200'] as const;
  await t.rejects(bench.atWorkload('east', ...ping, bench.workload('west')), /mtu = 1200/);
  t.notOk(await bench.reaches('east', 'west', 'ipv6'), 'IPv6 needs 1280 bytes');
  await undoAll(bench.ledger.resources);
  t.notOk(await disturbance?.tookHold());
  await bench.atWorkload('east', 'ip', 'route', 'flush', 'cache');
  await t.resolves(bench.atWorkload('east', ...ping, bench.workload('west')));
  t.ok(await bench.reaches('east', 'west', 'ipv6'));
});
