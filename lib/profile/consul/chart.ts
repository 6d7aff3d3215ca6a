/**
 * Consul by its vendor's own means: values of the Helm chart, and custom resources. Rendered for people (`plan --chart`);
 * what a run installs is in objects.ts. Pure.
 */
import type { KubernetesObject, VendorChart } from '../../model/cluster.ts';
import type { IdentityPolicyIntent, Intent } from '../../model/intent.ts';
import type { ConsulGateways } from '../../model/spec.ts';
import { type Topology, pathBetween } from '../../model/topology.ts';
import { PORTS, type ServiceSpec } from '../../model/workload.ts';
import {
  type ConfigEntry,
  exportedServices,
  intentions,
  meshEntries,
  protocolEntries,
  routeEntries,
} from './entries.ts';
import { GATEWAY_NODE_PORT, type CarriedPort, isCarried } from './names.ts';

/** What the values and resources here are written for. */
export const CHART = { name: 'hashicorp/consul', version: '2.0.3' } as const;
const NAMESPACE = 'consul';
const RELEASE = 'consul';
const GROUP = 'consul.hashicorp.com/v1alpha1';

/** https://developer.hashicorp.com/consul/docs/reference/k8s/helm: what of its values is set here. */
export interface ConsulValues {
  readonly global: {
    readonly name: string;
    readonly datacenter: string;
    readonly image?: string;
    readonly peering: { readonly enabled: true };
    /** Peers talk to each other by TLS only. */
    readonly tls: { readonly enabled: true };
  };
  readonly server: { readonly replicas: number };
  readonly connectInject: {
    readonly enabled: true;
    readonly default: boolean;
    readonly transparentProxy: { readonly defaultEnabled: boolean };
  };
  readonly meshGateway: {
    readonly enabled: true;
    readonly replicas: number;
    readonly wanAddress: { readonly source: 'NodeIP'; readonly port: number };
    readonly service: { readonly type: 'NodePort'; readonly nodePort: number };
  };
  readonly dns: { readonly enabled: true; readonly enableRedirection: true };
  readonly ui: { readonly enabled: false };
}

export const chartValues = (cluster: string, image?: string): ConsulValues => ({
  global: {
    name: RELEASE,
    datacenter: cluster,
    ...(image !== undefined && { image }),
    peering: { enabled: true },
    tls: { enabled: true },
  },
  server: { replicas: 1 },
  connectInject: { enabled: true, default: false, transparentProxy: { defaultEnabled: true } },
  meshGateway: {
    enabled: true,
    replicas: 1,
    wanAddress: { source: 'NodeIP', port: GATEWAY_NODE_PORT },
    service: { type: 'NodePort', nodePort: GATEWAY_NODE_PORT },
  },
  dns: { enabled: true, enableRedirection: true },
  ui: { enabled: false },
});

interface Resource<K extends string, S> extends KubernetesObject {
  readonly apiVersion: typeof GROUP;
  readonly kind: K;
  readonly spec: S;
}

interface SecretOfPeer {
  readonly peer: {
    readonly secret: { readonly name: string; readonly key: string; readonly backend: 'kubernetes' };
  };
}
export type PeeringResource = Resource<'PeeringAcceptor' | 'PeeringDialer', SecretOfPeer>;

/** Named by the peer as this cluster knows it; the token that one makes is what the other finds in its Secret. */
export const peeringResource = (
  kind: PeeringResource['kind'],
  peer: string,
  secret: string,
): PeeringResource => ({
  apiVersion: GROUP,
  kind,
  metadata: { name: peer, namespace: NAMESPACE },
  spec: { peer: { secret: { name: secret, key: 'data', backend: 'kubernetes' } } },
});

/** Custom resources that are configuration entries in other words. */
const ENTRY_KINDS = {
  mesh: 'Mesh',
  'proxy-defaults': 'ProxyDefaults',
  'exported-services': 'ExportedServices',
  'service-intentions': 'ServiceIntentions',
  'service-resolver': 'ServiceResolver',
  'service-router': 'ServiceRouter',
  'service-defaults': 'ServiceDefaults',
  'service-splitter': 'ServiceSplitter',
} as const;
type EntryKind = (typeof ENTRY_KINDS)[keyof typeof ENTRY_KINDS];
export type EntryResource = Resource<EntryKind, Readonly<Record<string, unknown>>>;

