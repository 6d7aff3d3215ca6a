import t, { type Test } from 'tap';
import type { Cluster, Fleet, Gateway, KubernetesObject, Resource } from '../../../lib/model/cluster.ts';
import type { FaultSpec } from '../../../lib/model/fault.ts';
import type { PolicyIntent } from '../../../lib/model/intent.ts';
import { connectProbe } from '../../../lib/probe/client.ts';
import {
  KUBERNETES_FEATURES,
  type KubernetesClusterHandle,
  type KubernetesClusterOptions,
  asKubernetesCluster,
  createKubernetesCluster,
  kubernetesHandlers,
  kubernetesInjectors,
} from '../../../lib/provider/kubernetes/index.ts';
import { executeUndo } from '../../../lib/system/undo.ts';
import {
  type ApiServer,
  type ApiServerOptions,
  type ExecSession,
  failure,
  startApiServer,
} from '../../system/kubernetes/fixtures/apiServer.ts';

const ranges = {
  pods: { ipv4: '10.0.0.0/13' },
  services: { ipv4: '10.8.0.0/14' },
  nodes: { ipv4: '10.12.0.0/16' },
};
const client = { name: 'client', namespace: 'mcnet', labels: { app: 'client' } };
const echo = { name: 'echo-1', namespace: 'mcnet', labels: { app: 'echo' } };
const echoService = {
  name: 'echo',
  namespace: 'mcnet',
  selector: { app: 'echo' },
  ports: [{ name: 'http', port: 8090, protocol: 'tcp' }],
  healthPort: 8080,
} as const;

let hosts = 10;
/** What scheduler, kubelet and API server would make of an object. */
function admit(object: KubernetesObject): KubernetesObject {
  if (object.kind === 'Service') {
    const spec = object['spec'] as Record<string, unknown>;
    return { ...object, spec: { ...spec, clusterIPs: [spec['clusterIP'] ?? '10.8.0.77'] } };
  }
  if (object.kind !== 'Pod' || object['status'] !== undefined) return object;
  return { ...object, status: ready(`10.0.0.${hosts++}`) };
}
const ready = (ip: string) => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True' }],
  podIPs: [{ ip }],
});

/** An agent behind a bridge, and whatever else is run in a pod. */
function exec(session: ExecSession): void {
  if (session.command[0] === 'cat') {
    session.send(1, 'search mcnet.svc.cluster.local svc.cluster.local\nnameserver 10.8.0.10\n');
    session.finish(0);
    return;
  }
  session.onInput((data) => {
    for (const line of data.toString().split('\n')) {
      if (line === '') continue;
      const { id, method } = JSON.parse(line) as { id: number; method: string };
      session.send(1, `${JSON.stringify({ id, result: method === 'received' ? [] : null })}\n`);
    }
  });
}

async function clusterOf(
  t: Test,
  {
    own = true,
    ...options
  }: ApiServerOptions & { own?: boolean; cluster?: Partial<KubernetesClusterOptions> } = {},
): Promise<{
  server: ApiServer;
  cluster: KubernetesClusterHandle;
  ledger: Resource[];
  again: () => KubernetesClusterHandle;
}> {
  const server = await startApiServer(t, { admit, exec, ...options });
  const ledger: Resource[] = [];
  const again = (): KubernetesClusterHandle => {
    const made = createKubernetesCluster({
      run: 'k3x9ab',
      name: 'east',
      ranges,
      families: ['ipv4'],
      fleetRanges: { east: ranges, west: { ...ranges, pods: { ipv4: '10.16.0.0/13' } } },
      kubeconfig: server.kubeconfig,
      context: server.context,
      apiServer: server.url,
      own,
      policyKinds: [],
      gateway: {} as Gateway,
      image: 'probe:1',
      imagePullPolicy: 'IfNotPresent',
      privileged: false,
      nodeSelector: {},
      tolerations: [],
      imagePullSecrets: [],
      expiresAt: '2026-11-25T20:00:00Z',
      ledger: { add: async (resource) => void ledger.push(resource) },
      signal: new AbortController().signal,
      connectProbe,
      ...options.cluster,
    });
    t.teardown(() => made.client.close());
    return made;
  };
  return { server, cluster: again(), ledger, again };
}

