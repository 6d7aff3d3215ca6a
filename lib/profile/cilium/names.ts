/** Names that Cilium and its chart give to things. */
import type { ObjectReference } from '../../model/cluster.ts';
import type { ContainerName, Plane } from '../../model/usage.ts';

export const NAMESPACE = 'kube-system';
export const RELEASE = 'cilium';
/** As Cilium's documentation has it, once its repository is added to helm under this name. */
export const CHART = 'cilium/cilium';

export const AGENT_CONTAINER = 'cilium-agent';
export const SELECTORS = {
  agent: 'k8s-app=cilium',
  operator: 'name=cilium-operator',
  apiServer: 'k8s-app=clustermesh-apiserver',
} as const;
/** The Deployment that offers a cluster's state to others, and fetches theirs. */
export const API_SERVER = 'clustermesh-apiserver';
/** In its pod: what fetches the state of others, where the chart has it. */
export const MESH_CONTAINER = 'kvstoremesh';
/** In its pod: the store that others read from, unless an etcd of the user's own is. */
export const STORE_CONTAINER = 'etcd';
/** Secrets by which other clusters are found, a key for each: by what fetches their state, and by agents. */
export const REMOTE_CLUSTERS = { mesh: 'cilium-kvstoremesh', agents: 'cilium-clustermesh' } as const;
/** The authority that all clusters of a mesh have in common. */
export const AUTHORITY = 'cilium-ca';
/**
 * Secrets with certificates: of the server that others read from, of what writes there, of whoever reads from other clusters,
 * and of agents, who read from their own cluster's server where that has fetched the state of others.
 */
export const CERTIFICATES = {
  server: 'clustermesh-apiserver-server-cert',
  admin: 'clustermesh-apiserver-admin-cert',
  remote: 'clustermesh-apiserver-remote-cert',
  local: 'clustermesh-apiserver-local-cert',
} as const;
/** Secret with certificates for an etcd of the user's own. */
export const ETCD_CERTIFICATES = 'cilium-etcd-secrets';

/** Where an agent answers questions about flows. */
export const HUBBLE_SOCKET = 'unix:///var/run/cilium/hubble.sock';

/** ConfigMap with what agents were configured with. */
export const CONFIGURATION = 'cilium-config';

/** Deployment and ConfigMap of CoreDNS, as kubeadm has them. */
export const DNS = 'coredns';

export const ANNOTATIONS = {
  global: 'service.cilium.io/global',
  shared: 'service.cilium.io/shared',
  affinity: 'service.cilium.io/affinity',
  syncEndpointSlices: 'service.cilium.io/global-sync-endpoint-slices',
} as const;

/** Labels of a pod's identity besides its own. */
export const IDENTITY = {
  cluster: 'io.cilium.k8s.policy.cluster',
  namespace: 'io.kubernetes.pod.namespace',
} as const;

export const POLICY_KIND = { apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy' } as const;

/** Policies for endpoints of no namespace: that by which agents probe each other's nodes is one. */
export const CLUSTERWIDE_POLICY = 'CiliumClusterwideNetworkPolicy';
export const HEALTH_LABEL = 'reserved:health';
/** Where nodes, and the health endpoints on them, answer probes; the chart's `clusterHealthPort`. */
export const HEALTH_PORT = 4_240;

/** By the names that the chart gives to pods. */
export function planeOf({ namespace, pod, container }: ContainerName): Plane | undefined {
  if (namespace !== NAMESPACE) return undefined;
  if (container === AGENT_CONTAINER) return 'data plane';
  return pod.startsWith('cilium-operator-') || pod.startsWith(`${API_SERVER}-`) ? 'control plane' : undefined;
}

export const systemReference = (apiVersion: string, kind: string, name: string): ObjectReference => ({
  apiVersion,
  kind,
  metadata: { name, namespace: NAMESPACE },
});
