import { X509Certificate } from 'node:crypto';
import t from 'tap';
import {
  createIntermediate,
  createLeaf,
  createRoot,
  validFor,
} from '../../../lib/profile/common/certificates.ts';
import { ControlPlanes } from '../../../lib/profile/istio/clusters.ts';
import { istioIdentities } from '../../../lib/profile/istio/identities.ts';
import { callersIn } from '../../../lib/profile/common/spiffe.ts';
import { createIstio, decorate } from '../../../lib/profile/istio/index.ts';
import { accessIn, hasAddress, hasProxy, isLoopback } from '../../../lib/profile/istio/links.ts';
import { certificateAuthority, remoteSecret } from '../../../lib/profile/istio/objects.ts';
import { planeOf } from '../../../lib/profile/istio/names.ts';
import { operatorOf } from '../../../lib/profile/istio/operator.ts';
import { handshakesIn } from '../../../lib/profile/common/envoy.ts';
import { authoritiesIn } from '../../../lib/profile/istio/proxies.ts';
import { authorizationPolicy, peerAuthentication } from '../../../lib/profile/istio/security.ts';
import { TIMERS, sharingObjects } from '../../../lib/profile/istio/share.ts';

const OPTIONS = {
  istioTopology: 'multi-primary',
  tuning: 'as-configured',
  provider: 'kind',
  images: {},
  versions: {},
  tools: {},
} as const;
const now = new Date();

t.test('containers of the control plane, of the data plane, and of others', async (t) => {
  const of = (namespace: string, pod: string, container: string) => planeOf({ namespace, pod, container });
  t.equal(of('istio-system', 'istiod-7f6d95f599-67fld', 'discovery'), 'control plane');
  t.equal(of('istio-system', 'istio-eastwestgateway-5c9d', 'istio-proxy'), 'data plane');
  t.equal(of('mcnet', 'client', 'istio-proxy'), 'data plane');
  t.equal(of('mcnet', 'client', 'agent'), undefined);
  t.equal(of('kube-system', 'cilium-gjdd4', 'cilium-agent'), undefined, 'a CNI that Istio did not bring');
});

t.test('what istioctl is given in each topology', async (t) => {
  const of = (more: Partial<Parameters<typeof operatorOf>[0]>) =>
    operatorOf({ cluster: 'east', topology: 'multi-primary', plainEnvoy: false, ...more });
  t.match(of({}), {
    spec: {
      profile: 'minimal',
      values: { global: { multiCluster: { clusterName: 'east' }, network: 'network1' } },
    },
  });
  t.notMatch(JSON.stringify(of({})), /eastwestgateway|telemetry|PILOT_ENABLE|externalIstiod/);
  const apart = JSON.stringify(of({ topology: 'multi-network' }));
  t.match(apart, /"network":"network-east"/);
  t.match(apart, /istio-eastwestgateway/);
  t.notMatch(apart, /externalIstiod/);
  t.match(JSON.stringify(of({ topology: 'primary-remote' })), /"externalIstiod":true/);
  const remote = of({ cluster: 'west', topology: 'primary-remote', controlPlane: { address: '10.1.0.2' } });
  t.match(remote, {
    spec: {
      profile: 'remote',
      values: {
        global: { remotePilotAddress: '10.1.0.2' },
        istiodRemote: { injectionPath: '/inject/cluster/west/net/network1' },
      },
    },
  });
  t.notMatch(JSON.stringify(remote), /ingressGateways|externalIstiod/);
});

t.test('what only Istio’s own Envoy can do stays off where it is another', async (t) => {
  const plain = operatorOf({
    cluster: 'east',
    topology: 'multi-primary',
    plainEnvoy: true,
    pilotImage: 'hub/pilot:1',
    proxyImage: 'hub/proxyv2:1',
  });
  t.match(plain, {
    spec: {
      values: {
        telemetry: { enabled: false },
        pilot: {
          image: 'hub/pilot:1',
          env: { PILOT_ENABLE_ALPN_FILTER: 'false', PILOT_ENABLE_METADATA_EXCHANGE: 'false' },
        },
        global: { proxy: { image: 'hub/proxyv2:1' }, proxy_init: { image: 'hub/proxyv2:1' } },
      },
    },
  });
});

t.test('authorities', async (t) => {
  const root = await createRoot('root', validFor(10, now));
  const east = await createIntermediate('east', root, validFor(5, now));
  const leaf = await createLeaf('spiffe://cluster.local/ns/a/sa/b', east, now);
  const [above, middle, below] = [root, east, leaf].map(
    ({ certificate }) => new X509Certificate(certificate),
  );
  t.ok(above?.ca && middle?.ca && !below?.ca);
  t.ok(middle?.checkIssued(above!) && middle.verify(above!.publicKey));
  t.ok(below?.checkIssued(middle!) && below.verify(middle!.publicKey));
  t.equal(below?.subjectAltName, 'URI:spiffe://cluster.local/ns/a/sa/b');
  t.ok(middle!.validToDate < above!.validToDate);
  const { data } = certificateAuthority('cacerts', root, east) as unknown as { data: Record<string, string> };
  t.same(Object.keys(data).toSorted(), ['ca-cert.pem', 'ca-key.pem', 'cert-chain.pem', 'root-cert.pem']);
  const chain = Buffer.from(data['cert-chain.pem'] ?? '', 'base64').toString('utf8');
  t.equal(chain.match(/BEGIN CERTIFICATE/g)?.length, 2);
  t.notMatch(Buffer.from(data['root-cert.pem'] ?? '', 'base64').toString('utf8'), /PRIVATE/);
});

