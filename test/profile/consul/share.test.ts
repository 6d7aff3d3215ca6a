import t from 'tap';
import { Peers } from '../../../lib/profile/consul/clusters.ts';
import { SERVICES_ANNOTATION } from '../../../lib/profile/consul/names.ts';
import { Shares, shareHandler } from '../../../lib/profile/consul/share.ts';
import type { Fleet, KubernetesCluster } from '../../../lib/model/cluster.ts';
import type { ShareServiceIntent } from '../../../lib/model/intent.ts';
import { PORTS } from '../../../lib/model/workload.ts';

/** A cluster whose server takes everything, and what it was told, each time. */
function createCluster(name: string) {
  const asked: string[][] = [];
  const workload = (app: string) => ({
    spec: {
      name: app,
      namespace: 'mcnet',
      annotations: { [SERVICES_ANNOTATION]: `${app}-mcnet` },
    },
  });
  const objects: Pick<KubernetesCluster['objects'], 'read' | 'list' | 'ask'> = {
    read: async (reference) => ({
      ...reference,
      spec: { clusterIP: '10.0.0.1', ports: [{ name: 'http', port: PORTS.service, protocol: 'TCP' }] },
    }),
    // Whoever has requests looks for a server that is ready first.
    list: async ({ apiVersion, kind }) => {
      asked.push([]);
      const status = { conditions: [{ type: 'Ready', status: 'True' }] };
      return [{ apiVersion, kind, metadata: { name: 'server' }, status }];
    },
    ask: async (_pod, { method, path, body }) => {
      if (method === 'GET') return { status: 404, body: '' };
      const { Kind, Name } = (body ?? {}) as { readonly Kind?: string; readonly Name?: string };
      asked
        .at(-1)
        ?.push(Kind ? `${method} ${Kind} ${Name ?? ''}` : `${method} ${path.replace('/v1/config/', '')}`);
      return { status: 200, body: '' };
    },
  };
  const cluster = {
    kind: 'kubernetes',
    name,
    workloads: [workload('client')],
    namespaceOf: (namespace: string) => namespace,
    objects,
  } as unknown as KubernetesCluster;
  return {
    cluster,
    get told(): readonly (readonly string[])[] {
      return asked.filter((requests) => requests.length > 0);
    },
  };
}

/** @returns the handler over two clusters, and how a service is shared in the first of them */
function createShare() {
  const [east, west] = [createCluster('east'), createCluster('west')];
  const peers = new Peers();
  peers.follow({
    clusters: [east.cluster, west.cluster],
    topology: { kind: 'full-mesh', hub: 'east', members: [{ name: 'east' }, { name: 'west' }] },
  } as unknown as Fleet);
  const handler = shareHandler(peers, new Shares(peers));
  const share = (how: Pick<ShareServiceIntent, 'preference' | 'offered'>) =>
    handler.apply({ kind: 'share-service', namespace: 'mcnet', service: 'offered', ...how }, east.cluster);
  return { east, west, share };
}

t.test(
  'what a cluster keeps to itself it does not export, and its callers are led to others all the same',
  async (t) => {
    const { east, share } = createShare();
    const kept = await share({ preference: 'spread', offered: false });
    const told = east.told.flat();
    t.ok(told.includes('PUT service-resolver offered-mcnet-from-west'));
    t.notOk(told.some((request) => request.includes('exported-services')));
    t.match(kept.rendered, '"Peer":"west"');
  },
);

t.test('callers are told of failures where it is not usual, before what leads them anywhere', async (t) => {
  const { east, west, share } = createShare();
  const ofCallers = (requests: readonly string[] | undefined) =>
    requests?.findIndex((request) => request === 'PUT service-defaults client-mcnet');

  const first = await share({ preference: 'spread' });
  t.equal(ofCallers(east.told.at(-1)), -1, 'they know it from when they registered');
  t.ok(east.told.at(-1)?.includes('PUT service-resolver offered-mcnet-from-west'));
  await first.undo();
  t.strictSame(
    east.told.at(-1),
    ['DELETE exported-services/default'],
    'what leads callers stays: taken back, it took other ways of theirs along',
  );
  const second = await share({ preference: 'spread' });
  t.equal(ofCallers(east.told.at(-1)), -1, 'they know it already');
  await second.undo();
  await share({ preference: 'prefer-local' });
  t.equal(ofCallers(east.told.at(-1)), 0, 'who comes after keeps its endpoints');
  t.ok(
    east.told.at(-1)?.includes('DELETE service-router/offered-mcnet-from-west'),
    'what is no part of it any more goes',
  );
  t.strictSame(west.told, []);
});
