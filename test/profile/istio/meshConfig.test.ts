import t from 'tap';
import { parse } from 'yaml';
import {
  clusterLocalHosts,
  withClusterLocal,
  withoutClusterLocal,
} from '../../../lib/profile/istio/meshConfig.ts';

const MESH = 'defaultConfig:\n  meshId: mcnet\ntrustDomain: cluster.local\n';

t.test(
  'hosts become local to their cluster one by one, and the rest of the mesh stays as it is',
  async (t) => {
    const one = withClusterLocal(MESH, 'a.shop.svc.cluster.local');
    const two = withClusterLocal(one, 'b.shop.svc.cluster.local');
    t.same(parse(two), {
      ...parse(MESH),
      serviceSettings: [
        { settings: { clusterLocal: true }, hosts: ['a.shop.svc.cluster.local'] },
        { settings: { clusterLocal: true }, hosts: ['b.shop.svc.cluster.local'] },
      ],
    });
    t.strictSame(clusterLocalHosts(two), ['a.shop.svc.cluster.local', 'b.shop.svc.cluster.local']);
    t.equal(withClusterLocal(two, 'a.shop.svc.cluster.local'), two);
    t.same(parse(withoutClusterLocal(two, 'b.shop.svc.cluster.local')), parse(one));
    t.same(parse(withoutClusterLocal(one, 'a.shop.svc.cluster.local')), parse(MESH), 'nothing is left of it');
    t.same(parse(withoutClusterLocal(MESH, 'a.shop.svc.cluster.local')), parse(MESH), 'twice does nothing');
  },
);

t.test("settings of the mesh's own are kept", async (t) => {
  const own = `${MESH}serviceSettings:\n- settings:\n    clusterLocal: true\n  hosts: ["*.kube-system.svc.cluster.local"]\n`;
  t.same(
    parse(withoutClusterLocal(withClusterLocal(own, 'a.shop.svc.cluster.local'), 'a.shop.svc.cluster.local')),
    parse(own),
  );
});
