/** The chain by which a control plane learns of another cluster's endpoints: each link looked at. */
import type { BrokenLink, KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { isReady, kubectl, missingNamespaces, namespaceReference, secretText } from '../common/clusters.ts';
import { lookAtLinks } from '../common/links.ts';
import type { ControlPlanes } from './clusters.ts';
import { controlPlanePods, watchedClusters } from './controlPlane.ts';
import {
  GATEWAY_NAME,
  LABELS,
  PROXY_CONTAINER,
  READER_TOKEN,
  SYSTEM_NAMESPACE,
  systemReference,
} from './names.ts';

/** What a remote secret says of the cluster that it leads to. Pure. */
export function accessIn(
  secret: KubernetesObject,
  cluster: string,
): { readonly server?: string; readonly token?: string } {
  const text = secretText(secret, cluster) ?? '';
  // A kubeconfig as istioctl writes it is YAML, ours is JSON: both name each of these once.
  const find = (key: string): string | undefined =>
    new RegExp(String.raw`"?\b${key}"?\s*:\s*"?([^\s",}]+)`).exec(text)?.[1];
  const [server, token] = [find('server'), find('token')];
  return { ...(server !== undefined && { server }), ...(token !== undefined && { token }) };
}

export const isLoopback = (server: string): boolean =>
  /^https?:\/\/(?:127\.|localhost\b|\[::1\])/.test(server);

/** Every broken link on the way from endpoints of `to` to the control plane of `from`; the likeliest cause first. */
export async function brokenLinks(
  planes: ControlPlanes,
  from: KubernetesCluster,
  to: KubernetesCluster,
): Promise<readonly BrokenLink[]> {
  const primary = planes.primaryOf(from);
  return lookAtLinks([
    () => controlPlaneOf(primary),
    async () => (primary.name === to.name ? [] : remoteSecretOf(primary, to)),
    () => rootsOf(from, to),
    () => networksOf(from, to),
    () => namespacesOf(from, to),
    async () => [...(await sidecarsOf(to)), ...(await sidecarsOf(from))],
  ]);
}

async function controlPlaneOf(cluster: KubernetesCluster): Promise<BrokenLink[]> {
  if ((await controlPlanePods(cluster)).some(isReady)) return [];
  return [
    {
      cause: 'control-plane-down',
      what: `no control plane is ready in ${cluster.name}`,
      command: kubectl(cluster, '-n', SYSTEM_NAMESPACE, 'get', 'pods', '-l', 'app=istiod'),
    },
  ];
}

async function remoteSecretOf(primary: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const command = kubectl(
    primary,
    '-n',
    SYSTEM_NAMESPACE,
    'get',
    'secrets',
    '-l',
    `${LABELS.multiCluster}=true`,
  );
  const secrets = await primary.objects.list({
    apiVersion: 'v1',
    kind: 'Secret',
    namespace: SYSTEM_NAMESPACE,
    labelSelector: `${LABELS.multiCluster}=true`,
  });
  const secret = secrets.find((one) => secretText(one, to.name) !== undefined);
  if (!secret) {
    return [
      {
        cause: 'remote-secret-missing',
        what: `${primary.name} has no remote secret for ${to.name}`,
        command,
      },
    ];
  }
  const { server = '', token } = accessIn(secret, to.name);
  const name = `the remote secret ${secret.metadata.name} in ${primary.name}`;
  if (isLoopback(server)) {
    return [
      {
        cause: 'api-server-unreachable',
        what: `${name} names ${server}, which is no address of ${to.name} but of the control plane's own pod`,
        command,
      },
    ];
  }
  const issued = secretText(await to.objects.read(systemReference('v1', 'Secret', READER_TOKEN)), 'token');
  if (token === undefined || (issued !== undefined && issued !== token)) {
    return [
      {
        cause: 'remote-secret-stale',
        what: `${name} holds a token that ${to.name} no longer issues`,
        command,
      },
    ];
  }
  const watched = (await watchedClusters(primary)).find(({ id }) => id === to.name);
  if (watched?.status === 'synced') return [];
  return [
    {
      cause: 'api-server-unreachable',
      what: `the control plane of ${primary.name} does not reach ${server} (${watched?.status ?? 'not watched'})`,
      command: `istioctl --context ${primary.context} remote-clusters`,
    },
  ];
}

/** The root that workloads of a cluster trust, as its control plane hands it out. */
async function rootIn(cluster: KubernetesCluster, namespace: string): Promise<string | undefined> {
  const map = await cluster.objects.read({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-ca-root-cert', namespace },
  });
  return (map?.data as Readonly<Record<string, string>> | undefined)?.['root-cert.pem']?.trim();
}

async function rootsOf(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const [here, there] = await Promise.all([from, to].map((cluster) => rootIn(cluster, SYSTEM_NAMESPACE)));
  if (here === undefined || there === undefined || here === there) return [];
  return [
    {
      cause: 'foreign-root',
      what: `${from.name} and ${to.name} hand out different root certificates`,
      command: kubectl(to, '-n', SYSTEM_NAMESPACE, 'get', 'configmap', 'istio-ca-root-cert', '-o', 'yaml'),
    },
  ];
}

async function networksOf(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  const [here, there] = await Promise.all(
    [from, to].map(
      async (cluster) =>
        (await cluster.objects.read(namespaceReference(SYSTEM_NAMESPACE)))?.metadata.labels?.[LABELS.network],
    ),
  );
  const unlabelled = [
    { cluster: from, label: here },
    { cluster: to, label: there },
  ].filter(({ label }) => label === undefined);
  if (unlabelled.length > 0) {
    return unlabelled.map(({ cluster }) => ({
      cause: 'network-label-missing',
      what: `namespace ${SYSTEM_NAMESPACE} of ${cluster.name} has no label ${LABELS.network}`,
      command: kubectl(cluster, 'get', 'namespace', SYSTEM_NAMESPACE, '--show-labels'),
    }));
  }
  if (here === there) return [];
  const services = await to.objects.list({
    apiVersion: 'v1',
    kind: 'Service',
    namespace: SYSTEM_NAMESPACE,
    labelSelector: `${LABELS.network}=${there}`,
  });
  if (services.some(hasAddress)) return [];
  return [
    {
      cause: 'gateway-without-address',
      what:
        services.length === 0
          ? `${to.name} has no gateway for its network ${there}`
          : `the gateway of ${to.name} has no address that other networks could use`,
      command: kubectl(to, '-n', SYSTEM_NAMESPACE, 'get', 'service', GATEWAY_NAME),
    },
  ];
}

export function hasAddress(service: KubernetesObject): boolean {
  const { externalIPs = [] } = (service.spec ?? {}) as { externalIPs?: readonly string[] };
  const { loadBalancer } = (service.status ?? {}) as { loadBalancer?: { ingress?: readonly unknown[] } };
  return externalIPs.length > 0 || (loadBalancer?.ingress?.length ?? 0) > 0;
}

/** Namespaces are the same thing in every cluster only where they have the same name. */
async function namespacesOf(from: KubernetesCluster, to: KubernetesCluster): Promise<BrokenLink[]> {
  return (await missingNamespaces(from, to)).map((name) => ({
    cause: 'namespace-not-same',
    what: `${to.name} has no namespace ${name}, so its services are others`,
    command: kubectl(to, 'get', 'namespaces'),
  }));
}

export function hasProxy(pod: KubernetesObject): boolean {
  const { containers = [], initContainers = [] } = (pod.spec ?? {}) as {
    containers?: readonly { name: string }[];
    initContainers?: readonly { name: string }[];
  };
  return [...containers, ...initContainers].some(({ name }) => name === PROXY_CONTAINER);
}

async function sidecarsOf(cluster: KubernetesCluster): Promise<BrokenLink[]> {
  const wanted = cluster.workloads.filter(({ spec }) => spec.overServices);
  const byNamespace = Map.groupBy(wanted, ({ spec }) => cluster.namespaceOf(spec.namespace));
  const bare = await Promise.all(
    [...byNamespace].map(async ([namespace, workloads]) => {
      const names = new Set(workloads.map(({ spec }) => spec.name));
      const pods = await cluster.objects.list({ apiVersion: 'v1', kind: 'Pod', namespace });
      return pods.filter((pod) => names.has(pod.metadata.name) && !hasProxy(pod));
    }),
  );
  return bare.flat().map(({ metadata: { name, namespace = '' } }) => ({
    cause: 'proxy-missing',
    what: `pod ${namespace}/${name} in ${cluster.name} has no proxy beside it`,
    command: kubectl(
      cluster,
      '-n',
      namespace,
      'get',
      'pod',
      name,
      '-o',
      'jsonpath={.spec.initContainers[*].name}',
    ),
  }));
}
