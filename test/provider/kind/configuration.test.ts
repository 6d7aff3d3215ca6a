import { test } from 'tap';
import { type ClusterWish, renderKindConfiguration } from '../../../lib/provider/kind/configuration.ts';

const WISH: ClusterWish = {
  name: 'mcnet-abc123-east',
  ranges: {
    pods: { ipv4: '10.0.0.0/13', ipv6: 'fd6d::/64' },
    services: { ipv4: '10.8.0.0/14', ipv6: 'fd6d:0:0:1::/112' },
    nodes: { ipv4: '10.12.0.0/16', ipv6: 'fd6d:0:0:2::/64' },
  },
  families: ['ipv4'],
  nodes: 1,
  defaultCni: true,
  kubeProxy: 'kept',
};

test('one node, ranges of the plan, kind for the rest', (t) => {
  t.same(JSON.parse(renderKindConfiguration(WISH)), {
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    name: 'mcnet-abc123-east',
    networking: {
      ipFamily: 'ipv4',
      podSubnet: '10.0.0.0/13',
      serviceSubnet: '10.8.0.0/14',
      disableDefaultCNI: false,
    },
    nodes: [{ role: 'control-plane' }],
  });
  t.end();
});

test('dual stack, more nodes, no CNI and no kube-proxy', (t) => {
  const text = renderKindConfiguration({
    ...WISH,
    families: ['ipv4', 'ipv6'],
    nodes: 3,
    defaultCni: false,
    kubeProxy: 'none',
  });
  const { networking, nodes, kubeadmConfigPatches } = JSON.parse(text);
  t.same(networking, {
    ipFamily: 'dual',
    podSubnet: '10.0.0.0/13,fd6d::/64',
    serviceSubnet: '10.8.0.0/14,fd6d:0:0:1::/112',
    disableDefaultCNI: true,
    kubeProxyMode: 'none',
  });
  t.same(nodes, [{ role: 'control-plane' }, { role: 'worker' }, { role: 'worker' }]);
  const patches = (kubeadmConfigPatches as string[]).map((patch) => JSON.parse(patch));
  t.same(
    patches[0],
    { kind: 'InitConfiguration', nodeRegistration: { taints: [] } },
    'workloads on every node',
  );
  t.same(patches[1].controllerManager.extraArgs, { 'node-cidr-mask-size-ipv6': '80' });
  t.end();
});
