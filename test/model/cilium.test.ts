import t from 'tap';
import { ciliumValues } from '../../lib/model/cilium.ts';

const routed = { ipv4: '10.0.0.0/8', ipv6: 'fd6d:636e:6574::/48' };

t.test(
  "pods are routed between clusters, and the chart's own images are used where none is named",
  async (t) => {
    const values = ciliumValues({ families: ['ipv4'], routed: { ipv4: routed.ipv4 }, images: {} });
    t.match(values, {
      routingMode: 'native',
      ipv4: { enabled: true },
      ipv6: { enabled: false },
      ipv4NativeRoutingCIDR: '10.0.0.0/8',
      cni: { exclusive: false },
    });
    t.notHas(values, { image: {} });
    t.notHas(values, { ipv6NativeRoutingCIDR: '' });
  },
);

t.test('both families, and images of the user', async (t) => {
  const images = { ciliumAgent: 'mirror.example/cilium:1', ciliumOperator: 'mirror.example/operator:1' };
  t.match(ciliumValues({ families: ['ipv4', 'ipv6'], routed, images }), {
    image: { override: 'mirror.example/cilium:1' },
    ipv6: { enabled: true },
    ipv6NativeRoutingCIDR: routed.ipv6,
    operator: { image: { override: 'mirror.example/operator:1' } },
  });
});
