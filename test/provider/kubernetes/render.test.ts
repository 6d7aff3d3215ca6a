import t from 'tap';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import type { PolicyIntent } from '../../../lib/model/intent.ts';
import {
  addressesOf as nodeAddressesOf,
  podRangesOf,
  takesPods,
} from '../../../lib/provider/kubernetes/nodes.ts';
import { type PodSettings, namespaceOf, podOf } from '../../../lib/provider/kubernetes/pods.ts';
import { networkPolicyOf } from '../../../lib/provider/kubernetes/policy.ts';
import { parseResolver } from '../../../lib/provider/kubernetes/resolver.ts';
import { clusterIpsOf, fixedSlices, serviceOf } from '../../../lib/provider/kubernetes/services.ts';

const SETTINGS: PodSettings = {
  run: 'k3x9ab',
  cluster: 'east',
  image: 'probe:1',
  imagePullPolicy: 'IfNotPresent',
  privileged: false,
  nodeSelector: {},
  tolerations: [],
  imagePullSecrets: [],
  expiresAt: '2026-11-25T20:00:00Z',
};
const SPEC = { name: 'echo-1', namespace: 'mcnet', labels: { app: 'echo' } };

t.test('a pod under Pod Security restricted', (t) => {
  const pod = podOf(SPEC, 'team-mcnet', SETTINGS);
  t.match(pod.metadata, {
    name: 'echo-1',
    namespace: 'team-mcnet',
    labels: { app: 'echo', 'mcnet-conformance/run': 'k3x9ab', 'mcnet-conformance/workload': 'echo-1' },
    annotations: { 'mcnet-conformance/expires': '2026-11-25T20:00:00Z' },
  });
  t.same(JSON.parse(pod.metadata.annotations?.['mcnet-conformance/spec'] ?? ''), SPEC);
  t.match(pod['spec'], {
    serviceAccountName: 'echo-1',
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [
      {
        args: [
          '--socket',
          '/run/mcnet/agent.sock',
          '--cluster',
          'east',
          '--namespace',
          'mcnet',
          '--workload',
          'echo-1',
        ],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ],
  });
  t.notMatch(JSON.stringify(pod), /hostPath|hostNetwork|runAsUser|privileged":true/);
  t.end();
});

t.test('a pod that may disturb itself, in a place that was asked for', (t) => {
  const pod = podOf({ ...SPEC, serviceAccount: 'caller', annotations: { mesh: 'yes' } }, 'mcnet', {
    ...SETTINGS,
    privileged: true,
    nodeSelector: { role: 'edge' },
    tolerations: [
      { key: 'edge', effect: 'NoSchedule' },
      { key: 'zone', value: 'a' },
    ],
    imagePullSecrets: ['registry'],
  });
  t.equal(pod.metadata.annotations?.['mesh'], 'yes');
  t.match(pod['spec'], {
    serviceAccountName: 'caller',
    securityContext: { runAsUser: 0 },
    nodeSelector: { role: 'edge' },
    tolerations: [
      { key: 'edge', operator: 'Exists', effect: 'NoSchedule' },
      { key: 'zone', operator: 'Equal', value: 'a' },
    ],
    imagePullSecrets: [{ name: 'registry' }],
    containers: [{ securityContext: { privileged: true } }],
  });
  t.end();
});

t.test('namespaces say whose they are, by which name, and until when', (t) => {
  const levels = (settings: PodSettings) => namespaceOf('team-mcnet', 'mcnet', settings).metadata.labels;
  t.match(levels(SETTINGS), {
    'mcnet-conformance/run': 'k3x9ab',
    'mcnet-conformance/namespace': 'mcnet',
    'pod-security.kubernetes.io/warn': 'restricted',
  });
  t.notOk(levels(SETTINGS)?.['pod-security.kubernetes.io/enforce'], 'what the cluster enforces stays');
  t.match(levels({ ...SETTINGS, privileged: true }), { 'pod-security.kubernetes.io/enforce': 'privileged' });
  t.end();
});

t.test('services', (t) => {
  const spec = {
    name: 'echo',
    namespace: 'mcnet',
    selector: { app: 'echo' },
    ports: [{ name: 'http', port: 8090, protocol: 'tcp' }],
    healthPort: 8080,
  } as const;
  t.match(serviceOf(spec, 'mcnet', ['ipv4'])['spec'], {
    type: 'ClusterIP',
    selector: { app: 'echo' },
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    ports: [{ name: 'http', port: 8090, protocol: 'TCP' }],
  });
  t.match(serviceOf({ ...spec, headless: true }, 'mcnet', ['ipv4', 'ipv6'])['spec'], {
    clusterIP: 'None',
    ipFamilies: ['IPv4', 'IPv6'],
    ipFamilyPolicy: 'RequireDualStack',
  });
  const service = (clusterIPs: readonly string[]): KubernetesObject => ({
    ...serviceOf(spec, 'mcnet', ['ipv4']),
    spec: { clusterIPs },
  });
  t.same(clusterIpsOf(service(['10.8.0.5', 'fd00::5'])), { ipv4: '10.8.0.5', ipv6: 'fd00::5' });
  t.same(clusterIpsOf(service(['None'])), {});
  t.end();
});

t.test('fixed endpoints lie in the pod range, however small it is', (t) => {
  const spec = {
    name: 'many',
    namespace: 'mcnet',
    selector: { app: 'many' },
    ports: [{ name: 'http', port: 8080, protocol: 'tcp' }],
    headless: true,
    healthPort: 8080,
    fixedEndpoints: 64,
  } as const;
  t.notOk((serviceOf(spec, 'mcnet', ['ipv4'])['spec'] as { selector?: unknown }).selector);
  const addressesIn = (range: string) => {
    const [slice] = fixedSlices(spec, 'mcnet', { ipv4: range }, ['ipv4']);
    t.match(slice, {
      metadata: { labels: { 'kubernetes.io/service-name': 'many' } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    });
    const endpoints = (slice?.['endpoints'] ?? []) as { addresses: string[] }[];
    return endpoints.map(({ addresses }) => addresses[0]);
  };
  t.equal(addressesIn('10.0.0.0/13')[0], '10.0.16.0');
  const small = addressesIn('10.1.2.0/25');
  t.same([small.length, small[0], small.at(-1)], [64, '10.1.2.63', '10.1.2.126']);
  t.end();
});

t.test('policies', (t) => {
  const range = (pods: string) => ({ pods: { ipv4: pods }, services: {}, nodes: {} });
  const place = {
    cluster: 'east',
    namespace: 'team-x',
    ranges: { east: range('10.0.0.0/13'), west: range('10.16.0.0/13') },
    families: ['ipv4'],
  } as const;
  const policy = (allow: PolicyIntent['allow'], more: Partial<PolicyIntent> = {}) =>
    networkPolicyOf(
      {
        kind: 'policy',
        name: 'p',
        namespace: 'x',
        target: { app: 'a' },
        direction: 'ingress',
        allow,
        ...more,
      },
      place,
    )['spec'];

  t.same(
    policy([], { target: {} }),
    { podSelector: {}, policyTypes: ['Ingress'], ingress: [] },
    'default deny',
  );
  t.same(
    policy([{}]),
    { podSelector: { matchLabels: { app: 'a' } }, policyTypes: ['Ingress'], ingress: [{}] },
    'everyone',
  );
  t.match(
    policy([{ peers: [{ namespace: 'y', labels: { app: 'b' } }], ports: [{ port: 7000, protocol: 'udp' }] }]),
    {
      ingress: [
        {
          from: [
            {
              namespaceSelector: { matchLabels: { 'mcnet-conformance/namespace': 'y' } },
              podSelector: { matchLabels: { app: 'b' } },
            },
          ],
          ports: [{ port: 7000, protocol: 'UDP' }],
        },
      ],
    },
  );
  t.match(policy([{ peers: [{ cluster: 'local' }] }]), { ingress: [{ from: [{ namespaceSelector: {} }] }] });
  t.same(policy([{ peers: [{ labels: { app: 'b' } }] }], { direction: 'egress' }), {
    podSelector: { matchLabels: { app: 'a' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'b' } } }] }],
  });
  t.match(policy([{ peers: [{ cluster: 'west' }] }]), {
    ingress: [{ from: [{ ipBlock: { cidr: '10.16.0.0/13' } }] }],
  });
  t.same(policy([{ peers: [{ cluster: 'remote' }] }]), policy([{ peers: [{ cluster: 'west' }] }]));
  t.match(policy([{ peers: [{ cluster: 'west' }, {}] }]), { ingress: [{}] });
  t.match(
    policy([{ peers: [{ cluster: 'west', namespace: 'y' }] }, { ports: [] }]),
    { ingress: [] },
    'nobody that a selector can name is nobody, never everybody',
  );
  t.end();
});

