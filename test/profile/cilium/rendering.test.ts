import t from 'tap';
import type { IpFamily } from '../../../lib/model/cidr.ts';
import { overheadOf } from '../../../lib/model/cilium.ts';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import { otherwise } from '../../../lib/profile/cilium/adopt.ts';
import { remoteClustersIn, sampleOf, storeOf } from '../../../lib/profile/cilium/agents.ts';
import { dropsIn, observeDrops } from '../../../lib/profile/cilium/drops.ts';
import { servingZone } from '../../../lib/profile/cilium/dns.ts';
import { exportStateOf } from '../../../lib/profile/cilium/export.ts';
import { healthIn, pathsTo } from '../../../lib/profile/cilium/health.ts';
import { addressesIn, problemOf } from '../../../lib/profile/cilium/links.ts';
import { ciliumPolicyOf } from '../../../lib/profile/cilium/policy.ts';
import { annotated, isOffered, sharingAnnotations } from '../../../lib/profile/cilium/share.ts';
import { meshValues } from '../../../lib/profile/cilium/values.ts';
import { versionIn } from '../../../lib/profile/cilium/versions.ts';
import { profileNamed } from '../../../lib/profile/index.ts';
import { mergeRequirements } from '../../../lib/run/requirements.ts';
import { underlayNamed } from '../../../lib/underlay/index.ts';
import { specOf as runSpec } from '../../run/support.ts';

const members = [
  { name: 'east', addresses: ['10.12.0.2'] },
  { name: 'west', addresses: ['10.28.0.2', '10.28.0.3'] },
];
const wish = {
  members,
  joined: ['west'],
  authority: { certificate: 'CERTIFICATE', key: 'KEY' },
  families: ['ipv4' as const],
  routed: { ipv4: '10.0.0.0/8' },
  images: { ciliumClustermeshApiserver: 'mesh:1' },
  cacheTtlMs: 1_000,
  sharing: 'global-service' as const,
};

t.test('a cluster finds every other one, and itself has an id and a port that no other has', async (t) => {
  const east = meshValues({ ...wish, name: 'east' });
  const west = meshValues({ ...wish, name: 'west', joined: ['east'] });
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
  const alone = meshValues({ ...wish, name: 'east', joined: [] }) as {
    readonly clustermesh: { readonly config: { readonly clusters: object } };
  };
  t.same(alone.clustermesh.config.clusters, {}, 'clusters that are to be kept apart are not joined');
});

t.test(
  'pods are routed, or tunnelled and encrypted within what the path between nodes carries',
  async (t) => {
    const values = (changes: object) => meshValues({ ...wish, nodeMtu: 1_420, ...changes, name: 'east' });
    t.has(values({}), { routingMode: 'native', autoDirectNodeRoutes: true, kubeProxyReplacement: 'false' });
    t.notOk('MTU' in values({}), 'routers tell pods what is too long');
    const tunnelled = values({ routing: 'vxlan' });
    t.has(tunnelled, {
      routingMode: 'tunnel',
      tunnelProtocol: 'vxlan',
      underlayProtocol: 'ipv4',
      MTU: 1_420,
    });
    t.notOk('autoDirectNodeRoutes' in tunnelled || 'ipv4NativeRoutingCIDR' in tunnelled);
    t.has(values({ encrypted: true }), {
      routingMode: 'native',
      MTU: 1_420,
      encryption: { enabled: true, type: 'wireguard' },
    });
    t.has(values({ apiServer: { host: '10.12.0.2', port: 6443 } }), {
      kubeProxyReplacement: 'true',
      k8sServiceHost: '10.12.0.2',
      k8sServicePort: 6443,
    });
    const both: IpFamily[] = ['ipv4', 'ipv6'];
    t.equal(overheadOf({ families: both }), 0);
    t.equal(overheadOf({ families: both, routing: 'vxlan' }), 50, 'nodes tunnel by IPv4 where they can');
    t.equal(overheadOf({ families: ['ipv6'], routing: 'geneve', encrypted: true }), 165);
  },
);

