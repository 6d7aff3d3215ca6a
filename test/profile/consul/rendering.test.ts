import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import t from 'tap';
import {
  type Treatment,
  callerDefaults,
  exportedServices,
  intentions,
  meshEntries,
  protocolEntries,
  routeEntries,
  treatedIn,
  treatments,
} from '../../../lib/profile/consul/entries.ts';
import {
  authorityRequest,
  includesCertificate,
  isSignedBy,
  withAnotherRoot,
} from '../../../lib/profile/consul/authority.ts';
import { saidIn } from '../../../lib/profile/consul/diagnose.ts';
import { writable } from '../../../lib/profile/consul/faults.ts';
import { consulIdentities } from '../../../lib/profile/consul/identities.ts';
import { createConsul } from '../../../lib/profile/consul/index.ts';
import { likeliestFirst, peeringLink } from '../../../lib/profile/consul/links.ts';
import { carriedPorts, clusterIdOf, servicesOf, spiffeId } from '../../../lib/profile/consul/names.ts';
import { gatewayObjects, serverConfiguration, serverObjects } from '../../../lib/profile/consul/objects.ts';
import { Peers } from '../../../lib/profile/consul/clusters.ts';
import { createIntermediate, createRoot, validFor } from '../../../lib/profile/common/certificates.ts';
import { handshakesIn } from '../../../lib/profile/common/envoy.ts';
import { authoritiesIn, knowsService, leavesIn, takesFor } from '../../../lib/profile/consul/proxies.ts';
import { enforces } from '../../../lib/profile/consul/security.ts';
import { coalescing } from '../../../lib/profile/consul/share.ts';
import { registrationOf } from '../../../lib/profile/consul/sidecars.ts';
import { establishRequest, isRefusal, tokenIn } from '../../../lib/profile/consul/tokens.ts';
import type { Topology } from '../../../lib/model/topology.ts';
import { COMPANION_FOLDER, PORTS, type ServiceSpec, type WorkloadSpec } from '../../../lib/model/workload.ts';

const TOPOLOGY: Topology = {
  kind: 'full-mesh',
  hub: 'east',
  members: [{ name: 'east' }, { name: 'west' }, { name: 'north' }],
};
const OPTIONS = {
  topology: TOPOLOGY,
  families: ['ipv4'],
  images: {},
  tools: {},
  charts: {},
  kubernetes: {},
  consulGateways: 'local',
  tuning: 'as-configured',
} as const;
const IMAGES = { consul: 'consul:1', consulEnvoy: 'envoy:1' };

const service = (name: string, ...ports: number[]): ServiceSpec => ({
  name,
  namespace: 'mcnet',
  selector: { app: name },
  healthPort: PORTS.service,
  ports: ports.map((port) => ({ name: `p${port}`, port, protocol: 'tcp' })),
});
const workload = (name: string, app = name): WorkloadSpec => ({
  name,
  namespace: 'mcnet',
  labels: { app },
  overServices: true,
});

t.test(
  'a service of several ports is several of Consul, and of ports that are not carried none',
  async (t) => {
    t.strictSame(
      carriedPorts(service('guarded', PORTS.service, PORTS.serviceTcp, PORTS.echo), 'mcnet').map(
        ({ name, protocol }) => [name, protocol],
      ),
      [
        ['guarded-mcnet', 'http'],
        ['guarded-mcnet-tcp', 'tcp'],
      ],
    );
    t.strictSame(carriedPorts({ ...service('echo', PORTS.service), headless: true }, 'mcnet'), []);
  },
);