t.test('a remote secret says where it leads, whoever wrote it', async (t) => {
  const secret = remoteSecret({
    cluster: 'west',
    server: 'https://10.2.0.2:6443',
    authority: 'QQ==',
    token: 'abc.def',
  });
  t.match(secret.metadata.labels, { 'istio/multiCluster': 'true' });
  t.same(accessIn(secret, 'west'), { server: 'https://10.2.0.2:6443', token: 'abc.def' });
  t.same(accessIn(secret, 'east'), {});
  const yaml =
    'clusters:\n- cluster:\n    server: https://127.0.0.1:40000\n  name: west\nusers:\n- user:\n    token: xyz\n';
  const byIstioctl = { ...secret, data: { west: Buffer.from(yaml).toString('base64') } };
  t.same(accessIn(byIstioctl, 'west'), { server: 'https://127.0.0.1:40000', token: 'xyz' });
  t.ok(
    isLoopback('https://127.0.0.1:40000') &&
      isLoopback('https://localhost:1') &&
      isLoopback('https://[::1]:1'),
  );
  t.notOk(isLoopback('https://10.2.0.2:6443'));
});

t.test('gateways with an address, pods with a proxy', async (t) => {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'gateway' } };
  t.notOk(hasAddress({ ...service, spec: {}, status: { loadBalancer: {} } }));
  t.ok(hasAddress({ ...service, spec: { externalIPs: ['10.1.0.2'] } }));
  t.ok(hasAddress({ ...service, status: { loadBalancer: { ingress: [{ ip: '10.1.0.2' }] } } }));
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } };
  t.notOk(hasProxy({ ...pod, spec: { containers: [{ name: 'agent' }] } }));
  t.ok(
    hasProxy({
      ...pod,
      spec: { containers: [{ name: 'agent' }], initContainers: [{ name: 'istio-proxy' }] },
    }),
  );
});

t.test('services that are shared', async (t) => {
  const intent = {
    kind: 'share-service',
    namespace: 'mcnet',
    service: 'echo',
    preference: 'prefer-local',
    ejectFailing: true,
  } as const;
  const [rule, route] = sharingObjects(intent, 'team-mcnet', { ...TIMERS['as-configured'], apart: false });
  t.match(rule, {
    kind: 'DestinationRule',
    metadata: { name: 'echo', namespace: 'team-mcnet' },
    spec: {
      host: 'echo.team-mcnet.svc.cluster.local',
      trafficPolicy: {
        loadBalancer: {
          localityLbSetting: { enabled: true, failoverPriority: ['topology.istio.io/cluster'] },
        },
        outlierDetection: { baseEjectionTime: '60s', maxEjectionPercent: 75 },
      },
    },
  });
  t.match(route, { kind: 'VirtualService', spec: { hosts: ['echo.team-mcnet.svc.cluster.local'] } });
  const [spread] = sharingObjects({ ...intent, preference: 'spread' }, 'mcnet', {
    ...TIMERS.fast,
    apart: true,
  });
  t.match(spread, {
    spec: {
      trafficPolicy: {
        loadBalancer: { localityLbSetting: { enabled: false } },
        connectionPool: { http: { maxRequestsPerConnection: 10 } },
      },
    },
  });
  const { ejectFailing: _, ...lasting } = intent;
  const objects = sharingObjects(lasting, 'mcnet', { ...TIMERS.fast, apart: false });
  t.notMatch(objects, [{ spec: { trafficPolicy: { outlierDetection: {} } } }], 'slow is not failed');
  t.notMatch(objects, [{ spec: { trafficPolicy: { connectionPool: {} } } }], 'an empty one is refused');
  t.equal(objects.length, 1);
});

