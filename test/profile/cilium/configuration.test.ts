/** What a mesh is configured with, by its own objects: as the chart (1.20.2) renders them, without what nobody reads. */
import t from 'tap';
import type { KubernetesCluster, KubernetesObject } from '../../../lib/model/cluster.ts';
import { certificatesOf, expectedPlaces, placeOf } from '../../../lib/profile/cilium/certificates.ts';
import {
  cacheTtlIn,
  durationMs,
  remoteClustersSecret,
  scopeIn,
  settingsOf,
} from '../../../lib/profile/cilium/configuration.ts';
import { brokenLinks } from '../../../lib/profile/cilium/links.ts';
import { ObservedMesh } from '../../../lib/profile/cilium/observed.ts';
import { encoded } from '../../../lib/profile/common/clusters.ts';

type Kind = 'ConfigMap' | 'Secret' | 'Service' | 'Deployment';

const object = (kind: Kind, name: string, more: object = {}): KubernetesObject => ({
  apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1',
  kind,
  metadata: { name, namespace: 'kube-system' },
  ...more,
});

const secret = (name: string, data: Record<string, string>): KubernetesObject =>
  object('Secret', name, {
    data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, encoded(text)])),
  });

const FOLDER = '/var/lib/cilium/clustermesh';
const entry = (endpoint: string, prefix: string): string =>
  [
    'endpoints:',
    `- ${endpoint}`,
    `trusted-ca-file: ${FOLDER}/${prefix}etcd-client-ca.crt`,
    `key-file: ${FOLDER}/${prefix}etcd-client.key`,
    `cert-file: ${FOLDER}/${prefix}etcd-client.crt`,
  ].join('\n');

const REMOTE = 'https://west.mesh.cilium.io:32380';
const OWN = 'https://clustermesh-apiserver.kube-system.svc:2379';

interface Shape {
  readonly kvstoremesh: boolean;
  readonly store?: 'internal' | 'external';
  readonly cacheTtl?: string;
}

const deploymentOf = ({ kvstoremesh, store = 'internal', cacheTtl = '0s' }: Shape): KubernetesObject =>
  object('Deployment', 'clustermesh-apiserver', {
    spec: {
      template: {
        spec: {
          containers: [
            ...(store === 'internal' ? [{ name: 'etcd' }, { name: 'apiserver', args: ['clustermesh'] }] : []),
            ...(kvstoremesh
              ? [{ name: 'kvstoremesh', args: ['kvstoremesh', `--clustermesh-cache-ttl=${cacheTtl}`] }]
              : []),
          ],
        },
      },
    },
  });

const certificate = (name: string): KubernetesObject =>
  secret(name, { 'tls.crt': `leaf of ${name}`, 'ca.crt': 'CA' });

/** What stands in `kube-system` of east. */
function objectsOf(shape: Shape): KubernetesObject[] {
  const { kvstoremesh, store = 'internal' } = shape;
  const agents = kvstoremesh
    ? store === 'internal'
      ? entry(OWN, 'local-')
      : "endpoints:\n- https://etcd:2379\ncert-file: '/var/lib/etcd-secrets/etcd-client.crt'\ntrusted-ca-file: '/var/lib/etcd-secrets/etcd-client-ca.crt'"
    : entry(REMOTE, 'common-');
  return [
    deploymentOf(shape),
    object('ConfigMap', 'cilium-config', {
      data: { 'cluster-name': 'east', 'clustermesh-cache-ttl': shape.cacheTtl ?? '0s' },
    }),
    secret('cilium-clustermesh', { west: agents }),
    ...(kvstoremesh ? [secret('cilium-kvstoremesh', { west: entry(REMOTE, 'common-') })] : []),
    ...(store === 'internal'
      ? ['server', 'admin', 'remote', ...(kvstoremesh ? ['local'] : [])].map((one) =>
          certificate(`clustermesh-apiserver-${one}-cert`),
        )
      : [
          secret('cilium-etcd-secrets', {
            'etcd-client.crt': 'leaf of the user',
            'etcd-client-ca.crt': 'CA',
          }),
        ]),
    secret('cilium-ca', { 'ca.crt': 'CA' }),
  ];
}

interface AgentSeen {
  readonly node: string;
  readonly ready: boolean;
}

const podOf = (name: string, node: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'kube-system' },
  spec: { nodeName: node },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
});

const said = (name: string, ready: boolean): string =>
  JSON.stringify({
    'cluster-mesh': {
      clusters: [
        { name, ready, status: ready ? 'ok' : 'not connected', 'num-nodes': 1, 'num-identities': 9 },
      ],
    },
  });

