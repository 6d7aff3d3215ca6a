/** What stands in the configuration of a mesh, and who changes it; whether a mesh heeds it only real clusters show. */
import t from 'tap';
import type { Fleet, KubernetesCluster, KubernetesObject } from '../../../lib/model/cluster.ts';
import type { ShareServiceIntent } from '../../../lib/model/intent.ts';
import { ClusterLocal, hostOf } from '../../../lib/profile/istio/clusterLocal.ts';
import { ControlPlanes } from '../../../lib/profile/istio/clusters.ts';
import { meshInjectors } from '../../../lib/profile/istio/faults.ts';
import { shareHandler } from '../../../lib/profile/istio/share.ts';

/** A cluster whose control plane has this configuration, and takes some time over each call. */
function createCluster(name: string): KubernetesCluster {
  let configuration: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: 'trustDomain: cluster.local\n', meshNetworks: 'networks: {}' },
  };
  const later = () => new Promise((resolve) => setImmediate(resolve));
  return {
    kind: 'kubernetes',
    name,
    namespaceOf: (namespace: string) => `a-${namespace}`,
    objects: {
      read: () => later().then(() => configuration),
      apply: async (objects: readonly KubernetesObject[]) => {
        await later();
        configuration = objects.find(({ kind }) => kind === 'ConfigMap') ?? configuration;
      },
      delete: later,
    },
  } as unknown as KubernetesCluster;
}

function createMesh(topology: 'multi-primary' | 'primary-remote' = 'multi-primary') {
  const clusters = ['east', 'west'].map(createCluster);
  const planes = new ControlPlanes(topology);
  const fleet = { clusters } as unknown as Fleet;
  planes.follow(fleet);
  return { clusters, planes, fleet, clusterLocal: new ClusterLocal() };
}

const intent = (service: string, more: Partial<ShareServiceIntent> = {}): ShareServiceIntent => ({
  kind: 'share-service',
  namespace: 'mcnet',
  service,
  preference: 'spread',
  ...more,
});
const kept = { offered: false } as const;
const [one, other] = ['one', 'other'].map((service) => hostOf(service, 'a-mcnet'));
const OPTIONS = { tuning: 'fast', istioTopology: 'multi-primary', provider: 'kind' } as const;

t.test('services that are kept stand in the configuration of the mesh, all of them', async (t) => {
  const { clusters, planes, clusterLocal } = createMesh();
  const handler = shareHandler(planes, clusterLocal, OPTIONS);
  const hosts = () => Promise.all(clusters.map((cluster) => clusterLocal.hosts(cluster)));
  const [first] = await Promise.all(
    [intent('one', kept), intent('other', kept), intent('shared')].flatMap((each) =>
      clusters.map((cluster) => handler.apply(each, cluster)),
    ),
  );
  t.strictSame(await hosts(), [
    [one, other],
    [one, other],
  ]);
  await first?.undo();
  t.strictSame(await hosts(), [[other], [one, other]], 'only where it is withdrawn');
});

t.test('one control plane for all is told once', async (t) => {
  const { clusters, planes, clusterLocal } = createMesh('primary-remote');
  const handler = shareHandler(planes, clusterLocal, { ...OPTIONS, istioTopology: 'primary-remote' });
  await Promise.all(clusters.map((cluster) => handler.apply(intent('one', kept), cluster)));
  t.strictSame(await Promise.all(clusters.map((cluster) => clusterLocal.hosts(cluster))), [[one], []]);
});

t.test('the mesh of others is theirs to configure', async (t) => {
  const { planes, clusterLocal } = createMesh();
  const supports = (provider: 'kind' | 'contexts', more?: Partial<ShareServiceIntent>) =>
    shareHandler(planes, clusterLocal, { ...OPTIONS, provider }).supports(intent('one', more));
  t.equal(supports('kind', kept), true);
  t.match(supports('contexts', kept), /configuration of the whole mesh/);
  t.equal(supports('contexts'), true);
});

t.test('everything is shared with callers elsewhere, until it is mended', async (t) => {
  const { clusters, planes, fleet, clusterLocal } = createMesh();
  const [east, west] = clusters;
  for (const cluster of clusters) await clusterLocal.add(cluster, [one ?? '', other ?? '']);
  const hosts = () => Promise.all([east, west].map((cluster) => clusterLocal.hosts(cluster!)));
  const notes: string[] = [];
  const injector = meshInjectors(planes, clusterLocal).find(({ kinds }) =>
    kinds.includes('everything-exported'),
  );
  const disturbance = await injector?.inject({ kind: 'everything-exported', cluster: 'west' }, fleet, {
    add: async ({ undo }) => void notes.push(JSON.stringify(undo)),
  });
  t.match(notes, [/one\.a-mcnet/], 'noted as it was');
  t.strictSame(await hosts(), [[], [one, other]], 'callers of west are told of nothing more');
  for (let time = 0; time < 2; time++) await disturbance?.mend();
  t.strictSame(await hosts(), [
    [one, other],
    [one, other],
  ]);
});
