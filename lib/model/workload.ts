import type { PerFamily } from './cidr.ts';

/** What every workload listens on, for every provider. */
export const PORTS = {
  /** TCP and UDP: one JSON line in, one JSON line with the answerer's identity out. */
  echo: 7000,
  /** The same on a second port, so that policies by port can be told apart. */
  echoAlternate: 7001,
  http: 8080,
  /** HTTP/2 with prior knowledge (h2c). */
  http2: 8082,
  /**
   * HTTP/1.1, called by the name of a service. A technology that carries services by its own means (proxies, gateways)
   * does so on this port and on those of backends; all others belong to the workload itself, and it leaves them alone.
   */
  service: 8090,
  /** The same for TCP: what `echo` is, called by the name of a service. */
  serviceTcp: 8091,
  iperf: 5201,
  /** First of the ports on which a check starts backends that it may crash or freeze. */
  backends: 9000,
} as const;

/** The agent's own service address of DNS in a cluster, within the service range (as kubeadm has it). */
export const DNS_SERVICE_INDEX = 10;

export type Protocol = 'tcp' | 'udp';

/**
 * A program that a technology puts beside a workload, in its pod. It sees `POD_IP`, `NODE_IP` and `POD_NAME`, and the
 * folder COMPANION_FOLDER, which all companions of a pod share.
 */
export interface Companion {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  /** Runs to its end before anything else of the pod starts; those that do, one after the other. */
  readonly first?: true;
  /** As root, to change the network of the pod; else as a user without rights. */
  readonly ownsNetwork?: true;
  /** The pod counts as ready when something listens on this port too (TCP). */
  readonly readyPort?: number;
  /** Quantities of Kubernetes that it asks for, and the memory that it may have at most. */
  readonly cpu: string;
  readonly memory: string;
  readonly memoryLimit: string;
}

export const COMPANION_FOLDER = '/run/companions';

/** A workload to be: one pod, or one network namespace of the lab. */
export interface WorkloadSpec {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** For the technology on top, which reads them from the pod. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Programs beside it; only a cluster with pods has room for them. */
  readonly companions?: readonly Companion[];
  /** Identity that it runs as, created with it; default: one called like the workload. */
  readonly serviceAccount?: string;
  /** It calls or answers services by name: a technology that carries services puts its proxy beside it. */
  readonly overServices?: true;
  /** It calls no shared service: a technology that tells proxies beforehand whom they may call has nothing to tell. */
  readonly answersOnly?: true;
  /** It calls services of single other clusters, by names that the technology gives them (feature `peer-names`). */
  readonly callsByPeerName?: true;
  /** Times what it calls: where processors are scarce it comes before others, or it would time its own waiting. */
  readonly timed?: true;
  /** The one node that it may run on. */
  readonly node?: string;
}

/** Processors that a `timed` workload asks for, and so does a proxy beside it (a quantity of Kubernetes). */
export const TIMED_CPU = '100m';

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** A service to be. Service port and target port are the same. */
export interface ServiceSpec {
  readonly name: string;
  readonly namespace: string;
  /** Labels its backends carry; every label must match. */
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  readonly headless?: boolean;
  /** Backends count while HTTP `GET /healthz` on this port answers 200. */
  readonly healthPort: number;
  /** Fixed addresses instead of a selector (as an EndpointSlice without selector): indices into the pod range. */
  readonly fixedEndpoints?: number;
  /** Clusters where the service exists; default every cluster. */
  readonly onlyIn?: readonly string[];
  /**
   * Checks start its backends inside workloads (`Probe.startBackend`): an endpoint is ready from the start of its backend
   * until this begins to drain or is stopped. A backend that crashes, freezes or fails stays listed: noticing that is the
   * business of whoever carries the service.
   */
  readonly startedBackends?: true;
  /**
   * With `startedBackends`, for technologies that leave noticing to Kubernetes: one that answers no health check any more is
   * no endpoint, as the readiness probe of its pod would have it.
   */
  readonly readinessChecked?: true;
}

/** `namespace/name`: the key of a workload or service within its cluster. */
export function keyOf(spec: { namespace: string; name: string }): string {
  return `${spec.namespace}/${spec.name}`;
}

export function selects(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

export type Zone = 'cluster.local' | 'clusterset.local';

/** The DNS name of a service: KEP-1645 for `clusterset.local`, the Kubernetes DNS specification for `cluster.local`. */
export function serviceName(service: { namespace: string; name: string }, zone: Zone): string {
  return `${service.name}.${service.namespace}.svc.${zone}`;
}

/** Who a workload says it is. */
export interface Identity {
  readonly cluster: string;
  readonly namespace: string;
  readonly workload: string;
  /** Changes with every start of the process that answers. */
  readonly instance: string;
}

/** Where a caller in one cluster finds a service. */
export interface SharedAddress {
  /** DNS name to ask for; what the technology's own zone makes of it. */
  readonly name: string;
  readonly addresses: PerFamily<string>;
}
