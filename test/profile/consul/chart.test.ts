/**
 * What is rendered for the vendor's chart. The schemas are this project's own words for what the chart's resources may
 * hold, of what it uses; with MCNET_CONSUL_CHART naming a copy of the chart's folder, that one's own schemas are asked too.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { entryResource, vendorChart } from '../../../lib/profile/consul/chart.ts';
import { callerDefaults } from '../../../lib/profile/consul/entries.ts';
import type { KubernetesObject, VendorChart } from '../../../lib/model/cluster.ts';
import type { Intent } from '../../../lib/model/intent.ts';
import { PORTS, type ServiceSpec } from '../../../lib/model/workload.ts';

const name = z.string().regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
const gatewayMode = z.strictObject({ mode: z.enum(['local', 'remote', 'none']) });
const target = z.strictObject({ service: name, peer: name.optional() });
const secret = z.strictObject({ name, key: name, backend: z.literal('kubernetes') });
const duration = z.string().regex(/^\d+(ms|s|m)$/);
const protocol = z.enum(['http', 'tcp']);
const passive = z.strictObject({
  interval: duration.optional(),
  maxFailures: z.int().positive().optional(),
  enforcingConsecutive5xx: z.int().min(0).max(100).optional(),
});

const SPECS = {
  Mesh: z.strictObject({ peering: z.strictObject({ peerThroughMeshGateways: z.literal(true) }) }),
  ProxyDefaults: z.strictObject({ meshGateway: gatewayMode, config: z.strictObject({ protocol }) }),
  PeeringAcceptor: z.strictObject({ peer: z.strictObject({ secret }) }),
  PeeringDialer: z.strictObject({ peer: z.strictObject({ secret }) }),
  ExportedServices: z.strictObject({
    services: z
      .array(z.strictObject({ name, consumers: z.array(z.strictObject({ peer: name })).min(1) }))
      .min(1),
  }),
  ServiceIntentions: z.strictObject({
    destination: z.strictObject({ name }),
    sources: z
      .array(
        z.strictObject({
          name: z.union([name, z.literal('*')]),
          peer: name.optional(),
          action: z.enum(['allow', 'deny']),
        }),
      )
      .min(1),
  }),
  ServiceResolver: z.strictObject({
    connectTimeout: duration,
    failover: z.strictObject({ '*': z.strictObject({ targets: z.array(target).min(1) }) }),
  }),
  ServiceSplitter: z.strictObject({ splits: z.array(z.strictObject({ weight: z.number() })).min(1) }),
  ServiceRouter: z.strictObject({
    routes: z.array(
      z.strictObject({
        match: z.strictObject({ http: z.strictObject({ pathPrefix: z.literal('/') }) }),
        destination: z.strictObject({
          numRetries: z.int().positive(),
          retryOnConnectFailure: z.literal(true),
          retryOnStatusCodes: z.array(z.int()),
        }),
      }),
    ),
  }),
  ServiceDefaults: z.strictObject({
    protocol,
    upstreamConfig: z
      .strictObject({
        defaults: z.strictObject({ passiveHealthCheck: passive }),
        overrides: z.array(z.strictObject({ name, passiveHealthCheck: passive })).optional(),
      })
      .optional(),
  }),
};

const resource = z.strictObject({
  apiVersion: z.literal('consul.hashicorp.com/v1alpha1'),
  kind: z.enum(Object.keys(SPECS) as [keyof typeof SPECS, ...(keyof typeof SPECS)[]]),
  metadata: z.strictObject({ name, namespace: z.literal('consul') }),
  spec: z.unknown(),
});

const values = z.strictObject({
  global: z.strictObject({
    name,
    datacenter: name,
    image: z.string().optional(),
    peering: z.strictObject({ enabled: z.literal(true) }),
    tls: z.strictObject({ enabled: z.literal(true) }),
  }),
  server: z.strictObject({ replicas: z.literal(1) }),
  connectInject: z.strictObject({
    enabled: z.literal(true),
    default: z.boolean(),
    transparentProxy: z.strictObject({ defaultEnabled: z.boolean() }),
  }),
  meshGateway: z.strictObject({
    enabled: z.literal(true),
    replicas: z.literal(1),
    wanAddress: z.strictObject({ source: z.literal('NodeIP'), port: z.int() }),
    service: z.strictObject({ type: z.literal('NodePort'), nodePort: z.int().min(30_000).max(32_767) }),
  }),
  dns: z.strictObject({ enabled: z.literal(true), enableRedirection: z.literal(true) }),
  ui: z.strictObject({ enabled: z.literal(false) }),
});

const service = (called: string, ...ports: number[]): ServiceSpec => ({
  name: called,
  namespace: 'mcnet',
  selector: { app: called },
  healthPort: PORTS.service,
  ports: ports.map((port) => ({ name: `p${port}`, port, protocol: 'tcp' })),
});
const share = (called: string, more: object = {}): Intent => ({
  kind: 'share-service',
  namespace: 'mcnet',
  service: called,
  preference: 'spread',
  ...more,
});
const STANDING = {
  services: [
    service('echo', PORTS.service, PORTS.echo),
    service('guarded', PORTS.service, PORTS.serviceTcp),
    service('kept', PORTS.backends),
  ],
  intents: [
    share('echo'),
    share('guarded', { preference: 'prefer-local' }),
    share('kept', { offered: false }),
    {
      kind: 'identity-policy',
      name: 'guarded',
      namespace: 'mcnet',
      target: { app: 'guarded' },
      allow: [{ namespace: 'mcnet', serviceAccount: 'client', cluster: 'west' }],
    },
  ] satisfies Intent[],
};
const MEMBERS = ['east', 'west', 'north'];
const FACTS = {
  topology: { kind: 'full-mesh', hub: 'east', members: MEMBERS.map((member) => ({ name: member })) },
  gateways: 'local',
} as const;

const rendered = vendorChart(FACTS, STANDING);
const of = (cluster: string, chart: VendorChart = rendered): readonly KubernetesObject[] =>
  chart.clusters.find((one) => one.cluster === cluster)?.objects ?? [];
const shown = (objects: readonly KubernetesObject[], kind: string): string[] =>
  objects.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name);

t.test('values and resources are what the chart takes', async (t) => {
  t.strictSame(
    rendered.clusters.map(({ cluster }) => cluster),
    MEMBERS,
  );
  for (const { cluster, values: ofChart, objects } of rendered.clusters) {
    t.ok(values.safeParse(ofChart).success, `values of ${cluster}`);
    for (const object of [
      ...objects,
      entryResource(callerDefaults({ name: 'client' }, new Map([['echo-from-west', 3]]))),
    ]) {
      const { kind, metadata, spec } = resource.parse(object);
      const { error } = SPECS[kind].safeParse(spec);
      t.equal(error, undefined, `${cluster}: ${kind} ${metadata.name}`);
    }
  }
});

t.test('each pair has one that makes the token and one that dials', async (t) => {
  t.strictSame(shown(of('east'), 'PeeringAcceptor'), ['west', 'north']);
  t.strictSame(shown(of('west'), 'PeeringDialer'), ['east']);
  t.strictSame(shown(of('west'), 'PeeringAcceptor'), ['north']);
  t.strictSame(shown(of('north'), 'PeeringDialer'), ['east', 'west']);
  t.equal(rendered.steps.filter((step) => step.includes('get secret')).length, 3);
  const apart = vendorChart(
    {
      ...FACTS,
      gateways: 'remote',
      image: 'mirror.example/consul:2',
      chart: './consul',
      topology: {
        ...FACTS.topology,
        members: [
          { name: 'east', segments: ['a'] },
          { name: 'west', segments: ['b'] },
        ],
      },
    },
    STANDING,
  );
  t.strictSame(shown(of('east', apart), 'PeeringAcceptor'), [], 'those who must not meet are no peers');
  t.strictSame(shown(of('east', apart), 'ExportedServices'), []);
  t.match(apart.clusters[0]?.values, { global: { image: 'mirror.example/consul:2' } });
  t.match(apart.steps[0], /^helm upgrade --install consul \.\/consul --kube-context east /);
  t.match(of('east', apart)[1], { kind: 'ProxyDefaults', spec: { meshGateway: { mode: 'remote' } } });
});

t.test('what is shared is exported, and what is allowed is named', async (t) => {
  t.match(
    of('east').find(({ kind }) => kind === 'ExportedServices'),
    {
      metadata: { name: 'default' },
      spec: { services: [{ name: 'echo' }, { name: 'guarded' }, { name: 'guarded-tcp' }] },
    },
  );
  t.match(
    of('east').find(({ kind, metadata }) => kind === 'ServiceIntentions' && metadata.name === 'guarded'),
    {
      spec: {
        destination: { name: 'guarded' },
        sources: [
          { name: 'client', peer: 'west', action: 'allow' },
          { name: '*', action: 'deny' },
        ],
      },
    },
  );
});

interface Structure {
  readonly properties?: Readonly<Record<string, Structure>>;
  readonly items?: Structure;
  readonly additionalProperties?: Structure;
  readonly type?: string;
  readonly required?: readonly string[];
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** Fields that a structural schema of Kubernetes does not know, or that it wants and are not there. */
function strayFields(value: unknown, schema: Structure, where: string): string[] {
  if (schema['x-kubernetes-preserve-unknown-fields']) return [];
  if (Array.isArray(value)) {
    if (schema.type !== 'array') return [`${where} is no list`];
    return value.flatMap((one, index) => strayFields(one, schema.items ?? {}, `${where}[${index}]`));
  }
  if (typeof value !== 'object' || value === null) {
    const fits = typeof value === (schema.type === 'integer' ? 'number' : schema.type);
    return fits ? [] : [`${where} is a ${typeof value}, not ${schema.type}`];
  }
  return [
    ...(schema.required ?? [])
      .filter((field) => !(field in value))
      .map((field) => `${where}.${field} is missing`),
    ...Object.entries(value).flatMap(([field, inner]) => {
      const known = schema.properties?.[field] ?? schema.additionalProperties;
      return known ? strayFields(inner, known, `${where}.${field}`) : [`${where}.${field} is unknown`];
    }),
  ];
}