t.test('what a pod resolves with', (t) => {
  t.same(
    parseResolver(
      'search mcnet.svc.corp.example svc.corp.example corp.example\nnameserver 169.254.20.10\noptions ndots:5\n',
    ),
    { servers: { ipv4: '169.254.20.10' }, domain: 'corp.example' },
  );
  t.same(parseResolver('nameserver 10.8.0.10\nnameserver fd00::a\nnameserver 10.8.0.11'), {
    servers: { ipv4: '10.8.0.10', ipv6: 'fd00::a' },
    domain: 'cluster.local',
  });
  t.end();
});

t.test('nodes', (t) => {
  const node: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { podCIDR: '10.0.0.0/24', podCIDRs: ['10.0.0.0/24', 'fd00::/64'] },
    status: {
      addresses: [
        { type: 'Hostname', address: 'n1' },
        { type: 'InternalIP', address: '10.12.0.2' },
        { type: 'ExternalIP', address: '203.0.113.9' },
      ],
    },
  };
  t.same(nodeAddressesOf(node), { ipv4: '10.12.0.2' });
  t.same(podRangesOf(node), { ipv4: '10.0.0.0/24', ipv6: 'fd00::/64' });
  t.same(podRangesOf({ ...node, spec: {} }), {});
  t.end();
});

