/** Names that Consul gives to things, and those that this program's own manifests give to its parts. Pure. */
import type { ContainerName, Plane } from '../../model/usage.ts';
import { createHash } from 'node:crypto';
import { PORTS, type ServiceSpec, type WorkloadSpec } from '../../model/workload.ts';

export const SYSTEM_NAMESPACE = 'mcnet-consul';
export const SERVER = 'consul-server';
export const GATEWAY = 'mesh-gateway';
export const SERVER_CONTAINER = 'consul';
export const GATEWAY_CONTAINER = 'envoy';
/** Companions of a workload: what registers it (and takes it out again), and its proxies. */
export const REGISTRAR = 'consul-registrar';
export const PROXIES = 'consul-proxies';

export const SERVER_PORTS = { http: 8500, grpc: 8502, grpcTls: 8503 } as const;
export const DNS = 'consul-dns';
export const DNS_PORT = 8600;
/** What the servers answer names of. */
export const ZONE = 'consul';
/** Addresses that servers give to services, and nobody has: https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups. */
export const VIRTUAL_RANGE = '240.0.0.0/4';
export const GATEWAY_PORT = 8443;
/** Where the gateway of a cluster is reached from others: at every node. */
export const GATEWAY_NODE_PORT = 30_443;

/** A proxy for each service of a workload, side by side: the first port of each kind, the others follow. */
export const PROXY_PORTS = {
  public: 20_000,
  upstream: 21_000,
  health: 21_500,
  admin: 19_000,
  outbound: 15_001,
} as const;

/** Annotation of a workload: the services that its proxies stand for, the first being who it is when it calls. */
export const SERVICES_ANNOTATION = 'mcnet-conformance/consul-services';

/** A service of Consul has one name in its cluster, one port and one identity. */
export const serviceNameOf = (name: string, namespace: string): string => `${name}-${namespace}`;

/** Who a workload is when it calls: the account that it runs as. */
export const identityName = (
  { serviceAccount, name }: Pick<WorkloadSpec, 'serviceAccount' | 'name'>,
  namespace: string,
): string => serviceNameOf(serviceAccount ?? name, namespace);

/** Ports that this technology carries; all others belong to the workload itself. */
export const isCarried = ({ port, protocol }: ServiceSpec['ports'][number]): boolean =>
  protocol === 'tcp' && (port === PORTS.service || port === PORTS.serviceTcp || port >= PORTS.backends);

export interface CarriedPort {
  /** Name of the service in Consul. */
  readonly name: string;
  readonly port: number;
  readonly protocol: 'http' | 'tcp';
  /** What answers comes and goes. */
  readonly started?: true;
}

/** A service of several ports is several of Consul's. */
export function carriedPorts(
  {
    name,
    headless,
    ports,
    startedBackends,
  }: Pick<ServiceSpec, 'name' | 'headless' | 'ports' | 'startedBackends'>,
  namespace: string,
): CarriedPort[] {
  if (headless) return [];
  return ports.filter(isCarried).map(({ port }) =>
    port === PORTS.serviceTcp
      ? { name: `${serviceNameOf(name, namespace)}-tcp`, port, protocol: 'tcp' }
      : {
          name: serviceNameOf(name, namespace),
          port,
          protocol: 'http',
          ...(startedBackends && { started: true }),
        },
  );
}

/** Under this name of a peer's service its callers find an address that their proxies carry. */
export const virtualName = (service: string, peer: string): string => `${service}.virtual.${peer}.${ZONE}`;

/** This name lists the instances of a peer's service that count as healthy here. */
export const instancesName = (service: string, peer: string): string =>
  `${service}.service.${peer}.peer.${ZONE}`;

/** What callers call to get to a service: an instance of this cluster where it has one, else of the others. */
export const routeName = (service: string, cluster: string): string => `${service}-from-${cluster}`;

/** Trust domain of a cluster without its suffix: a UUID that depends on nothing but run and cluster. */
export function clusterIdOf(run: string, cluster: string): string {
  const hex = createHash('sha256').update(`consul ${run}/${cluster}`).digest('hex');
  const variant = ((parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

/** https://developer.hashicorp.com/consul/docs/connect/connect-internals: identity of a service. */
export const spiffeId = (run: string, cluster: string, service: string): string =>
  `spiffe://${clusterIdOf(run, cluster)}.consul/ns/default/dc/${cluster}/svc/${service}`;

export const systemReference = (apiVersion: string, kind: string, name: string) => ({
  apiVersion,
  kind,
  metadata: { name, namespace: SYSTEM_NAMESPACE },
});

/** Services of Consul that a workload's proxies stand for, as `decorate` noted them. */
export function servicesOf({ annotations }: Pick<WorkloadSpec, 'annotations'>): readonly string[] {
  const noted = annotations?.[SERVICES_ANNOTATION];
  return noted === undefined ? [] : noted.split(',');
}

/** Proxies and mesh gateways carry traffic, servers decide. */
export function planeOf({ namespace, pod, container }: ContainerName): Plane | undefined {
  if (container === PROXIES || (namespace === SYSTEM_NAMESPACE && pod.startsWith(GATEWAY)))
    return 'data plane';
  return namespace === SYSTEM_NAMESPACE ? 'control plane' : undefined;
}