const CHART = process.env['MCNET_CONSUL_CHART'];

t.test(
  'the chart itself knows all of it',
  { skip: CHART === undefined && 'MCNET_CONSUL_CHART names no copy of the chart' },
  async (t) => {
    const folder = path.join(CHART ?? '', 'templates');
    // Templates of Helm: what decides whether they are rendered is no part of the schema.
    const documents = readdirSync(folder)
      .filter((file) => file.startsWith('crd-') && !file.includes('external'))
      .map((file) =>
        parse(readFileSync(path.join(folder, file), 'utf8').replaceAll(/\{\{[\s\S]*?\}\}/g, '')),
      );
    const schemas = new Map<string, Structure>(
      documents
        .filter(Boolean)
        .map(({ spec }) => [spec.names.kind, spec.versions[0].schema.openAPIV3Schema.properties.spec]),
    );
    for (const { objects } of rendered.clusters) {
      for (const { kind, spec } of [
        ...objects,
        entryResource(callerDefaults({ name: 'client' }, new Map([['echo-from-west', 3]]))),
      ]) {
        t.strictSame(strayFields(spec, schemas.get(kind) ?? {}, kind), []);
      }
    }
    const defaults = parse(readFileSync(path.join(CHART ?? '', 'values.yaml'), 'utf8')) as object;
    const unknownValues = (value: unknown, known: unknown, where: string): string[] =>
      typeof value !== 'object' || value === null
        ? []
        : Object.entries(value).flatMap(([key, inner]) =>
            typeof known === 'object' && known !== null && key in known
              ? unknownValues(inner, (known as Record<string, unknown>)[key], `${where}.${key}`)
              : [`${where}.${key}`],
          );
    for (const { values: ofChart } of rendered.clusters)
      t.strictSame(unknownValues(ofChart, defaults, ''), []);
  },
);
