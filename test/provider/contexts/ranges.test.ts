import t from 'tap';
import { formatCidr } from '../../../lib/model/cidr.ts';
import {
  covering,
  coveringPerFamily,
  flagRanges,
  kubeadmRanges,
  nodeRanges,
  perFamily,
  rangeInRefusal,
} from '../../../lib/provider/contexts/ranges.ts';

t.test("kubeadm's configuration", (t) => {
  const configuration = `apiServer: {}
networking:
  dnsDomain: cluster.local
  podSubnet: 10.0.0.0/13,fd00:10::/56
  serviceSubnet: "10.8.0.0/14"
`;
  t.same(kubeadmRanges(configuration), {
    pods: { ipv4: '10.0.0.0/13', ipv6: 'fd00:10::/56' },
    services: { ipv4: '10.8.0.0/14' },
  });
  t.same(kubeadmRanges(''), { pods: {}, services: {} });
  t.end();
});

t.test('flags of the control plane, and the refusal of an address', (t) => {
  t.same(flagRanges(['kube-controller-manager', '--cluster-cidr=10.244.0.0/16'], 'cluster-cidr'), {
    ipv4: '10.244.0.0/16',
  });
  t.same(flagRanges(['kube-apiserver'], 'cluster-cidr'), {});
  t.same(
    rangeInRefusal(
      'failed to allocate IP 192.0.2.1: the provided IP (192.0.2.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12',
    ),
    { ipv4: '10.96.0.0/12' },
  );
  t.same(rangeInRefusal('forbidden'), {});
  t.same(perFamily(['nonsense', '10.1.0.0/16', '10.2.0.0/16']), { ipv4: '10.1.0.0/16' });
  t.end();
});

t.test('blocks around addresses and ranges', (t) => {
  const cover = (...texts: string[]) => {
    const block = covering(texts);
    return block && formatCidr(block);
  };
  t.equal(cover('10.0.0.0/24', '10.0.1.0/24'), '10.0.0.0/23');
  t.equal(cover('10.0.0.0/24', '10.0.0.128/25'), '10.0.0.0/24');
  t.equal(cover('172.18.0.2', '172.18.0.5'), '172.18.0.0/29');
  t.equal(cover('10.0.0.1'), '10.0.0.1/32');
  t.equal(cover(), undefined);
  t.same(coveringPerFamily(['10.0.2.0/24', 'fd00::/64', 'fd00:0:0:1::/64']), {
    ipv4: '10.0.2.0/24',
    ipv6: 'fd00::/63',
  });
  t.end();
});

t.test('node ranges have room for a few more, and are told apart or left out', (t) => {
  t.same(nodeRanges({ east: ['10.12.0.2', '10.12.0.20'], west: ['10.28.0.2'] }), {
    east: { ipv4: '10.12.0.0/27' },
    west: { ipv4: '10.28.0.0/29' },
  });
  t.same(nodeRanges({ east: ['172.18.0.2'], west: ['172.18.0.3'], north: ['10.1.0.9'] }), {
    east: {},
    west: {},
    north: { ipv4: '10.1.0.8/29' },
  });
  t.end();
});
