import t from 'tap';
import { renderGateway, renderWan, renderWorkload, withPrefix } from '../../../lib/provider/lab/scripts.ts';

const workload = renderWorkload({
  key: 'mcnet/client',
  netns: 'mcnet-abc123-east-mcnet-client',
  gatewayNetns: 'mcnet-abc123-east',
  order: 3,
  families: ['ipv4', 'ipv6'],
  addresses: { ipv4: '10.0.0.5', ipv6: 'fd00::5' },
  gatewayAddresses: { ipv4: '10.0.0.1', ipv6: 'fd00::1' },
});
const layout = {
  cluster: 'east',
  netns: 'mcnet-abc123-east',
  wanNetns: 'mcnet-abc123-wan',
  index: 4,
  clusters: 5,
  families: ['ipv4'] as const,
  podAddresses: { ipv4: '10.0.0.1/13' },
  wanAddresses: { ipv4: '198.18.0.5/16' },
  nodeAddresses: { ipv4: '10.12.0.1' },
};
const gateway = renderGateway(layout);

t.test('a workload has host routes only and an isolated port: all it sends passes the gateway', async (t) => {
  t.match(workload, 'addr add 10.0.0.5/32 dev eth0\n');
  t.match(workload, 'addr add fd00::5/128 dev eth0\n');
  t.match(workload, 'route add default via 10.0.0.1 dev eth0 onlink\n');
  t.match(workload, 'route add default via fd00::1 dev eth0 onlink\n');
  t.match(workload, 'link set w3 type bridge_slave isolated on\n');
});

t.test('everything happens inside a namespace', async (t) => {
  for (const script of [workload, gateway, renderWan('mcnet-abc123-wan')]) {
    const [first, second, ...rest] = script.split('\n');
    t.match(first, /^ip netns add mcnet-abc123-/);
    t.match(second, /^nsenter --net=\/run\/netns\/mcnet-abc123-\S+ sh -e <<'INSIDE'$/);
    t.same(rest.slice(-2), ['INSIDE', '']);
  }
});

t.test('settings come before interfaces, which inherit them', async (t) => {
  t.ok(gateway.indexOf('conf/default/rp_filter') < gateway.indexOf('link add'));
  t.match(gateway, 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  t.notMatch(workload, 'ip_forward');
  t.match(gateway, 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6', 'a family that is not used is off');
  t.match(workload, 'echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6');
});

t.test('a gateway is on the bridge of the wan, and never forwards by a default route', async (t) => {
  t.match(gateway, 'link add wan0 index 10000 type veth peer name p4 netns mcnet-abc123-wan\n');
  t.match(gateway, 'link set p4 master wan\n');
  t.match(gateway, 'link set p4 alias east\n');
  t.notMatch(gateway, 'route add');
});

t.test('addresses get the prefix length of their range', async (t) => {
  t.same(withPrefix({ ipv4: '10.0.0.1', ipv6: 'fd00::1' }, { ipv4: '10.0.0.0/13', ipv6: 'fd00::/64' }), {
    ipv4: '10.0.0.1/13',
    ipv6: 'fd00::1/64',
  });
});

t.test(
  'an uplink is so slow that all can be used at once, and never slower than a link is worth',
  async (t) => {
    const rateOf = (clusters: number) =>
      /root tbf rate (\d+)mbit /.exec(renderGateway({ ...layout, clusters }))?.[1];
    t.same([2, 5, 10, 100].map(rateOf), ['50', '20', '10', '10']);
  },
);
