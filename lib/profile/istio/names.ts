/** Names that Istio gives to things, as its documentation has them. */
import type { ObjectReference } from '../../model/cluster.ts';
import type { ContainerName, Plane } from '../../model/usage.ts';

export const SYSTEM_NAMESPACE = 'istio-system';
export const TRUST_DOMAIN = 'cluster.local';
export const MESH_ID = 'mcnet';
export const PROXY_CONTAINER = 'istio-proxy';
export const GATEWAY_NAME = 'istio-eastwestgateway';
export const READER_ACCOUNT = 'istio-reader-service-account';
export const READER_TOKEN = `${READER_ACCOUNT}-istio-remote-secret-token`;
/** Secret from which a control plane takes its intermediate. */
export const AUTHORITY = 'cacerts';
/** ConfigMap from which a control plane takes the configuration of its mesh. */
export const MESH_CONFIG = 'istio';
/** Where the one that comes after it waits: the root's key is gone by then. */
export const NEXT_AUTHORITY = 'mcnet-next-cacerts';
/** One that ends soon, for the fault of that name. */
export const ENDING_AUTHORITY = 'mcnet-ending-cacerts';
export type AuthorityName = typeof AUTHORITY | typeof NEXT_AUTHORITY | typeof ENDING_AUTHORITY;

export const LABELS = {
  inject: 'sidecar.istio.io/inject',
  network: 'topology.istio.io/network',
  multiCluster: 'istio/multiCluster',
} as const;

/** A cluster is a network of its own, or all are the same one. */
export const networkOf = (cluster: string, apart: boolean): string =>
  apart ? `network-${cluster}` : 'network1';

export const systemReference = (apiVersion: string, kind: string, name: string): ObjectReference => ({
  apiVersion,
  kind,
  metadata: { name, namespace: SYSTEM_NAMESPACE },
});

export const remoteSecretName = (cluster: string): string => `istio-remote-secret-${cluster}`;

/** Proxies beside workloads and in gateways carry traffic; everything else of Istio decides. */
export function planeOf({ namespace, container }: ContainerName): Plane | undefined {
  if (container === PROXY_CONTAINER) return 'data plane';
  return namespace === SYSTEM_NAMESPACE ? 'control plane' : undefined;
}