t.test('workloads are pods, asked over one session each', async (t) => {
  const { server, cluster } = await clusterOf(t);
  const [first] = await Promise.all([cluster.startWorkload(client), cluster.startWorkload(echo)]);
  t.match(first, { cluster: 'east', spec: client, addresses: { ipv4: /^10\.0\.0\./ } });
  t.match(first?.shell, /^kubectl --kubeconfig .* exec --namespace mcnet client --container agent --$/);
  t.same(
    cluster.workloads.map(({ spec }) => spec.name),
    ['client', 'echo-1'],
  );
  t.ok(server.find('ServiceAccount', 'client'));
  t.equal(
    server.asked.filter(({ path, method }) => method === 'PATCH' && path === '/api/v1/namespaces/mcnet')
      .length,
    1,
  );
  t.same(cluster.dns, { ipv4: '10.8.0.10' });
  const before = cluster.client.counts.execs;
  for (let call = 0; call < 20; call++) t.same(await first?.probe.received(['n']), []);
  t.equal(cluster.client.counts.execs - before, 1, 'however many calls');
  const requests = cluster.client.counts.requests;
  await first?.probe.received(['n']);
  t.equal(cluster.client.counts.requests, requests, 'and none of them is a request');
});

t.test('what a cluster is taken for', async (t) => {
  const { server, cluster } = await clusterOf(t);
  t.equal(asKubernetesCluster(cluster), cluster);
  t.throws(() => asKubernetesCluster({ name: 'east', kind: 'lab' } as unknown as Cluster), {
    name: 'InternalError',
  });
  // Whether pods reach pods of other clusters is the profile's business.
  t.notOk(KUBERNETES_FEATURES.includes('l3.pod'));
  t.same(server.asked, [], 'nothing is asked before there is something to ask');
});

t.test('a session that is cut is opened again', async (t) => {
  const { server, cluster } = await clusterOf(t);
  const { probe } = await cluster.startWorkload(client);
  await probe.received(['n']);
  const session = server.execs.at(-1);
  const closed = new Promise((resolve) => session?.socket.once('close', resolve));
  session?.socket.terminate();
  await closed;
  // The near end may still have to notice.
  const answer = await probe.received(['n']).catch(() => probe.received(['n']));
  t.same(answer, []);
});

t.test('services, and what a later run finds', async (t) => {
  const { cluster, again } = await clusterOf(t);
  await cluster.startWorkload(client);
  await cluster.exposeService(echoService);
  const address = { name: 'echo.mcnet.svc.cluster.local', addresses: { ipv4: '10.8.0.77' } };
  t.same(cluster.serviceAddress(echoService), address);
  await cluster.exposeService({ ...echoService, name: 'headless', headless: true });
  t.same(cluster.serviceAddress({ ...echoService, name: 'headless' }).addresses, {});
  t.throws(() => cluster.serviceAddress({ ...echoService, name: 'nobody' }), { name: 'UserError' });

  const later = again();
  await later.reconnect();
  t.same(
    later.workloads.map(({ spec }) => spec),
    [client],
  );
  t.same(later.workloads[0]?.addresses, cluster.workloads[0]?.addresses);
  t.same(later.serviceAddress(echoService), address);
  t.same(later.dns, { ipv4: '10.8.0.10' });
  t.same(await later.workloads[0]?.probe.received(['n']), []);
});

t.test('a workload is stopped', async (t) => {
  const { server, cluster } = await clusterOf(t);
  const workload = await cluster.startWorkload(client);
  await cluster.stopWorkload(workload);
  t.same(cluster.workloads, []);
  t.notOk(server.find('Pod', 'client'));
});

t.test('backends that checks start are endpoints while they are to be called', async (t) => {
  const { server, cluster } = await clusterOf(t);
  const drill = {
    ...echoService,
    name: 'drill',
    ports: [{ name: 'http', port: 9000, protocol: 'tcp' }],
    healthPort: 9000,
    startedBackends: true,
  } as const;
  const workload = await cluster.startWorkload(echo);
  await cluster.exposeService(drill);
  t.notMatch(server.find('Service', 'drill')?.['spec'], { selector: {} });
  const listed = () => server.find('EndpointSlice', 'drill-ipv4')?.['endpoints'];
  t.same(listed(), []);
  await workload.probe.startBackend({ port: 9001 });
  t.same(listed(), [], 'another port is none of its business');
  await workload.probe.startBackend({ port: 9000 });
  const endpoint = {
    addresses: [workload.addresses.ipv4],
    conditions: { ready: true, serving: true, terminating: false },
    targetRef: { kind: 'Pod', name: 'echo-1', namespace: 'mcnet' },
  };
  t.same(listed(), [endpoint]);
  await workload.probe.disturbBackend(9000, 'freeze');
  await workload.probe.disturbBackend(9000, 'crash');
  t.same(listed(), [endpoint], 'to notice that is for whoever carries the service');
  await workload.probe.startBackend({ port: 9000 });
  await workload.probe.disturbBackend(9000, 'drain');
  t.match(listed(), [{ conditions: { ready: false, serving: true, terminating: true } }]);
  await workload.probe.stopBackend(9000);
  t.same(listed(), []);
  await workload.probe.startBackend({ port: 9000 });
  await cluster.stopWorkload(workload);
  t.same(listed(), []);
});

