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
/** Secret by which it finds the other clusters: a key for each. */
export const REMOTE_CLUSTERS = 'cilium-kvstoremesh';
/** The authority that all clusters of a mesh have in common. */
export const AUTHORITY = 'cilium-ca';
/** Secrets with the certificates by which clusters of the mesh know each other, and agents their own cluster's server. */
export const CERTIFICATES = [
  'clustermesh-apiserver-server-cert',
  'clustermesh-apiserver-remote-cert',
  'clustermesh-apiserver-local-cert',
] as const;

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