/** A cluster that consists of these objects, and of an agent on each node. */
function clusterOf(
  name: string,
  objects: readonly KubernetesObject[],
  { agents = [{ node: 'n1', ready: true }], other = 'west' }: { agents?: AgentSeen[]; other?: string } = {},
) {
  let asked = 0;
  const cluster = {
    kind: 'kubernetes',
    name,
    context: name,
    workloads: [],
    objects: {
      read: ({ kind, metadata }: KubernetesObject) =>
        Promise.resolve(objects.find((one) => one.kind === kind && one.metadata.name === metadata.name)),
      list: ({ labelSelector = '' }) =>
        Promise.resolve(
          labelSelector === 'k8s-app=cilium'
            ? agents.map(({ node }) => podOf(`cilium-${node}`, node))
            : [podOf('server', 'n1')],
        ),
      exec: (pod: { name: string }) => {
        asked++;
        const { ready } = agents.find(({ node }) => pod.name === `cilium-${node}`)!;
        return Promise.resolve(said(other, ready));
      },
    },
  } as unknown as KubernetesCluster;
  return { cluster, asked: () => asked };
}

const without = (objects: readonly KubernetesObject[], ...names: readonly string[]) =>
  objects.filter(({ metadata }) => !names.includes(metadata.name));

const namesOf = async (objects: readonly KubernetesObject[]) =>
  (await certificatesOf(clusterOf('east', objects).cluster)).map(({ name, pem }) =>
    pem === undefined ? `${name} missing` : name,
  );

t.test('which certificates there are to be, a mesh says itself', async (t) => {
  const all = ['server', 'admin', 'local', 'remote'].map((one) => `clustermesh-apiserver-${one}-cert`);
  const usual = objectsOf({ kvstoremesh: true });
  t.same((await namesOf(usual)).toSorted(), [...all, 'cilium-ca'].toSorted());
  t.same(
    (await namesOf(without(usual, all[0]!, all[3]!))).filter((name) => name.endsWith('missing')),
    [`${all[0]} missing`, `${all[3]} missing`],
    'what is missing is said',
  );
  t.same(
    await namesOf(objectsOf({ kvstoremesh: false })),
    [all[0], all[1], all[3], 'cilium-ca'],
    'agents that read from other clusters have none for their own server',
  );
  t.same(
    await namesOf([
      ...objectsOf({ kvstoremesh: true, store: 'external' }),
      certificate('clustermesh-apiserver-remote-cert'),
    ]),
    [all[3], 'cilium-etcd-secrets/etcd-client.crt', 'cilium-ca'],
    'an etcd of the user’s own has none of the chart',
  );
  t.same(await namesOf([secret('cilium-ca', { 'ca.crt': 'CA' })]), ['cilium-ca']);
  const elsewhere = await namesOf(without(usual, 'cilium-ca'));
  t.ok(
    elsewhere.includes(`${all[3]}/ca.crt`) && elsewhere.includes(`${all[2]}/ca.crt`),
    'who is trusted each certificate says where there is no common Secret',
  );
});

t.test('what its server shows can be seen by callers of its own cluster', async (t) => {
  const service = object('Service', 'clustermesh-apiserver', {
    spec: { clusterIPs: ['10.8.0.9', 'fd00::9'], ports: [{ name: 'etcd', port: 2379, nodePort: 32_379 }] },
  });
  const found = await certificatesOf(
    clusterOf('east', [...objectsOf({ kvstoremesh: true }), service]).cluster,
  );
  t.same(
    found.flatMap(({ name, shownAt }) => (shownAt ? [{ name, ...shownAt }] : [])),
    [
      {
        name: 'clustermesh-apiserver-server-cert',
        addresses: { ipv4: '10.8.0.9', ipv6: 'fd00::9' },
        port: 2_379,
      },
    ],
  );
});

t.test('an entry may have a certificate of its own', async (t) => {
  const own = 'cilium-kvstoremesh';
  t.same(placeOf(entry(REMOTE, 'west.'), 'certificate', own), { secret: own, key: 'west.etcd-client.crt' });
  t.same(placeOf(entry(REMOTE, 'west.'), 'authority', own), { secret: own, key: 'west.etcd-client-ca.crt' });
  t.equal(placeOf('endpoints:\n- http://west:2379', 'certificate', own), undefined);
  const { certificates } = expectedPlaces(undefined, [
    secret(own, {
      west: entry(REMOTE, 'west.'),
      north: entry(REMOTE, 'common-'),
      south: entry(REMOTE, 'common-'),
      'west.etcd-client.crt': 'leaf',
    }),
  ]);
  t.same(certificates, [
    { secret: own, key: 'west.etcd-client.crt' },
    { secret: 'clustermesh-apiserver-remote-cert', key: 'tls.crt' },
  ]);
});