t.test('policies are put in place, seen, and taken away', async (t) => {
  const [handler] = kubernetesHandlers;
  const { server, cluster } = await clusterOf(t, { cluster: { namespacePrefix: 'team' } });
  const intent: PolicyIntent = {
    kind: 'policy',
    name: 'from-west',
    namespace: 'mcnet',
    target: {},
    direction: 'ingress',
    allow: [{ peers: [{ cluster: 'west' }] }],
  };
  t.equal(handler?.supports(intent), true);
  t.match(
    handler?.supports({ kind: 'share-service', namespace: 'mcnet', service: 'echo', preference: 'spread' }),
    /no intent/,
  );
  const applied = await handler?.apply(intent, cluster);
  t.match(server.find('NetworkPolicy', 'from-west'), {
    metadata: { namespace: 'team-mcnet', labels: { 'mcnet-conformance/run': 'k3x9ab' } },
    spec: { ingress: [{ from: [{ ipBlock: { cidr: '10.16.0.0/13' } }] }] },
  });
  t.equal(await applied?.settled(), true);
  await applied?.undo();
  t.equal(await applied?.settled(), false);
  await applied?.undo();
});

t.test('faults by policies: injected in one cluster, mended from here or from the ledger', async (t) => {
  const { server, cluster, ledger } = await clusterOf(t);
  const fleet = { run: 'k3x9ab', clusters: [cluster] } as unknown as Fleet;
  const [handler] = kubernetesHandlers;
  const policy = (name: string, direction: 'ingress' | 'egress'): PolicyIntent => ({
    kind: 'policy',
    name,
    namespace: 'mcnet-policy-x',
    target: {},
    direction,
    allow: [],
  });
  await handler?.apply(policy('in', 'ingress'), cluster);
  await handler?.apply(policy('out', 'egress'), cluster);
  const standing = () =>
    [...server.objects.values()].flatMap(({ kind, metadata }) =>
      kind === 'NetworkPolicy' ? [metadata.name] : [],
    );
  const inject = async (fault: FaultSpec) =>
    kubernetesInjectors
      .find(({ kinds }) => kinds.includes(fault.kind))
      ?.inject(fault, fleet, { add: async (resource) => void ledger.push(resource) });

  const flushed = await inject({ kind: 'policy-flushed', cluster: 'east' });
  t.same(standing(), []);
  t.equal(await flushed?.tookHold(), true);
  await flushed?.mend();
  t.same(standing(), ['in', 'out']);

  const loosened = await inject({ kind: 'policy-loosened', cluster: 'east', namespace: 'mcnet-policy-x' });
  t.match(server.find('NetworkPolicy', 'mcnet-conformance-allow')?.['spec'], { ingress: [{}] });
  t.equal(await loosened?.tookHold(), true);
  await loosened?.mend();
  await loosened?.mend();
  t.same(standing(), ['in', 'out']);

  await inject({ kind: 'policy-added', cluster: 'east', namespace: 'mcnet-policy-x' });
  t.same(standing(), ['out', 'mcnet-conformance-deny'], 'what allowed something is gone, egress stays');
  const undo = ledger.at(-1)?.undo;
  t.equal(undo?.kind, 'restore-objects');
  if (undo) await executeUndo(undo);
  t.same(standing(), ['out', 'in'], 'another process mends it too');
  server.objects.clear();
  if (undo) t.equal(await executeUndo(undo), undefined, 'nothing is left to restore, and that is no error');
});

