import { test } from 'tap';
import { planAddresses } from '../../../lib/config/addressing.ts';
import { renderGatewayRoutes, renderNodeRoutes } from '../../../lib/provider/kind/routes.ts';

const plan = planAddresses({
  clusters: [{ name: 'east' }, { name: 'west' }, { name: 'north' }],
  families: ['ipv4', 'ipv6'],
  pool: '10.0.0.0/8',
  prefix: 12,
  ipv6Pool: 'fd6d:636e:6574::/48',
});
const routing = {
  plan,
  families: ['ipv4'],
  cluster: 'east',
  gateway: { ipv4: '10.12.0.254' },
  podRoutes: true,
} as const;

const linesOf = (text: string, pattern: RegExp): string[] =>
  text.split('\n').filter((line) => pattern.test(line));

test('nodes reach pods and nodes of all other clusters by the gateway, and pods keep their addresses', (t) => {
  const script = renderNodeRoutes(routing);
  t.same(linesOf(script, /^ip route/), [
    'ip route replace 10.16.0.0/13 via 10.12.0.254',
    'ip route replace 10.28.0.0/16 via 10.12.0.254',
    'ip route replace 10.32.0.0/13 via 10.12.0.254',
    'ip route replace 10.44.0.0/16 via 10.12.0.254',
  ]);
  t.match(
    script,
    'iptables -w -t nat -C POSTROUTING -s 10.0.0.0/13 -d 10.16.0.0/13 -j ACCEPT 2> /dev/null || iptables -w -t nat -I POSTROUTING -s 10.0.0.0/13 -d 10.16.0.0/13 -j ACCEPT',
  );
  t.notMatch(script, '10.0.0.0/13 via', 'the own pods are no business of the gateway');
  t.end();
});

test('without routes for pods only nodes reach nodes, and pods borrow their addresses', (t) => {
  const script = renderNodeRoutes({ ...routing, podRoutes: false });
  t.same(linesOf(script, /^ip route/), [
    'ip route replace 10.28.0.0/16 via 10.12.0.254',
    'ip route replace 10.44.0.0/16 via 10.12.0.254',
  ]);
  t.match(script, '-s 10.0.0.0/13 -d 10.28.0.0/16 -j MASQUERADE');
  t.notMatch(script, 'ACCEPT');
  t.end();
});

test('both families in dual stack', (t) => {
  const script = renderNodeRoutes({
    ...routing,
    families: ['ipv4', 'ipv6'],
    gateway: { ipv4: '10.12.0.254', ipv6: 'fd6d:636e:6574:2::fe' },
  });
  t.match(script, 'via fd6d:636e:6574:2::fe');
  t.match(script, 'ip6tables -w -t nat');
  t.end();
});

test('the gateway has the pods of each node by way of that node, and no default route', (t) => {
  const nodes = [
    { addresses: { ipv4: '10.12.0.2' }, podRanges: { ipv4: '10.0.0.0/24' } },
    { addresses: { ipv4: '10.12.0.3' }, podRanges: { ipv4: '10.0.1.0/24' } },
  ];
  t.equal(
    renderGatewayRoutes(nodes, ['ipv4']),
    [
      'ip -4 route del default 2> /dev/null || true',
      'ip route replace 10.0.0.0/24 via 10.12.0.2',
      'ip route replace 10.0.1.0/24 via 10.12.0.3',
      '',
    ].join('\n'),
  );
  t.end();
});