const lowered = (name: string): string =>
  // HTTP, and the like, are lowered as a whole.
  /^[A-Z]+$/.test(name) ? name.toLowerCase() : `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;

/** What is named by the user, not by Consul, keeps its names. */
const OPEN_FIELDS = new Set(['Config']);

function inCamelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inCamelCase);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      lowered(name),
      OPEN_FIELDS.has(name) ? inner : inCamelCase(inner),
    ]),
  );
}

/** The same configuration, as a custom resource of Kubernetes. */
export function entryResource({ Kind, Name, ...fields }: ConfigEntry): EntryResource {
  const spec = inCamelCase(fields) as Readonly<Record<string, unknown>>;
  return {
    apiVersion: GROUP,
    kind: ENTRY_KINDS[Kind as keyof typeof ENTRY_KINDS],
    metadata: { name: Name, namespace: NAMESPACE },
    spec: Kind === 'service-intentions' ? { destination: { name: Name }, ...spec } : spec,
  };
}

export interface ChartFacts {
  readonly topology: Topology;
  readonly gateways: ConsulGateways;
  readonly image?: string;
  /** Where the chart is, when the user has said so. */
  readonly chart?: string;
}

/** The chart's own injector names a service of Consul as Kubernetes does; each port of several is one. */
const portsOf = ({ name, headless, ports }: ServiceSpec): CarriedPort[] =>
  headless
    ? []
    : ports
        .filter(isCarried)
        .map(({ port }) =>
          port === PORTS.serviceTcp
            ? { name: `${name}-tcp`, port, protocol: 'tcp' }
            : { name, port, protocol: 'http' },
        );

const accountName = ({ serviceAccount = '*' }: IdentityPolicyIntent['allow'][number]): string =>
  serviceAccount;

/** What a cluster gives to its peers and takes from them. */
function entriesOf(
  intents: readonly Intent[],
  services: readonly ServiceSpec[],
  place: { cluster: string; peers: readonly string[] },
): ConfigEntry[] {
  const shared = intents
    .filter((intent) => intent.kind === 'share-service')
    .flatMap((intent) =>
      services
        .filter(({ name, namespace }) => name === intent.service && namespace === intent.namespace)
        .flatMap(portsOf)
        .map((port) => ({ intent, port })),
    );
  const exported = shared.filter(({ intent }) => intent.offered !== false).map(({ port }) => port.name);
  const governed = intents
    .filter((intent) => intent.kind === 'identity-policy')
    .flatMap((intent) =>
      services
        .filter(
          ({ namespace, selector }) =>
            namespace === intent.namespace &&
            Object.entries(intent.target).every(([key, value]) => selector[key] === value),
        )
        .flatMap(portsOf)
        .map(({ name }) => intentions(intent, name, place, accountName)),
    );
  return [
    ...(exported.length > 0 && place.peers.length > 0 ? [exportedServices(exported, place.peers)] : []),
    ...shared.flatMap(({ intent, port }) => [...protocolEntries(port), ...routeEntries(intent, port, place)]),
    ...governed,
  ];
}

const secretOf = (acceptor: string, dialer: string): string => `peering-token-${acceptor}-${dialer}`;

/** All that `helm` and `kubectl` are given, cluster by cluster, and in which order. */
export function vendorChart(
  { topology, gateways, image, chart }: ChartFacts,
  { services, intents }: { services: readonly ServiceSpec[]; intents: readonly Intent[] },
): VendorChart {
  const names = topology.members.map(({ name }) => name);
  const peersOf = (cluster: string): string[] =>
    names.filter((other) => other !== cluster && pathBetween(topology, cluster, other).kind !== 'forbidden');
  const clusters = names.map((cluster, place) => {
    const peers = peersOf(cluster);
    const isAcceptor = (peer: string): boolean => place < names.indexOf(peer);
    return {
      cluster,
      values: chartValues(cluster, image),
      objects: [
        ...meshEntries(gateways).map(entryResource),
        ...peers.map((peer) =>
          isAcceptor(peer)
            ? peeringResource('PeeringAcceptor', peer, secretOf(cluster, peer))
            : peeringResource('PeeringDialer', peer, secretOf(peer, cluster)),
        ),
        ...entriesOf(intents, services, { cluster, peers }).map(entryResource),
      ],
    };
  });
  const tokens = names.flatMap((acceptor, place) =>
    names
      .slice(place + 1)
      .filter((dialer) => peersOf(acceptor).includes(dialer))
      .map((dialer) => ({ acceptor, dialer, secret: secretOf(acceptor, dialer) })),
  );
  return {
    clusters,
    steps: [
      ...names.map(
        (cluster) =>
          `helm upgrade --install ${RELEASE} ${chart ?? CHART.name}${chart === undefined ? ` --version ${CHART.version}` : ''} --kube-context ${cluster} --namespace ${NAMESPACE} --create-namespace --values ${cluster}-values.yaml --wait`,
      ),
      ...names.map((cluster) => `kubectl --context ${cluster} apply --filename ${cluster}-resources.yaml`),
      // The Secret as a new object: what binds it to its own cluster stays behind.
      ...tokens.map(
        ({ acceptor, dialer, secret }) =>
          `kubectl --context ${acceptor} --namespace ${NAMESPACE} get secret ${secret} --output jsonpath='{.data.data}' | base64 --decode | kubectl --context ${dialer} --namespace ${NAMESPACE} create secret generic ${secret} --from-file=data=/dev/stdin`,
      ),
    ],
  };
}