t.test('nodes that take pods of a run', async (t) => {
  const node = (spec: object, labels: Record<string, string> = {}): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n', labels },
    spec,
  });
  const any = { nodeSelector: {}, tolerations: [] };
  const control = node({ taints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] });
  t.ok(takesPods(node({}), any));
  t.notOk(takesPods(node({ unschedulable: true }), any), 'cordoned');
  t.notOk(takesPods(control, any), 'tainted');
  t.ok(takesPods(control, { ...any, tolerations: [{ key: 'node-role.kubernetes.io/control-plane' }] }));
  t.ok(takesPods(node({ taints: [{ key: 'k', effect: 'PreferNoSchedule' }] }), any));
  const valued = node({ taints: [{ key: 'k', value: 'v', effect: 'NoExecute' }] });
  t.notOk(takesPods(valued, { ...any, tolerations: [{ key: 'k', value: 'other' }] }));
  t.ok(takesPods(valued, { ...any, tolerations: [{ key: 'k', value: 'v', effect: 'NoExecute' }] }));
  t.notOk(takesPods(node({}), { ...any, nodeSelector: { pool: 'tests' } }));
  t.ok(takesPods(node({}, { pool: 'tests' }), { ...any, nodeSelector: { pool: 'tests' } }));
});

t.test('a workload for one node', async (t) => {
  const spec = { namespace: 'mcnet', name: 'a', labels: {} };
  t.match(podOf({ ...spec, node: 'worker-2' }, 'mcnet', SETTINGS), {
    spec: {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', values: ['worker-2'] }] }],
          },
        },
      },
    },
  });
  t.notMatch(podOf(spec, 'mcnet', SETTINGS), { spec: { affinity: {} } });
});

t.test('companions of a workload share its pod and a folder, and no more rights than they need', (t) => {
  const companion = { image: 'mesh:1', command: ['run'], cpu: '5m', memory: '16Mi', memoryLimit: '64Mi' };
  const pod = podOf(
    {
      ...SPEC,
      companions: [
        { ...companion, name: 'prepare', first: true, ownsNetwork: true },
        { ...companion, name: 'proxy', readyPort: 20_000 },
      ],
    },
    'mcnet',
    { ...SETTINGS, privileged: true },
  );
  const { initContainers, containers, volumes } = pod['spec'] as {
    initContainers: { name: string; securityContext: unknown }[];
    containers: Record<string, unknown>[];
    volumes: { name: string }[];
  };
  t.match(initContainers, [
    { name: 'prepare', securityContext: { runAsUser: 0, capabilities: { drop: ['ALL'] } } },
  ]);
  t.equal(containers.length, 2);
  t.match(containers[1], {
    name: 'proxy',
    startupProbe: { tcpSocket: { port: 20_000 } },
    securityContext: { runAsNonRoot: true, allowPrivilegeEscalation: false },
    volumeMounts: [{ mountPath: '/run/companions' }],
  });
  t.ok(volumes.some(({ name }) => name === 'companions'));
  t.notMatch(JSON.stringify(podOf(SPEC, 'mcnet', SETTINGS)), /initContainers|companions/);
  t.end();
});
