import t from 'tap';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import { remoteClustersIn } from '../../../lib/profile/cilium/agents.ts';
import { servingZone } from '../../../lib/profile/cilium/dns.ts';
import { addressesIn } from '../../../lib/profile/cilium/links.ts';
import { ciliumPolicyOf } from '../../../lib/profile/cilium/policy.ts';
import { annotated, sharingAnnotations } from '../../../lib/profile/cilium/share.ts';
import { meshValues } from '../../../lib/profile/cilium/values.ts';
import { versionIn } from '../../../lib/profile/cilium/versions.ts';

const members = [
  { name: 'east', addresses: ['10.12.0.2'] },
  { name: 'west', addresses: ['10.28.0.2', '10.28.0.3'] },
];
const wish = {
  members,
  authority: { certificate: 'CERTIFICATE', key: 'KEY' },
  families: ['ipv4' as const],
  routed: { ipv4: '10.0.0.0/8' },
  images: { ciliumClustermeshApiserver: 'mesh:1' },
  cacheTtlMs: 1_000,
  sharing: 'global-service' as const,
};

t.test('a cluster finds every other one, and itself has an id and a port that no other has', async (t) => {
  const [east, west] = ['east', 'west'].map((name) => meshValues({ ...wish, name }));
  t.match(east, {
    cluster: { name: 'east', id: 1 },
    tls: { ca: { cert: Buffer.from('CERTIFICATE').toString('base64') } },
    clustermesh: {
      cacheTTL: '1s',
      config: { clusters: { west: { ips: ['10.28.0.2', '10.28.0.3'], port: 32_380 } } },
      apiserver: { image: { override: 'mesh:1' }, service: { type: 'NodePort', nodePort: 32_379 } },
    },
    routingMode: 'native',
  });
  t.match(west, {
    cluster: { name: 'west', id: 2 },
    clustermesh: {
      config: { clusters: { east: { ips: ['10.12.0.2'], port: 32_379 } } },
      apiserver: { service: { nodePort: 32_380 } },
    },
  });
});

const place = { cluster: 'east', nameOf: (namespace: string) => `a-${namespace}` };
const policy = {
  kind: 'policy' as const,
  name: 'p',
  namespace: 'x',
  target: {},
  direction: 'ingress' as const,
};
const specOf = (object: KubernetesObject): unknown => object['spec'];

t.test('policies name the cluster, which Cilium would else take for its own', async (t) => {
  const rendered = ciliumPolicyOf(
    {
      ...policy,
      target: { app: 'b' },
      allow: [
        { peers: [{ namespace: 'y', labels: { app: 'a' } }], ports: [{ port: 7000, protocol: 'udp' }] },
        { peers: [{ cluster: 'local' }, { cluster: 'remote' }, { cluster: 'north', namespace: 'y' }] },
      ],
    },
    place,
  );
  t.same(rendered.metadata, { name: 'p', namespace: 'a-x' });
  const anyNamespace = { key: 'io.kubernetes.pod.namespace', operator: 'Exists' };
  t.same(specOf(rendered), {
    endpointSelector: { matchLabels: { app: 'b' } },
    ingress: [
      {
        fromEndpoints: [
          {
            matchLabels: { app: 'a', 'io.kubernetes.pod.namespace': 'a-y' },
            matchExpressions: [{ key: 'io.cilium.k8s.policy.cluster', operator: 'Exists' }],
          },
        ],
        toPorts: [{ ports: [{ port: '7000', protocol: 'UDP' }] }],
      },
      {
        fromEndpoints: [
          { matchLabels: { 'io.cilium.k8s.policy.cluster': 'east' }, matchExpressions: [anyNamespace] },
          {
            matchExpressions: [
              anyNamespace,
              { key: 'io.cilium.k8s.policy.cluster', operator: 'NotIn', values: ['east'] },
            ],
          },
          {
            matchLabels: { 'io.kubernetes.pod.namespace': 'a-y', 'io.cilium.k8s.policy.cluster': 'north' },
          },
        ],
      },
    ],
  });
});

t.test('nobody is an empty rule, everybody all entities', async (t) => {
  t.match(specOf(ciliumPolicyOf({ ...policy, allow: [] }, place)), { ingress: [{}] });
  t.match(specOf(ciliumPolicyOf({ ...policy, allow: [{ peers: [] }, { ports: [] }] }, place)), {
    ingress: [{}],
  });
  t.same(specOf(ciliumPolicyOf({ ...policy, direction: 'egress', allow: [{}] }, place)), {
    endpointSelector: {},
    egress: [{ toEntities: ['all'] }],
  });
});

t.test('a shared service keeps what else it says of itself', async (t) => {
  const service: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 's',
      namespace: 'n',
      resourceVersion: '7',
      annotations: { mine: 'yes', 'service.cilium.io/affinity': 'remote' },
    },
    spec: { clusterIP: '10.8.0.7' },
    status: {},
  };
  const shared = annotated(service, sharingAnnotations({ preference: 'prefer-local' }));
  t.same(shared.metadata, {
    name: 's',
    namespace: 'n',
    annotations: {
      mine: 'yes',
      'service.cilium.io/global': 'true',
      'service.cilium.io/shared': 'true',
      'service.cilium.io/affinity': 'local',
    },
  });
  t.match(shared, { spec: { clusterIP: '10.8.0.7' } });
  t.same(annotated(shared, {}).metadata.annotations, { mine: 'yes' });
});

t.test('CoreDNS is told of the zone once', async (t) => {
  const corefile = '.:53 {\n    kubernetes cluster.local in-addr.arpa {\n       pods insecure\n    }\n}\n';
  const served = servingZone(corefile);
  t.equal(
    served,
    '.:53 {\n    kubernetes clusterset.local cluster.local in-addr.arpa {\n       multicluster clusterset.local\n       pods insecure\n    }\n}\n',
  );
  t.equal(servingZone(served), served);
});

t.test('what agents and entries say', async (t) => {
  const status = {
    'cluster-mesh': {
      clusters: [{ name: 'west', ready: true, status: 'ok', 'num-endpoints': 3, 'num-shared-services': 2 }],
    },
  };
  t.same(remoteClustersIn(JSON.stringify(status)), [
    { name: 'west', ready: true, status: 'ok', endpoints: 3, services: 2 },
  ]);
  t.same(remoteClustersIn('{}'), []);
  const entry = [
    'endpoints:',
    '- https://west.mesh.cilium.io:32380',
    'trusted-ca-file: /var/lib/cilium/clustermesh/common-etcd-client-ca.crt',
    'cilium-host-aliases:',
    '- hostname: west.mesh.cilium.io',
    '  ips:',
    '    - 10.28.0.2',
  ].join('\n');
  t.same(addressesIn(entry), ['west.mesh.cilium.io', '10.28.0.2']);
  t.same(addressesIn('endpoints:\n- https://[::1]:2379'), ['::1']);
  t.equal(versionIn('cilium-agent 1.20.2 4d1c0e2a go version go1.25 linux/amd64'), '1.20.2');
  t.equal(versionIn('nothing'), 'nothing');
});
