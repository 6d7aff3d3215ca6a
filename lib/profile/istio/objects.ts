/** Objects that an installation consists of beside what istioctl makes. Pure. */
import type { KubernetesObject } from '../../model/cluster.ts';
import type { Authority } from '../support/certificates.ts';
import {
  type AuthorityName,
  GATEWAY_NAME,
  LABELS,
  READER_ACCOUNT,
  READER_TOKEN,
  SYSTEM_NAMESPACE,
  remoteSecretName,
} from './names.ts';

const NETWORKING = 'networking.istio.io/v1';
const SECURITY = 'security.istio.io/v1';

export function systemNamespace(network: string, controlledBy?: string): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: SYSTEM_NAMESPACE,
      labels: { [LABELS.network]: network },
      // Says which control plane may write the root certificates of a cluster that has none of its own.
      ...(controlledBy !== undefined && {
        annotations: { 'topology.istio.io/controlPlaneClusters': controlledBy },
      }),
    },
  };
}

/** A certificate authority of a cluster's control plane. */
export function certificateAuthority(
  name: AuthorityName,
  root: Authority,
  intermediate: Authority,
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: SYSTEM_NAMESPACE },
    type: 'Opaque',
    data: base64({
      'ca-cert.pem': intermediate.certificate,
      'ca-key.pem': intermediate.key,
      'root-cert.pem': root.certificate,
      'cert-chain.pem': `${intermediate.certificate}${root.certificate}`,
    }),
  };
}

/** Makes Kubernetes issue a lasting token for the account that other control planes use here. */
export const readerToken: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name: READER_TOKEN,
    namespace: SYSTEM_NAMESPACE,
    annotations: { 'kubernetes.io/service-account.name': READER_ACCOUNT },
  },
  type: 'kubernetes.io/service-account-token',
};

export interface RemoteAccess {
  readonly cluster: string;
  /** URL of its API server. */
  readonly server: string;
  /** Base64 of its certificate authority, as Secrets hold it. */
  readonly authority: string;
  readonly token: string;
}

/** By which a control plane watches another cluster. */
export function remoteSecret({ cluster, server, authority, token }: RemoteAccess): KubernetesObject {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: cluster, cluster: { 'certificate-authority-data': authority, server } }],
    users: [{ name: cluster, user: { token } }],
    contexts: [{ name: cluster, context: { cluster, user: cluster } }],
    'current-context': cluster,
    preferences: {},
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: remoteSecretName(cluster),
      namespace: SYSTEM_NAMESPACE,
      labels: { [LABELS.multiCluster]: 'true' },
      annotations: { 'networking.istio.io/cluster': cluster },
    },
    type: 'Opaque',
    data: base64({ [cluster]: JSON.stringify(kubeconfig) }),
  };
}

/** Where other clusters find the gateway: at an address of a node, since nothing here makes load balancers. */
export function gatewayAddress(addresses: readonly string[]): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: GATEWAY_NAME, namespace: SYSTEM_NAMESPACE },
    spec: { externalIPs: [...addresses] },
  };
}

/** Passes TLS for services of this network on, unopened, by the name that it is for. */
export const exposeServices: KubernetesObject = {
  apiVersion: NETWORKING,
  kind: 'Gateway',
  metadata: { name: 'cross-network-gateway', namespace: SYSTEM_NAMESPACE },
  spec: {
    selector: { istio: 'eastwestgateway' },
    servers: [
      {
        port: { number: 15443, name: 'tls', protocol: 'TLS' },
        tls: { mode: 'AUTO_PASSTHROUGH' },
        hosts: ['*.local'],
      },
    ],
  },
};

/** Lets proxies and webhooks of other clusters reach the control plane. */
export const exposeControlPlane: readonly KubernetesObject[] = [
  {
    apiVersion: NETWORKING,
    kind: 'Gateway',
    metadata: { name: 'istiod-gateway', namespace: SYSTEM_NAMESPACE },
    spec: {
      selector: { istio: 'eastwestgateway' },
      servers: [
        { name: 'tls-istiod', number: 15012 },
        { name: 'tls-webhook', number: 15017 },
      ].map((port) => ({ port: { ...port, protocol: 'TLS' }, tls: { mode: 'PASSTHROUGH' }, hosts: ['*'] })),
    },
  },
  {
    apiVersion: NETWORKING,
    kind: 'VirtualService',
    metadata: { name: 'istiod', namespace: SYSTEM_NAMESPACE },
    spec: {
      hosts: ['*'],
      gateways: ['istiod-gateway'],
      tls: [
        { port: 15012, to: 15012 },
        { port: 15017, to: 443 },
      ].map(({ port, to }) => ({
        match: [{ port, sniHosts: ['*'] }],
        route: [
          { destination: { host: `istiod.${SYSTEM_NAMESPACE}.svc.cluster.local`, port: { number: to } } },
        ],
      })),
    },
  },
];

/** Nothing is accepted in clear text, unless a namespace says otherwise. */
export const meshWideMutualTls: KubernetesObject = {
  apiVersion: SECURITY,
  kind: 'PeerAuthentication',
  metadata: { name: 'default', namespace: SYSTEM_NAMESPACE },
  spec: { mtls: { mode: 'STRICT' } },
};

const base64 = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