t.test('clusters of somebody else: only namespaces of our own, noted before they exist', async (t) => {
  const { server, cluster, ledger } = await clusterOf(t, {
    own: false,
    cluster: { namespacePrefix: 'team', imagePullSecrets: ['registry'] },
  });
  server.put({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'registry', namespace: 'default' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': 'e30=' },
  });
  await cluster.startWorkload(client);
  await cluster.ensureNamespace('mcnet-policy-x');
  t.same(
    ledger.map(({ undo }) => undo),
    [
      {
        kind: 'delete-namespaces',
        kubeconfig: server.kubeconfig,
        context: 'fake',
        label: 'mcnet-conformance/run=k3x9ab',
      },
    ],
  );
  const written = server.asked.filter(({ method }) => method !== 'GET').map(({ path }) => path);
  t.ok(
    written.every((path) => path.startsWith('/api/v1/namespaces/team-mcnet')),
    written.join(' '),
  );
  t.match(server.objects.get('v1 secrets team-mcnet/registry'), { data: { '.dockerconfigjson': 'e30=' } });
  t.equal(cluster.serviceName(echoService), 'echo.team-mcnet.svc.cluster.local');
});

t.test('a namespace of somebody else stays theirs', async (t) => {
  const { server, cluster } = await clusterOf(t, { own: false });
  const theirs = (labels: Record<string, string>) =>
    server.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'mcnet', labels } });
  theirs({});
  await t.rejects(cluster.startWorkload(client), {
    name: 'UserError',
    message: /namespace mcnet exists already/,
    remedy: /--namespace/,
  });
  theirs({ 'mcnet-conformance/run': 'other1' });
  await t.rejects(cluster.startWorkload(client), { message: /run other1 has it/, remedy: /clean other1/ });
});

t.test('set-up that cannot work says what, where and what to do', async (t) => {
  const cases: { name: string; options: ApiServerOptions; expected: object }[] = [
    {
      name: 'no right',
      options: {
        intercept: ({ method, path }) =>
          method === 'PATCH' && path.endsWith('/pods/client')
            ? failure(403, 'Forbidden', 'User "dev" cannot patch resource "pods" in the namespace "mcnet"')
            : undefined,
      },
      expected: {
        message: /apply Pod mcnet\/client: User "dev" cannot patch/,
        where: 'cluster east',
        remedy: /Role/,
      },
    },
    {
      name: 'quota',
      options: {
        intercept: ({ method, path }) =>
          method === 'PATCH' && path.endsWith('/pods/client')
            ? failure(403, 'Forbidden', 'pods "client" is forbidden: exceeded quota: small')
            : undefined,
      },
      expected: { message: /exceeded quota/, remedy: /Raise the quota/ },
    },
    {
      name: 'Pod Security',
      options: {
        intercept: ({ method, path }) =>
          method === 'PATCH' && path.endsWith('/pods/client')
            ? failure(
                403,
                'Forbidden',
                'pods "client" is forbidden: violates PodSecurity "restricted:latest"',
              )
            : undefined,
      },
      expected: { message: /violates PodSecurity/, remedy: /Pod Security level/ },
    },
    {
      name: 'no image, on a node that is broken',
      options: {
        admit: (object) =>
          object.kind === 'Pod'
            ? {
                ...object,
                spec: { ...(object['spec'] as object), nodeName: 'n1' },
                status: {
                  conditions: [{ type: 'PodScheduled', status: 'True' }],
                  containerStatuses: [{ name: 'agent', state: { waiting: { reason: 'ErrImageNeverPull' } } }],
                },
              }
            : object,
      },
      expected: {
        message: /client does not become ready: container agent: ErrImageNeverPull/,
        where: 'cluster east, node n1',
        remedy: /Load the image/,
      },
    },
  ];
  for (const { name, options, expected } of cases) {
    const { cluster } = await clusterOf(t, options);
    await t.rejects(cluster.startWorkload(client), { name: 'UserError', ...expected }, name);
  }
});

t.test('diagnosis is bounded and shows no secret', async (t) => {
  const { server, cluster } = await clusterOf(t);
  await cluster.startWorkload(client);
  server.put({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e1', namespace: 'mcnet' },
    lastTimestamp: '2026-11-25T19:00:00Z',
    type: 'Warning',
    reason: 'Unhealthy',
    message: 'Readiness probe failed',
    involvedObject: { kind: 'Pod', name: 'client' },
  });
  const files = await cluster.diagnose();
  t.match(files['events-mcnet.txt'], /Warning Unhealthy Pod\/client ×1: Readiness probe failed/);
  t.match(files['log-mcnet-client.txt'], 'log of client');
  t.match(files['pods.json'], /10\.0\.0\./);
  t.notMatch(JSON.stringify(files), /hush-hush/);
  t.notOk(server.asked.some(({ path }) => path.includes('secrets')));
});