t.test('what stands beside a workload', async (t) => {
  const { decorate } = createConsul(OPTIONS);
  const services = [
    service('echo', PORTS.service, PORTS.echo),
    service('guarded', PORTS.service, PORTS.serviceTcp),
    { ...service('drill', PORTS.backends), selector: { app: 'echo' } },
  ];
  const outside: WorkloadSpec = { name: 'outsider', namespace: 'mcnet', labels: {} };
  t.equal(decorate(outside, 'east', services), outside);

  const echo = decorate(workload('echo-1', 'echo'), 'east', services);
  t.strictSame(servicesOf(echo), ['echo-1-mcnet', 'echo-mcnet', 'drill-mcnet']);
  const [init, proxies, registrar] = echo.companions ?? [];
  t.match(init, { first: true, ownsNetwork: true });
  t.notOk(proxies?.ownsNetwork);
  const script = init?.command.at(-1) ?? '';
  t.equal(script.match(/agent\/service\/register"$/gm)?.length, 3);
  t.equal(proxies?.command.at(-1)?.match(/^envoy /gm)?.length, 3);
  t.equal(registrar?.command.at(-1)?.match(/deregister/g)?.length, 3);

  // A workload that is called like the service that selects it has one proxy for both.
  t.strictSame(servicesOf(decorate(workload('guarded'), 'east', services)), [
    'guarded-mcnet',
    'guarded-mcnet-tcp',
  ]);

  const caller = decorate(workload('client'), 'east', services).companions?.[0]?.command.at(-1) ?? '';
  const redirects = [...caller.matchAll(/--dport (\d+)(.*) -j REDIRECT --to-ports (\d+)/g)];
  t.strictSame(
    redirects.slice(0, 3).map(([, port, share = '', to]) => [port, share.trim(), to]),
    [
      ['8090', '-m statistic --mode random --probability 0.333333', '21000'],
      ['8090', '-m statistic --mode random --probability 0.500000', '21001'],
      ['8090', '', '21002'],
    ],
    'connections are spread evenly',
  );
  t.equal(redirects.length, 4 * 3);
  const answering = { ...workload('client'), answersOnly: true as const };
  const answers = decorate(answering, 'east', services).companions?.[0]?.command.at(-1);
  t.notMatch(answers, 'DestinationName');
  t.notMatch(answers, '/v1/config');
  t.match(
    caller.replaceAll('\\"', '"'),
    /"DestinationName":"guarded-mcnet-tcp-from-north".*"LocalBindPort":21008/,
  );
});

t.test(
  'proxies of one workload are started alike, but for who they are and where they are asked',
  async (t) => {
    const { decorate } = createConsul({ ...OPTIONS, tuning: 'fast' });
    const folder = t.testdir({
      // As Consul lays it out.
      consul: `#!/bin/sh
echo '{
  "admin": {
    "address": {
      "socket_address": {
        "address": "127.0.0.1",
        "port_value": 19000
      }
    }
  },
  "node": {
    "cluster": "echo-1-mcnet",
    "id": "echo-1-mcnet-echo-1-sidecar-proxy"
  },
  "static_layer": {
    "re2.max_program_size.error_level": 1048576
  },
  "port_value": 8502
}'`,
      curl: '#!/bin/sh\ncat > "$FOLDER/asked"',
      companions: {},
    });
    for (const program of ['consul', 'curl']) chmodSync(path.join(folder, program), 0o755);
    const script = (
      decorate(workload('echo-1', 'echo'), 'east', [
        service('echo', PORTS.service),
      ]).companions?.[0]?.command.at(-1) ?? ''
    )
      .split('\n')
      .filter((line) => !line.startsWith('iptables') && !line.startsWith('address='))
      .join('\n')
      .replaceAll(COMPANION_FOLDER, path.join(folder, 'companions'));
    const child = spawn('sh', ['-ec', script], {
      env: { ...process.env, PATH: `${folder}:${process.env['PATH']}`, FOLDER: folder, POD_IP: '10.0.0.9' },
      stdio: 'ignore',
    });
    t.equal(await new Promise((resolve) => child.on('close', resolve)), 0);
    t.match(
      readFileSync(path.join(folder, 'asked'), 'utf8'),
      /^fail-early$[\s\S]*\\"Address\\":\\"10\.0\.0\.9\\"/m,
    );
    const [first, second] = [0, 1].map(
      (index) =>
        JSON.parse(readFileSync(path.join(folder, 'companions', `${index}.json`), 'utf8')) as Record<
          string,
          unknown
        >,
    );
    t.match(first, { node: { cluster: 'echo-1-mcnet', id: 'echo-1-mcnet-echo-1-sidecar-proxy' } });
    t.strictSame(second, {
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: 19_001 } } },
      node: { cluster: 'echo-mcnet', id: 'echo-mcnet-echo-1-sidecar-proxy' },
      port_value: 8_502,
      static_layer: {
        'outlier_detection.base_ejection_time_ms': 3_000,
        'outlier_detection.max_ejection_time_ms': 3_000,
        're2.max_program_size.error_level': 1_048_576,
      },
    });
    const budgetOf = (tuning: 'as-configured' | 'fast') =>
      createConsul({ ...OPTIONS, tuning }).budgets?.['failover.cluster-gone.failback']?.value;
    t.strictSame([budgetOf('as-configured'), budgetOf('fast')], [75_000, 21_000]);
  },
);