t.test('mutual TLS and policies by identity', async (t) => {
  const base = { kind: 'mutual-tls', namespace: 'mcnet', target: {}, mode: 'required' } as const;
  t.match(peerAuthentication(base, 'mcnet'), {
    metadata: { name: 'default' },
    spec: { mtls: { mode: 'STRICT' } },
  });
  const loose = peerAuthentication({ ...base, target: { app: 'echo' }, mode: 'accepted' }, 'mcnet');
  t.match(loose, {
    metadata: { name: 'default-app-echo' },
    spec: { selector: { matchLabels: { app: 'echo' } }, mtls: { mode: 'PERMISSIVE' } },
  });
  const policy = {
    kind: 'identity-policy',
    name: 'guard',
    namespace: 'mcnet',
    target: { app: 'guarded' },
    allow: [{ namespace: 'mcnet', serviceAccount: 'client' }, { namespace: 'other' }],
  } as const;
  t.match(
    authorizationPolicy(policy, (name) => `team-${name}`),
    {
      metadata: { name: 'guard', namespace: 'team-mcnet' },
      spec: {
        action: 'ALLOW',
        rules: [
          {
            from: [
              { source: { principals: ['cluster.local/ns/team-mcnet/sa/client'] } },
              { source: { namespaces: ['team-other'] } },
            ],
          },
        ],
      },
    },
  );
  t.equal(
    (authorizationPolicy({ ...policy, allow: [] }, String).spec as { rules?: unknown }).rules,
    undefined,
  );
  const [, , byIdentity] = createIstio(OPTIONS).handlers;
  t.equal(byIdentity?.supports(policy), true);
  t.match(
    byIdentity?.supports({ ...policy, allow: [{ namespace: 'mcnet', cluster: 'west' }] }),
    /do not say in which cluster/,
  );
});

t.test('who called, out of the header of a proxy', async (t) => {
  t.same(callersIn('By=spiffe://a/ns/x/sa/y;Hash=ab;Subject="";URI=spiffe://a/ns/x/sa/client'), [
    'spiffe://a/ns/x/sa/client',
  ]);
  t.same(callersIn('URI=spiffe://one,By=x;URI=spiffe://two'), ['spiffe://one', 'spiffe://two']);
  t.same(callersIn(String.raw`Subject="CN=a,O=\"b;URI=spiffe://forged\"";URI=spiffe://true`), [
    'spiffe://true',
  ]);
  t.same(callersIn(''), []);
  const { claim, identityOf, dialect } = istioIdentities(new ControlPlanes('multi-primary'));
  t.same(callersIn(claim('spiffe://somebody')), ['spiffe://somebody']);
  const spec = { namespace: 'mcnet', name: 'echo-1', labels: {} };
  t.equal(identityOf(spec, 'east'), 'spiffe://cluster.local/ns/mcnet/sa/echo-1');
  t.equal(identityOf({ ...spec, serviceAccount: 'shop' }, 'east'), 'spiffe://cluster.local/ns/mcnet/sa/shop');
  t.match(dialect({ namespace: 'mcnet', name: 'echo' }, 8090), {
    serverName: 'outbound_.8090_._.echo.mcnet.svc.cluster.local',
  });
});

t.test('what proxies say of themselves', async (t) => {
  const { certificate } = await createRoot('root', validFor(1, now));
  const dump = {
    configs: [
      { secret: { tls_certificate: { private_key: { inline_bytes: 'W3JlZGFjdGVkXQ==' } } } },
      {
        secret: {
          validation_context: { trusted_ca: { inline_bytes: Buffer.from(certificate).toString('base64') } },
        },
      },
    ],
  };
  t.same(
    authoritiesIn(JSON.stringify(dump)).map((pem) => pem.trim()),
    [certificate.trim()],
  );
  t.same(authoritiesIn('{}'), []);
  t.same(
    handshakesIn(
      [
        'listener.0.0.0.0_15006.ssl.versions.TLSv1.3: 4',
        'listener.10.0.0.1_8090.ssl.versions.TLSv1.3: 1',
        'listener.0.0.0.0_15006.ssl.curves.X25519MLKEM768: 5',
        'listener.0.0.0.0_15006.ssl.curves.P-256: 0',
        'cluster.outbound.ssl.versions.TLSv1.2: 9',
      ].join('\n'),
    ),
    { 'TLSv1.3': 5, X25519MLKEM768: 5 },
  );
});

t.test('only what is called by name gets a proxy, and the proxy leaves the rest alone', async (t) => {
  const spec = { namespace: 'mcnet', name: 'echo-1', labels: { app: 'echo' } };
  t.equal(decorate(spec), spec);
  t.match(decorate({ ...spec, overServices: true }), {
    labels: { app: 'echo', 'sidecar.istio.io/inject': 'true' },
    annotations: { 'traffic.sidecar.istio.io/excludeInboundPorts': '7000,7001,8080,8082,5201' },
  });
});

t.test('a network of its own for each cluster has no way from pod to pod', async (t) => {
  const flat = createIstio(OPTIONS);
  const apart = createIstio({ ...OPTIONS, istioTopology: 'multi-network' });
  t.equal(flat.conformanceClass, 'mesh-flat');
  t.equal(apart.conformanceClass, 'mesh-gateway');
  t.ok(flat.features.includes('l3.pod') && !apart.features.includes('l3.pod'));
  t.equal(apart.requirements().kubernetes?.podRoutes, false);
  t.equal(flat.budgets?.['failover.crash.failback']?.value, 75_000);
});