t.test('other clusters are found by agents where nothing fetches for them', async (t) => {
  t.equal(remoteClustersSecret(deploymentOf({ kvstoremesh: true })), 'cilium-kvstoremesh');
  t.equal(remoteClustersSecret(deploymentOf({ kvstoremesh: false })), 'cilium-clustermesh');
  t.equal(remoteClustersSecret(undefined), 'cilium-clustermesh');
  const links = (objects: readonly KubernetesObject[]) =>
    brokenLinks(
      clusterOf('east', objects).cluster,
      clusterOf('west', objectsOf({ kvstoremesh: true }), { other: 'east' }).cluster,
    );
  for (const kvstoremesh of [true, false]) t.same(await links(objectsOf({ kvstoremesh })), []);
  const mesh = objectsOf({ kvstoremesh: true });
  t.match(await links(without(mesh, 'cilium-kvstoremesh')), [
    { cause: 'remote-secret-missing', what: /cilium-kvstoremesh/ },
  ]);
  const direct = objectsOf({ kvstoremesh: false });
  t.match(await links(without(direct, 'cilium-clustermesh')), [
    { cause: 'remote-secret-missing', what: /cilium-clustermesh/ },
  ]);
});

t.test('every agent is asked, and the node of one that does not know a cluster is named', async (t) => {
  const objects = objectsOf({ kvstoremesh: true });
  const look = async (...ready: boolean[]) => {
    const agents = ready.map((one, index) => ({ node: `n${index + 1}`, ready: one }));
    const east = clusterOf('east', objects, { agents });
    const west = clusterOf('west', objects, { other: 'east' });
    const links = await brokenLinks(east.cluster, west.cluster);
    t.equal(east.asked(), ready.length);
    return links;
  };
  t.same(await look(true, true, true), []);
  t.match(await look(true, false, true), [
    {
      cause: 'api-server-unreachable',
      what: '1 of 3 agents of east (on n2) does not know west: not connected',
      nodes: ['n2'],
      command: /exec cilium-n2 /,
    },
  ]);
  t.match(await look(false), [{ what: 'agents of east do not know west: not connected' }]);
  t.match(await look(false, false, false, false, false, true), [
    { what: /^5 of 6 agents of east \(on n1, n2, n3, 2 more\) do not know west/ },
  ]);
});

t.test('what holds of a lost cluster is read, whoever installed the mesh', async (t) => {
  t.equal(durationMs('1m36.5s'), 96_500);
  t.equal(durationMs('250ms'), 250);
  const configuration = { 'clustermesh-cache-ttl': '40s' };
  const mesh = deploymentOf({ kvstoremesh: true, cacheTtl: '15s' });
  t.equal(cacheTtlIn(configuration, mesh), 15_000, 'by what fetches the state of others');
  t.equal(cacheTtlIn(configuration, deploymentOf({ kvstoremesh: false })), 40_000, 'which may be the agents');
  t.equal(cacheTtlIn({}, undefined), undefined);
  t.equal(cacheTtlIn(configuration, deploymentOf({ kvstoremesh: true })), undefined, '0s is for ever');
  t.equal(scopeIn({ 'policy-default-local-cluster': 'true' }), 'local');
  t.equal(scopeIn({ 'policy-default-local-cluster': 'false' }), 'every');
  t.equal(scopeIn({}), 'every', 'before 1.19 there is no such key');

  const observed = new ObservedMesh({ tuning: 'as-configured' });
  t.same(
    [observed.scope, observed.keepsLost('east'), observed.remarks],
    ['local', undefined, []],
    'until then what this program would install is assumed',
  );
  const budget = () => observed.budgets['failover.cluster-gone.newConnections'];
  t.match(budget(), { value: 175_000, reason: /15 s more/ });
  const cluster = (name: string, cacheTtl: string) =>
    clusterOf(name, objectsOf({ kvstoremesh: true, cacheTtl })).cluster;
  await observed.look([cluster('east', '2m'), cluster('west', '0s')]);
  t.match(budget(), { value: 280_000, reason: /120 s more/ });
  t.equal(observed.scope, 'every', 'no such key: agents of before 1.19');
  t.equal(observed.keepsLost('east'), undefined);
  t.match(observed.keepsLost('west'), /west never revokes .*cacheTTL is 0s/);
  t.match(observed.remarks, [
    /in east keeps .* for 120 s .*default of the chart is for ever/,
    /in west never/,
  ]);

  const barred = clusterOf('east', []).cluster;
  const { read } = barred.objects;
  Object.assign(barred.objects, {
    read: (reference: KubernetesObject) =>
      reference.kind === 'Deployment' ? Promise.reject(new Error('forbidden')) : read(reference),
  });
  t.same(await settingsOf(barred), { scope: 'every', cacheTtlMs: undefined });
});