t.test('what a choice asks of machine, clusters and underlay', async (t) => {
  const required = (changes: object) => {
    const profile = profileNamed('cilium', runSpec(changes));
    return { features: profile.features, ...mergeRequirements(underlayNamed('direct'), profile, ['ipv4']) };
  };
  t.match(required({}), { pathMtu: 1_500, kubernetes: { podRoutes: true, kubeProxy: 'kept' } });
  const tunnelled = required({ ciliumRouting: 'vxlan', ciliumKubeProxy: 'replaced' });
  t.match(tunnelled, {
    pathMtu: 1_450,
    nodeMtu: 1_500,
    kubernetes: { podRoutes: false, kubeProxy: 'none', links: ['vxlan'] },
  });
  t.notOk(tunnelled.features.includes('l3.hops'), 'a tunnel hides the gateways');
  const encrypted = required({ ciliumEncryption: 'wireguard' });
  t.equal(encrypted.pathMtu, 1_405);
  t.ok(encrypted.features.includes('l3.encrypted') && encrypted.features.includes('l3.hops'));
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

t.test('a policy that says nothing of clusters means what agents are configured for', async (t) => {
  const rendered = ciliumPolicyOf(
    { ...policy, allow: [{ peers: [{ namespace: 'y', labels: { app: 'a' }, cluster: 'unsaid' }] }] },
    place,
  );
  const peer = { matchLabels: { app: 'a', 'io.kubernetes.pod.namespace': 'a-y' } };
  t.same(specOf(rendered), { endpointSelector: {}, ingress: [{ fromEndpoints: [peer] }] });
});

t.test('clusters that exist are as the options say, or it is said how they are', async (t) => {
  const options = {
    ciliumRouting: 'native',
    ciliumEncryption: 'none',
    ciliumSharing: 'global-service',
  } as const;
  const native = { 'routing-mode': 'native', 'enable-wireguard': 'false' };
  t.equal(otherwise(native, options), undefined);
  t.match(otherwise({ 'routing-mode': 'tunnel', 'tunnel-protocol': 'geneve' }, options), {
    is: 'tunnels what pods send by geneve',
    remedy: 'Say `--cilium-routing geneve`',
  });
  t.match(otherwise({}, options), { remedy: /vxlan/ }, 'as the chart has it');
  t.match(otherwise(native, { ...options, ciliumRouting: 'vxlan' }), { remedy: /native/ });
  t.match(otherwise(native, { ...options, ciliumEncryption: 'wireguard' }), { key: 'enable-wireguard' });
  t.equal(otherwise({ ...native, 'enable-wireguard': 'true' }, options), undefined);
  t.match(otherwise(native, { ...options, ciliumSharing: 'mcs-api' }), { key: /mcs-api/ });
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
  const said = (annotations: Record<string, string>) => isOffered(annotated(service, annotations));
  t.ok(isOffered(shared) && said({ 'service.cilium.io/global': 'true' }), 'it is offered by default');
  t.notOk(
    isOffered(service) || said({ 'service.cilium.io/shared': 'true' }),
    'what is not global is nobody’s',
  );
  t.notOk(said(sharingAnnotations({ preference: 'spread', offered: false })));
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
      clusters: [
        {
          name: 'west',
          ready: true,
          status: 'ok',
          'num-endpoints': 3,
          'num-shared-services': 2,
          'num-identities': 9,
          'num-nodes': 1,
        },
      ],
    },
  };
  const west = {
    name: 'west',
    ready: true,
    status: 'ok',
    endpoints: 3,
    services: 2,
    identities: 9,
    nodes: 1,
  };
  t.same(remoteClustersIn(JSON.stringify(status)), [west]);
  t.equal(problemOf(west), undefined);
  t.equal(problemOf({ ...west, ready: false, status: 'not yet' }), 'not yet');
  t.match(problemOf({ ...west, identities: 0 }), /identities/);
  t.match(problemOf({ ...west, nodes: 0 }), /nodes/);
  t.match(problemOf(undefined), /no cluster/);
  t.same(remoteClustersIn('{}'), []);
  const connected = {
    ...west,
    status: 'etcd: 1/1 connected, leases=0, has-quorum=true: , ID: 8e9e05c52164694d',
  };
  t.equal(storeOf([connected], 'west'), '8e9e05c52164694d');
  t.equal(storeOf([{ ...connected, ready: false }], 'west'), undefined, 'what was read before is no news');
  t.equal(storeOf([connected], 'north'), undefined);
  t.same(sampleOf([1, 2, 3], 3, 2), [1, 2, 3], 'as few as that are all asked');
  t.same(sampleOf([1, 2, 3, 4], 3, 2), [3, 4, 1], 'of many, others each time');
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

t.test('what an agent says of nodes', async (t) => {
  const at = '(Last probed: 2026-11-26T22:50:11Z)';
  const node = (name: string, address: string, http: string) => [
    `  ${name}:`,
    `    Host connectivity to ${address}:`,
    `      ICMP to stack:   OK, RTT=1.18ms ${at}`,
    `      HTTP to agent:   OK, RTT=2.31ms ${at}`,
    '    Endpoint connectivity to 10.16.0.5:',
    `      ICMP to stack:   OK, RTT=902µs ${at}`,
    `      HTTP to agent:   ${http} ${at}`,
  ];
  const said = (http: string) =>
    [
      'KVStore:                 Disabled',
      'ClusterMesh:             1/1 remote clusters ready, 9 global-services',
      'Cluster health:          2/2 reachable   (2026-11-26T22:50:12Z)   (Probe interval: 1m36.566272s)',
      'Name                     IP              Node   Endpoints',
      ...node('east/e1 (localhost)', '10.12.0.2', 'OK, RTT=1ms'),
      ...node('west/w1', '10.28.0.2', http),
      '  west/w2:',
      '    Host connectivity:     nil',
      '    Endpoint connectivity: nil',
      'Modules Health:',
      '      agent:   not of this list',
    ].join('\n');
  const health = healthIn(said('OK, RTT=1ms'));
  t.equal(health?.everyMs, 96_566.272);
  t.match(pathsTo('west', 'e1', health!), [
    { from: 'e1', to: 'w1', reachable: true, probedAt: Date.parse('2026-11-26T22:50:11Z') },
    { from: 'e1', to: 'w2', said: '' },
  ]);
  t.notOk('reachable' in pathsTo('west', 'e1', health!)[1]!, 'not probed yet');
  const [bad] = pathsTo(
    'west',
    'e1',
    healthIn(said('Get "http://10.16.0.5:4240": context deadline exceeded'))!,
  );
  t.match(bad, { reachable: false, said: /^Endpoint 10\.16\.0\.5, HTTP to agent: Get "http[^;]+$/ });
  t.same(pathsTo('north', 'e1', health!), []);
  t.equal(healthIn('Cluster health:   Probe disabled\n'), undefined);
  t.equal(healthIn('no such line'), undefined);
});

t.test('drops are counted by what is alike, whatever else is said', async (t) => {
  const flow = (changes: object) =>
    JSON.stringify({
      flow: {
        verdict: 'DROPPED',
        drop_reason_desc: 'POLICY_DENIED',
        IP: { source: '10.0.0.5', destination: '10.16.0.9', ipVersion: 'IPv4' },
        l4: { TCP: { source_port: 40_000, destination_port: 7_000, flags: { SYN: true } } },
        ...changes,
      },
      node_name: 'east/node',
    });
  const said = [
    flow({}),
    flow({}),
    flow({ l4: { ICMPv4: { type: 8 } }, drop_reason_desc: 'STALE_OR_UNROUTABLE_IP' }),
    flow({ verdict: 'FORWARDED' }),
    '{"lost_events":{"source":"HUBBLE_RING_BUFFER"}}',
    'EVENTS LOST',
    '',
  ].join('\n');
  const ends = { source: '10.0.0.5', destination: '10.16.0.9' };
  t.same(dropsIn(said), [
    { reason: 'policy denied', ...ends, port: 'TCP 7000', packets: 2 },
    { reason: 'stale or unroutable ip', ...ends, port: 'ICMPv4', packets: 1 },
  ]);
  t.match(
    observeDrops({ since: '2026-01-01T00:00:00Z', addresses: ['10.0.0.5', 'fd00::5'] }).join(' '),
    /--verdict DROPPED --type drop .*--ip 10\.0\.0\.5 --ip fd00::5 --since 2026-01-01T00:00:00Z$/,
  );
  t.notMatch(observeDrops().join(' '), /--ip|--since/);
});

t.test('an export says whether others contradict it, an import what holds', async (t) => {
  const metadata = { name: 's', namespace: 'n' };
  const exported = (status: string) => ({
    apiVersion: 'multicluster.x-k8s.io/v1beta1',
    kind: 'ServiceExport',
    metadata,
    status: {
      conditions: [
        { type: 'Valid', status: 'True' },
        { type: 'Conflict', status, reason: 'PortConflict' },
      ],
    },
  });
  const imported = {
    apiVersion: 'multicluster.x-k8s.io/v1beta1',
    kind: 'ServiceImport',
    metadata,
    spec: {
      ports: [
        { name: 'http', port: 8_090, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
      ],
    },
  };
  t.same(exportStateOf(exported('True'), imported), {
    conflict: 'PortConflict',
    ports: [
      { name: 'http', port: 8_090, protocol: 'tcp' },
      { name: '', port: 53, protocol: 'udp' },
    ],
  });
  t.same(exportStateOf(exported('False'), undefined), { ports: [] });
  t.same(exportStateOf(undefined, undefined), { ports: [] });
});