t.test('forbidden clusters are no routes, and a prefix is in the names of services', async (t) => {
  const { decorate } = createConsul({
    ...OPTIONS,
    topology: {
      ...TOPOLOGY,
      members: [
        { name: 'east', segments: ['a'] },
        { name: 'west', segments: ['b'] },
      ],
    },
    kubernetes: { namespace: 'mine' },
  });
  const script = decorate(workload('client'), 'east', [
    service('echo', PORTS.service),
  ]).companions?.[0]?.command.at(-1);
  t.match(script, 'getent ahostsv4 echo.mine-mcnet.svc');
  t.notMatch(script, 'from-west');
});

t.test('a registration is checked through its own proxy', async (t) => {
  t.match(registrationOf({ name: 'drill-mcnet', port: 9_003, protocol: 'http' }, 2, 'echo-1'), {
    ID: 'drill-mcnet-echo-1',
    Port: 9_003,
    Check: { HTTP: 'http://@POD_IP@:21502/healthz' },
    Connect: {
      SidecarService: {
        Port: 20_002,
        Proxy: { Expose: { Paths: [{ LocalPathPort: 9_003, ListenerPort: 21_502 }] } },
      },
    },
  });
  t.match(registrationOf({ name: 'echo-mcnet', port: PORTS.service, protocol: 'http' }, 0, 'echo-1'), {
    Connect: { SidecarService: { Proxy: { Expose: { Paths: [{ LocalPathPort: PORTS.http }] } } } },
  });
});

