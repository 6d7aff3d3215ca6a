import { writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import { surveyContexts } from '../../../lib/provider/contexts/survey.ts';
import {
  type ApiServer,
  type ApiServerOptions,
  failure,
  kubeconfigOf,
  startApiServer,
} from '../../system/kubernetes/fixtures/apiServer.ts';

const object = (
  kind: string,
  name: string,
  rest: object,
  apiVersion = 'v1',
  namespace?: string,
): KubernetesObject => ({
  apiVersion,
  kind,
  ...rest,
  metadata: {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(rest as { metadata?: object }).metadata,
  },
});

const node = (address: string, podCIDR?: string): KubernetesObject =>
  object('Node', `node-${address}`, {
    spec: podCIDR === undefined ? {} : { podCIDRs: [podCIDR] },
    status: { addresses: [{ type: 'InternalIP', address }] },
  });

async function two(t: Test, options: { east?: ApiServerOptions; west?: ApiServerOptions } = {}) {
  const east = await startApiServer(t, options.east);
  const west = await startApiServer(t, options.west);
  writeFileSync(
    east.kubeconfig,
    kubeconfigOf({ 'ctx-east': { server: east.url }, 'ctx-west': { server: west.url } }),
  );
  const describe = (server: ApiServer, index: number): void => {
    server.put(object('Namespace', 'kube-system', { metadata: { uid: `uid-${index}` } }));
    server.put(node(`10.${12 + 16 * index}.0.2`, `10.${16 * index}.0.0/24`));
    server.put(
      object(
        'ServiceCIDR',
        'kubernetes',
        { spec: { cidrs: [`10.${8 + 16 * index}.0.0/14`] } },
        'networking.k8s.io/v1',
      ),
    );
  };
  describe(east, 0);
  describe(west, 1);
  const survey = (more: Partial<Parameters<typeof surveyContexts>[0]> = {}) =>
    surveyContexts({
      contexts: { east: 'ctx-east', west: 'ctx-west' },
      kubeconfig: east.kubeconfig,
      families: ['ipv4'],
      given: {},
      ...more,
    });
  return { east, west, survey };
}

t.test('what is found out of each cluster', async (t) => {
  const { east, west, survey } = await two(t);
  west.put(
    object(
      'ConfigMap',
      'kubeadm-config',
      {
        data: {
          ClusterConfiguration: 'networking:\n  podSubnet: 10.16.0.0/13\n  serviceSubnet: 10.24.0.0/14\n',
        },
      },
      'v1',
      'kube-system',
    ),
  );
  t.same(await survey(), [
    {
      name: 'east',
      context: 'ctx-east',
      apiServer: east.url,
      version: 'v1.34.4',
      nodes: 1,
      ranges: {
        pods: { ipv4: '10.0.0.0/24' },
        services: { ipv4: '10.8.0.0/14' },
        nodes: { ipv4: '10.12.0.0/29' },
      },
    },
    {
      name: 'west',
      context: 'ctx-west',
      apiServer: west.url,
      version: 'v1.34.4',
      nodes: 1,
      ranges: {
        pods: { ipv4: '10.16.0.0/13' },
        services: { ipv4: '10.24.0.0/14' },
        nodes: { ipv4: '10.28.0.0/29' },
      },
    },
  ]);
  t.ok(
    [...east.asked, ...west.asked].every(
      ({ method, path }) => method === 'GET' || path.endsWith('/selfsubjectaccessreviews'),
    ),
    'nothing is created',
  );
});

t.test('what the user gives is not asked for, and what nobody tells is asked of the user', async (t) => {
  const { east, survey } = await two(t);
  for (const [key, { kind }] of east.objects) {
    if (kind === 'Node' || kind === 'ServiceCIDR') east.objects.delete(key);
  }
  await t.rejects(survey(), {
    name: 'UserError',
    message: 'the IPv4 range of pods cannot be found out',
    where: 'cluster east',
    remedy: /clusters: \[\{ name: east, pods: <range>/,
  });
  const given = { pods: { ipv4: '10.0.0.0/16' }, services: { ipv4: '10.9.0.0/16' } };
  const [first] = await survey({ given: { east: given } });
  t.same(first?.ranges, { ...given, nodes: {} });
});

t.test('the service range is asked for where nothing tells it', async (t) => {
  const refuse: ApiServerOptions = {
    intercept: ({ method, path, query }) => {
      if (path.endsWith('/servicecidrs')) return failure(404, 'NotFound', 'no such resource');
      if (method !== 'POST' || !path.endsWith('/services')) return undefined;
      t.equal(query.get('dryRun'), 'All');
      return failure(
        422,
        'Invalid',
        'the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12',
      );
    },
  };
  const { survey } = await two(t, { east: refuse });
  const [first] = await survey();
  t.same(first?.ranges.services, { ipv4: '10.96.0.0/12' });
});

t.test('a user with few rights', async (t) => {
  const { survey } = await two(t, {
    west: {
      intercept: ({ path, body }) => {
        if (path.endsWith('/nodes') || path.includes('kube-system')) return failure(403, 'Forbidden', 'no');
        if (!path.endsWith('/selfsubjectaccessreviews')) return undefined;
        const { resourceAttributes } = (
          body as { spec: { resourceAttributes: { resource: string; subresource?: string } } }
        ).spec;
        const { resource, subresource } = resourceAttributes;
        return {
          status: 201,
          body: { status: { allowed: resource !== 'networkpolicies' && subresource === undefined } },
        };
      },
    },
  });
  await t.rejects(survey(), {
    message: 'the user of this context may not create pods/exec, create networkpolicies',
    where: 'cluster west',
  });
});

t.test('one cluster under two names', async (t) => {
  const { west, survey } = await two(t);
  await t.rejects(survey({ contexts: { east: 'ctx-east', west: 'ctx-east' } }), {
    message: /east and west are the same cluster/,
  });
  west.put(object('Namespace', 'kube-system', { metadata: { uid: 'uid-0' } }));
  await t.rejects(
    survey(),
    { message: /the same cluster \(contexts ctx-east and ctx-west\)/ },
    'by another address',
  );
});

t.test('a context that is not there', async (t) => {
  const { survey } = await two(t);
  await t.rejects(survey({ contexts: { east: 'ctx-east', west: 'ctx-north' } }), {
    name: 'UserError',
    message: /no context "ctx-north".*ctx-east, ctx-west/,
    where: 'cluster west',
  });
});
