import { test } from 'tap';
import { planAddresses } from '../../../lib/config/addressing.ts';
import { chooseBlocks, gatewayAddresses, wanAddresses } from '../../../lib/provider/kind/ranges.ts';

const plan = planAddresses({
  clusters: [{ name: 'east' }, { name: 'west' }],
  families: ['ipv4', 'ipv6'],
  pool: '10.0.0.0/8',
  prefix: 12,
  ipv6Pool: 'fd6d:636e:6574::/48',
});

test('the first blocks of the plan are taken where nothing is in the way', (t) => {
  t.same(chooseBlocks(plan, ['ipv4'], []), {
    wan: { ipv4: '198.18.0.0/24' },
    nodes: { east: { ipv4: '10.12.0.0/24' }, west: { ipv4: '10.28.0.0/24' } },
  });
  const dual = chooseBlocks(plan, ['ipv4', 'ipv6'], []);
  t.match(dual.nodes['west']?.ipv6, /\/120$/);
  t.end();
});

test('a second run finds room beside the first, and beside routes of the machine', (t) => {
  const blocks = chooseBlocks(
    plan,
    ['ipv4'],
    [
      { range: '198.18.0.0/24', by: 'the Docker network mcnet-abcdef.wan' },
      { range: '10.12.0.0/24', by: 'the Docker network mcnet-abcdef-east' },
      { range: '10.12.1.7/32', by: 'a route of this machine by eth0' },
      { range: 'fd6d::/16', by: 'a route of the other family' },
    ],
  );
  t.same(blocks, {
    wan: { ipv4: '198.18.1.0/24' },
    nodes: { east: { ipv4: '10.12.2.0/24' }, west: { ipv4: '10.28.0.0/24' } },
  });
  t.end();
});

test('a range without room is named, with whatever takes it and what to do', (t) => {
  t.throws(
    () => chooseBlocks(plan, ['ipv4'], [{ range: '10.0.0.0/8', by: 'a route of this machine by tun0' }]),
    {
      name: 'UserError',
      message:
        /10\.12\.0\.0\/16, for the nodes of east, is taken by a route of this machine by tun0 \(10\.0\.0\.0\/8\)/,
      remedy: /addressing\.pool/,
    },
  );
  t.end();
});

test('two clusters whose ranges overlap still get blocks apart', (t) => {
  const same = { pods: {}, services: {}, nodes: { ipv4: '10.12.0.0/16' } };
  const { nodes } = chooseBlocks(
    { wan: { ipv4: '198.18.0.0/16' }, clusters: { a: same, b: same } },
    ['ipv4'],
    [],
  );
  t.same(nodes, { a: { ipv4: '10.12.0.0/24' }, b: { ipv4: '10.12.1.0/24' } });
  t.end();
});

test('a range smaller than a block is one block', (t) => {
  const nodes = { ipv4: '10.12.0.0/27' };
  const blocks = chooseBlocks(
    { wan: { ipv4: '198.18.0.0/16' }, clusters: { a: { pods: {}, services: {}, nodes } } },
    ['ipv4'],
    [],
  );
  t.same(blocks.nodes, { a: nodes });
  t.end();
});

test('gateways keep clear of what the engine gives to nodes', (t) => {
  t.same(gatewayAddresses({ ipv4: '10.12.0.0/24' }), { ipv4: '10.12.0.254' });
  t.same(wanAddresses({ ipv4: '198.18.0.0/24' }, 0), { ipv4: '198.18.0.2' });
  t.same(wanAddresses({ ipv4: '198.18.0.0/24' }, 99), { ipv4: '198.18.0.101' });
  t.end();
});