t.test('proxies of backends that come and go run only while there is one', async (t) => {
  const { decorate } = createConsul(OPTIONS);
  const backend = createServer();
  const { port } = await new Promise<AddressInfo>((resolve) =>
    backend.listen(0, '127.0.0.1', () => resolve(backend.address() as AddressInfo)),
  );
  await new Promise((resolve) => backend.close(resolve));
  const services: ServiceSpec[] = [
    service('echo', PORTS.service),
    { ...service('drill', port), selector: { app: 'echo' }, startedBackends: true },
  ];
  const [, proxies] = decorate(workload('echo-1', 'echo'), 'east', services).companions ?? [];
  const [shell = '', , script = ''] = proxies?.command ?? [];
  t.equal(shell, 'bash');
  t.equal(script.match(/^envoy .* lasting\+=/gm)?.length, 2);
  t.match(script, `ports=([2]=${port})`);
  t.equal(proxies?.memory, '64Mi');

  // In place of Envoy something that lives as long, and says where it was started.
  const folder = t.testdir({ envoy: '#!/bin/sh\necho "$2 $PPID" >> "$LOG"\nexec sleep 60\n' });
  const log = path.join(folder, 'log');
  writeFileSync(log, '');
  chmodSync(path.join(folder, 'envoy'), 0o755);
  const child = spawn(shell, ['-c', script], {
    detached: true,
    env: { ...process.env, PATH: `${folder}:${process.env['PATH']}`, LOG: log },
    stdio: 'ignore',
  });
  t.teardown(() => process.kill(-(child.pid ?? 0), 'SIGKILL'));
  const started = (): string[] =>
    [...readFileSync(log, 'utf8').matchAll(/(\d+)\.json/g)].map(([, index = '']) => index);
  const until = async (wanted: readonly string[]): Promise<string[]> => {
    for (let tries = 0; tries < 200 && started().toSorted().join() !== wanted.join(); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return started().toSorted();
  };
  t.strictSame(await until(['0', '1']), ['0', '1']);
  backend.listen(port, '127.0.0.1');
  t.teardown(() => backend.close());
  t.strictSame(await until(['0', '1', '2']), ['0', '1', '2']);
});

t.test('who calls by names of peers has a proxy for whatever servers give addresses to', async (t) => {
  const { decorate } = createConsul(OPTIONS);
  const scriptOf = (spec: WorkloadSpec) =>
    (decorate(spec, 'east', []).companions?.[0]?.command.at(-1) ?? '').replaceAll('\\"', '"');
  const plain = scriptOf(workload('client'));
  t.notMatch(plain, 'transparent');
  t.notMatch(plain, '240.0.0.0/4');
  const script = scriptOf({ ...workload('by-name'), callsByPeerName: true });
  t.match(script, '"Mode":"transparent","TransparentProxy":{"OutboundListenerPort":15001}');
  t.match(script, '-d 240.0.0.0/4 -j REDIRECT --to-ports 15001');
  const { peerNames } = createConsul(OPTIONS);
  const echo = { name: 'echo', namespace: 'mcnet' };
  t.equal(peerNames?.serviceName(echo, 'west'), 'echo-mcnet.virtual.west.consul');
  t.equal(peerNames?.instancesName(echo, 'west'), 'echo-mcnet.service.west.peer.consul');
});

t.test('callers leave by the gateways that were asked for', async (t) => {
  t.match(meshEntries('remote'), [{ Kind: 'mesh' }, { MeshGateway: { Mode: 'remote' } }]);
  t.ok(createConsul(OPTIONS).features.includes('own-gateway'));
  t.ok(createConsul({ ...OPTIONS, consulGateways: 'remote' }).features.includes('no-own-gateway'));
});

t.test('tokens of peerings', async (t) => {
  t.equal(tokenIn('{"PeeringToken":"abc"}'), 'abc');
  t.ok(
    isRefusal(
      'rpc error: code = PermissionDenied desc = a new peering token must be generated: invalid peering establishment secret',
    ),
  );
  t.notOk(isRefusal('failed to dial peer: context deadline exceeded'), 'no judgement of the token');
  t.match(establishRequest('west', 'abc'), { body: { PeerName: 'west', PeeringToken: 'abc' } });
});

t.test('routes lead to one cluster first and to the others after it', async (t) => {
  const echo = { name: 'echo-mcnet', port: PORTS.service, protocol: 'http' } as const;
  const place = { cluster: 'east', peers: ['west', 'north'] };
  const targetsOf = (entries: ReturnType<typeof routeEntries>) =>
    entries
      .filter(({ Kind }) => Kind === 'service-resolver')
      .map(({ Failover }) =>
        (Failover as { '*': { Targets: { Peer?: string }[] } })['*'].Targets.map(({ Peer = 'own' }) => Peer),
      );
  t.strictSame(targetsOf(routeEntries({ preference: 'spread' }, echo, place)), [
    ['own', 'west', 'north'],
    ['west', 'own', 'north'],
    ['north', 'own', 'west'],
  ]);
  t.strictSame(targetsOf(routeEntries({ preference: 'prefer-remote' }, echo, place)), [
    ['west', 'north', 'own'],
    ['west', 'north', 'own'],
    ['north', 'west', 'own'],
  ]);
  t.strictSame(targetsOf(routeEntries({ preference: 'prefer-local' }, echo, place)), [
    ['own', 'west', 'north'],
    ['own', 'west', 'north'],
    ['own', 'west', 'north'],
  ]);
  const kinds = (entries: { Kind: string }[]) => [...new Set(entries.map(({ Kind }) => Kind))];
  t.strictSame(kinds(routeEntries({ preference: 'spread', ejectFailing: true }, echo, place)), [
    'service-resolver',
    'service-router',
  ]);
  const tcp = { ...echo, protocol: 'tcp' } as const;
  t.strictSame(kinds(routeEntries({ preference: 'spread', ejectFailing: true }, tcp, place)), [
    'service-defaults',
    'service-resolver',
  ]);
  t.strictSame(protocolEntries(tcp), [{ Kind: 'service-defaults', Name: 'echo-mcnet', Protocol: 'tcp' }]);
});

t.test('exports name each peer, and callers by name keep gateways', async (t) => {
  t.strictSame(exportedServices(['b', 'a'], ['west']), {
    Kind: 'exported-services',
    Name: 'default',
    Services: [
      { Name: 'a', Consumers: [{ Peer: 'west' }] },
      { Name: 'b', Consumers: [{ Peer: 'west' }] },
    ],
  });
  const client = { name: 'client-mcnet' };
  t.match(callerDefaults({ ...client, byPeerName: true }, new Map()), {
    UpstreamConfig: { Defaults: { PassiveHealthCheck: { EnforcingConsecutive5xx: 0 } } },
  });
  t.match(callerDefaults(client, new Map()), {
    UpstreamConfig: { Defaults: { PassiveHealthCheck: { MaxFailures: 10 } } },
  });
  t.notMatch(JSON.stringify(callerDefaults(client, new Map())), 'Overrides');
  const treated = new Map<string, Treatment>([
    ['y', 'kept'],
    ['x', 3],
  ]);
  t.match(callerDefaults(client, treated), {
    UpstreamConfig: {
      Overrides: [
        { Name: 'x', PassiveHealthCheck: { MaxFailures: 3 } },
        { Name: 'y', PassiveHealthCheck: { EnforcingConsecutive5xx: 0 } },
      ],
    },
  });
});

t.test('servers know of callers what they must before these register', async (t) => {
  const { decorate } = createConsul(OPTIONS);
  const services = [
    service('echo', PORTS.service),
    service('guarded', PORTS.serviceTcp),
    service('near', PORTS.backends),
  ];
  const share = (name: string, preference: 'spread' | 'prefer-local') => ({
    kind: 'share-service' as const,
    namespace: 'mcnet',
    service: name,
    preference,
  });
  const saidOf = (spec: WorkloadSpec) => {
    const script =
      decorate(spec, 'east', services, [
        share('echo', 'spread'),
        { ...share('near', 'prefer-local'), ejectFailing: true },
        share('elsewhere', 'prefer-local'),
      ]).companions?.[0]?.command.at(-1) ?? '';
    const told = [...script.matchAll(/url = "[^"]*(\/v1\/[^"]*)"\nrequest = "PUT"\ndata-binary = "(.*)"/g)];
    return told.map(([, path = '', body = '']) => ({
      path,
      body: JSON.parse(body.replaceAll(/\\(.)/g, '$1')) as { Name: string },
    }));
  };
  const said = saidOf(workload('client'));
  const last = said.findLastIndex(({ path }) => path === '/v1/config');
  t.ok(said.slice(last + 1).every(({ path }) => path === '/v1/agent/service/register'));
  t.strictSame(
    said.slice(0, last + 1).map(({ body }) => body.Name),
    [
      'client-mcnet',
      'guarded-mcnet-tcp',
      ...['east', 'west', 'north'].map((to) => `guarded-mcnet-tcp-from-${to}`),
    ],
  );
  t.match(said[0]?.body, {
    UpstreamConfig: {
      Overrides: ['east', 'north', 'west'].map((to) => ({
        Name: `near-mcnet-from-${to}`,
        PassiveHealthCheck: { MaxFailures: 3 },
      })),
    },
  });
  const byName = saidOf({ ...workload('client'), answersOnly: true, callsByPeerName: true });
  t.match(byName[0]?.body, {
    UpstreamConfig: { Defaults: { PassiveHealthCheck: { EnforcingConsecutive5xx: 0 } } },
  });
  t.equal(byName.filter(({ path }) => path === '/v1/config').length, 1);
});

t.test('who asks while something is under way is served by the next time', async (t) => {
  const ends: ((value: number) => void)[] = [];
  const ask = coalescing(() => new Promise<number>((resolve) => ends.push(resolve)));
  const first = ask();
  await Promise.resolve();
  await Promise.resolve();
  const [second, third] = [ask(), ask()];
  t.equal(ends.length, 1);
  ends[0]?.(1);
  t.equal(await first, 1);
  await new Promise((resolve) => setImmediate(resolve));
  ends[1]?.(2);
  t.strictSame(await Promise.all([second, third]), [2, 2]);
  t.equal(ends.length, 2);
  const failing = coalescing(() => Promise.reject(new Error('refused')));
  await t.rejects(failing(), /refused/);
  await t.rejects(failing(), /refused/, 'a failure does not end it');
});

t.test('what callers were told of failures is read again by whoever comes after', async (t) => {
  const told = new Map<string, Treatment>([
    ['echo-mcnet-from-east', 'kept'],
    ['echo-mcnet-from-west', 3],
  ]);
  t.strictSame(treatedIn(callerDefaults({ name: 'client-mcnet' }, told)), told);
  t.strictSame(treatedIn(callerDefaults({ name: 'client-mcnet' }, new Map())), new Map());
  t.strictSame(treatedIn(undefined), new Map());
});

t.test('callers give a peer up only where it may come before others', async (t) => {
  const two = { cluster: 'east', peers: ['west'] };
  const three = { cluster: 'east', peers: ['west', 'north'] };
  const of = (sharing: Parameters<typeof treatments>[0], place: typeof two): unknown => {
    const all = treatments(sharing, ['echo-mcnet'], place);
    t.strictSame(
      all.map(([route]) => route),
      [place.cluster, ...place.peers].map((cluster) => `echo-mcnet-from-${cluster}`),
    );
    const [treatment, ...others] = new Set(all.map(([, one]) => one));
    t.strictSame(others, []);
    return treatment;
  };
  t.equal(of({ preference: 'prefer-local', ejectFailing: true }, two), 'kept');
  t.equal(of({ preference: 'prefer-local', ejectFailing: true }, three), 3);
  t.equal(of({ preference: 'prefer-local' }, three), 10);
  t.equal(of({ preference: 'spread', ejectFailing: true }, two), 3);
  t.equal(of({ preference: 'spread' }, two), 10);
  const budgetsOf = (members: Topology['members']) =>
    Object.keys(createConsul({ ...OPTIONS, topology: { ...TOPOLOGY, members } }).budgets ?? {});
  t.ok(budgetsOf(TOPOLOGY.members).includes('sharing.prefer-local.convergence'));
  t.notOk(budgetsOf(TOPOLOGY.members.slice(0, 2)).includes('sharing.prefer-local.convergence'));
});

t.test('intentions name callers of each cluster and refuse all others of each', async (t) => {
  const place = { cluster: 'east', peers: ['west'] };
  const sources = (allow: Parameters<typeof intentions>[0]['allow']) =>
    intentions({ allow }, 'guarded-mcnet', place)['Sources'];
  const denied = [
    { Name: '*', Action: 'deny' },
    { Name: '*', Peer: 'west', Action: 'deny' },
  ];
  t.strictSame(sources([]), denied);
  t.strictSame(sources([{ namespace: 'mcnet', serviceAccount: 'client' }]), [
    { Name: 'client-mcnet', Action: 'allow' },
    { Name: 'client-mcnet', Peer: 'west', Action: 'allow' },
    ...denied,
  ]);
  t.strictSame(sources([{ namespace: 'mcnet', serviceAccount: 'client', cluster: 'west' }]), [
    { Name: 'client-mcnet', Peer: 'west', Action: 'allow' },
    ...denied,
  ]);
  const handler = createConsul(OPTIONS).handlers.find(({ name }) => name === 'consul-intentions');
  const intent = { kind: 'identity-policy', name: 'x', namespace: 'mcnet', target: {} } as const;
  t.equal(handler?.supports({ ...intent, allow: [{ namespace: 'mcnet', serviceAccount: 'a' }] }), true);
  t.type(handler?.supports({ ...intent, allow: [{ namespace: 'mcnet' }] }), 'string');
});

t.test('a policy is in force when the proxy has it', async (t) => {
  const allow = [{ namespace: 'mcnet', serviceAccount: 'client' }];
  t.notOk(enforces('"envoy.filters.http.router"', { allow: [] }));
  t.ok(enforces('"envoy.filters.http.rbac"', { allow: [] }));
  t.notOk(enforces('"envoy.filters.network.rbac"', { allow }));
  t.ok(enforces('"envoy.filters.network.rbac" "/dc/[^/]+/svc/client-mcnet"', { allow }));
});

t.test('what was read of an entry can be written again', async (t) => {
  t.strictSame(
    writable({
      Kind: 'service-intentions',
      Name: 'a',
      CreateIndex: 1,
      ModifyIndex: 2,
      Sources: [{ Name: 'b', Action: 'allow', Precedence: 9, Type: 'consul' }],
    }),
    { Kind: 'service-intentions', Name: 'a', Sources: [{ Name: 'b', Action: 'allow' }] },
  );
});

t.test('objects of a cluster', async (t) => {
  const objects = [
    ...serverObjects({ run: 'abc123', cluster: 'east', node: 'n1' }, IMAGES),
    ...gatewayObjects(IMAGES),
  ];
  t.strictSame(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    [
      'Namespace mcnet-consul',
      'ConfigMap consul-server',
      'Service consul-server',
      'Service consul-dns',
      'Deployment consul-server',
      'Service mesh-gateway',
      'Deployment mesh-gateway',
    ],
  );
  t.match(serverConfiguration('abc123', 'east'), {
    datacenter: 'east',
    peering: { enabled: true },
    connect: { ca_config: { cluster_id: clusterIdOf('abc123', 'east') } },
  });
});

t.test('each cluster has a trust domain of its own, and gateways are no callers', async (t) => {
  t.match(
    clusterIdOf('abc123', 'east'),
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  t.not(clusterIdOf('abc123', 'east'), clusterIdOf('abc123', 'west'));
  const { callersIn, claim } = consulIdentities(new Peers());
  const caller = spiffeId('abc123', 'east', 'client-mcnet');
  t.match(caller, /^spiffe:\/\/[0-9a-f-]{36}\.consul\/ns\/default\/dc\/east\/svc\/client-mcnet$/);
  const gateway = 'spiffe://0.consul/gateway/mesh/dc/west';
  t.strictSame(callersIn(`${claim(caller)},${claim(gateway)}`), [caller]);
});

t.test('peerings by what the server says', async (t) => {
  t.match(peeringLink('east', 'west', []), { cause: 'peering-missing', what: /no peering/ });
  t.match(peeringLink('east', 'west', [{ Name: 'west', State: 'FAILING' }]), { what: /FAILING/ });
  t.equal(peeringLink('east', 'west', [{ Name: 'west', State: 'ACTIVE' }]), undefined);
});

t.test('a peering that is lost for want of a gateway is not what is wrong', async (t) => {
  const links = (['peering-missing', 'proxy-missing', 'gateway-down', 'peering-missing'] as const).map(
    (cause, index) => ({ cause, what: String(index) }),
  );
  t.strictSame(
    likeliestFirst(links).map(({ what }) => what),
    ['2', '1', '0', '3'],
  );
});

t.test('the log of a server, without what it says over and over', async (t) => {
  const noise = '2026-11-26 [WARN]  agent: Check is now critical: check=echo-mcnet-echo-1-health';
  t.equal(saidIn([noise, '[ERROR] no leader', noise].join('\n')), '[ERROR] no leader');
});

t.test('a gateway lets a peer call a service when it takes connections for the name of both', async (t) => {
  const names = '"echo-mcnet.default.default.west.external.8e96ddf9.consul"\n';
  t.equal(takesFor(names, 'echo-mcnet', 'west'), true);
  t.equal(takesFor(names, 'echo-mcnet', 'north'), false);
  t.equal(takesFor(names, 'mcnet', 'west'), false);
});

t.test('a proxy knows a service of a peer when it has an endpoint of it', async (t) => {
  const endpoints =
    'failover-target~echo-mcnet.default.west.external.80380b7b.consul::10.0.0.7:8443::health_flags::/failed_outlier_check';
  t.ok(knowsService(endpoints, 'echo-mcnet', 'west'), 'whatever it thinks of its health');
  t.notOk(knowsService(endpoints, 'echo-mcnet', 'north'));
  t.notOk(knowsService(endpoints, 'mcnet', 'west'));
});

t.test('authorities and handshakes of a proxy', async (t) => {
  const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
  const dump = {
    configs: [
      { tls_certificate: { certificate_chain: { inline_string: pem('leaf') + pem('above') } } },
      { tls_certificate: { certificate_chain: { inline_string: pem('leaf') } } },
      { validation_context: { trusted_ca: { inline_string: pem('own') } } },
      { typed_config: { trust_domains: [{ trust_bundle: { inline_string: pem('peer') + pem('own') } }] } },
    ],
  };
  t.strictSame(authoritiesIn(JSON.stringify(dump)), [pem('own'), pem('peer')]);
  t.strictSame(leavesIn(JSON.stringify(dump)), [pem('leaf')]);
  t.strictSame(
    handshakesIn('listener.10.0.0.1_20000.ssl.versions.TLSv1.3: 4\nlistener.x.ssl.curves.X25519: 0'),
    {
      'TLSv1.3': 4,
    },
  );
});

t.test('an authority gets another root by another kind of key, and back', async (t) => {
  const before = { Provider: 'consul', Config: { LeafCertTTL: '72h' } };
  const other = withAnotherRoot(before);
  t.strictSame(other, {
    Provider: 'consul',
    Config: { LeafCertTTL: '72h', PrivateKeyType: 'ec', PrivateKeyBits: 384 },
  });
  t.match(withAnotherRoot(other), { Config: { PrivateKeyBits: 256 } });
  t.match(authorityRequest(other, true), { method: 'PUT', body: { ForceWithoutCrossSigning: true } });
  t.match(authorityRequest(before), { body: { ForceWithoutCrossSigning: false } });
  const validity = validFor(1, new Date());
  const [one, another] = await Promise.all([createRoot('one', validity), createRoot('another', validity)]);
  const { certificate } = await createIntermediate('below', one, validity);
  t.ok(isSignedBy(certificate, one.certificate));
  t.notOk(isSignedBy(certificate, another.certificate));
  t.ok(includesCertificate([another.certificate, one.certificate.trim()], one.certificate));
  t.notOk(includesCertificate([another.certificate], one.certificate));
});
