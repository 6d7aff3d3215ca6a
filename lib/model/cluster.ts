/** Ports: what a provider, an underlay and a profile give to the rest. No implementation here. */
import type { AddressPlan, ClusterRanges } from './addressing.ts';
import type { IpFamily, PerFamily } from './cidr.ts';
import type { Disturbance, FaultKind, FaultSpec } from './fault.ts';
import type { Intent, PolicySemantics } from './intent.ts';
import type { CaptureSummary, Probe } from './probe.ts';
import type { Topology } from './topology.ts';
import type { ServiceSpec, SharedAddress, WorkloadSpec } from './workload.ts';

/** What a system can carry; a check that requires what is missing is skipped with the reason. */
export type Feature =
  | 'l3.pod'
  | 'l4.udp'
  | 'icmp'
  | 'l7.service'
  | 'dns'
  | 'dns.clusterset'
  | 'policy'
  | 'share-service'
  | 'tunnel.encrypted'
  | 'wan.capture'
  | 'gateway.probe';

export type ConformanceClass = 'underlay' | 'mesh-flat' | 'mesh-gateway' | 'service-peering';

/** Something that exists in the world and must not outlive the run; written to the state file before it is made. */
export interface Resource {
  /** For people: `network namespace mcnet-abc123-east-gw`. */
  readonly description: string;
  /** How to remove it, as data, so that `clean` can do it in another process. Removing what is gone is no error. */
  readonly undo: UndoAction;
}

export type UndoAction =
  | { readonly kind: 'delete-netns'; readonly name: string }
  | { readonly kind: 'delete-link'; readonly name: string; readonly netns?: string }
  /** `startTime` (field 22 of /proc/<pid>/stat) tells the process from a later one with the same id. */
  | { readonly kind: 'kill-process'; readonly pid: number; readonly startTime: string }
  /** Every process whose environment holds MCNET_RUN=<run id>, for those that died before their pid was known. */
  | { readonly kind: 'kill-marked-processes'; readonly run: string }
  | { readonly kind: 'remove-path'; readonly path: string }
  | { readonly kind: 'run'; readonly command: readonly [string, ...string[]] };

/** Where everything that is about to be created is noted first. */
export interface Ledger {
  /** Resolves when it is on disk. */
  add(resource: Resource): Promise<void>;
}

/** A running workload. */
export interface Workload {
  readonly cluster: string;
  readonly spec: WorkloadSpec;
  readonly addresses: PerFamily<string>;
  readonly probe: Probe;
  /** Prefix with which a person runs a command there: `ip netns exec …`, `kubectl --context … exec … --`. */
  readonly shell: string;
}

/** The gateway of a cluster: made by the provider, configured by the underlay. */
export interface Gateway {
  readonly cluster: string;
  /** Its address on the wan, and inside its own cluster. */
  readonly wanAddresses: PerFamily<string>;
  readonly nodeAddresses: PerFamily<string>;
  readonly wanInterface: string;
  /** Interface towards the workloads: there traffic is not yet encrypted. */
  readonly clusterInterface: string;
  readonly shell: string;
  readonly probe: Probe;
  /** Runs a program to its end. Rejects with the program's own words when it fails. `input` goes to standard input. */
  exec(
    command: readonly [string, ...string[]],
    options?: { input?: string; timeoutMs?: number },
  ): Promise<string>;
  /** Starts a program that stays until the gateway goes. */
  startDaemon(
    name: string,
    command: readonly [string, ...string[]],
    environment?: Record<string, string>,
  ): Promise<void>;
  stopDaemon(name: string): Promise<void>;
  writeFile(name: string, content: string, mode?: number): Promise<string>;
  startCapture(request: {
    interface: string;
    /** pcap filter expression; all packets when empty. */
    filter: string;
    /** Text to look for in every packet. */
    marker: string;
  }): Promise<Capture>;
}
export interface Capture {
  stop(): Promise<CaptureSummary>;
}

export interface Cluster {
  readonly kind: 'lab' | 'kubernetes';
  readonly name: string;
  readonly ranges: ClusterRanges;
  readonly gateway: Gateway;
  readonly workloads: readonly Workload[];
  /** The DNS server that workloads of this cluster use. */
  readonly dns: PerFamily<string>;
  startWorkload(spec: WorkloadSpec): Promise<Workload>;
  exposeService(spec: ServiceSpec): Promise<void>;
  /** Address of the service inside its own cluster. */
  serviceAddress(service: { namespace: string; name: string }): SharedAddress;
  /** Interfaces, routes, rules, logs: what a person would look at, by file name. Secrets are left out. */
  diagnose(): Promise<Readonly<Record<string, string>>>;
}

/** An intent in place. */
export interface AppliedIntent {
  /** What was rendered: rules, objects; goes into the record. */
  readonly rendered: string;
  /** Whether the system itself says that it is in force. */
  settled(): Promise<boolean>;
  undo(): Promise<void>;
}
export interface IntentHandler {
  readonly name: string;
  /** `true`, or the reason why not. */
  supports(intent: Intent): true | string;
  apply(intent: Intent, cluster: Cluster): Promise<AppliedIntent>;
  readonly policySemantics?: PolicySemantics;
  /** For a shared service: where a caller in this cluster finds it. */
  addressFrom?(cluster: Cluster, service: { namespace: string; name: string }): SharedAddress;
}

export interface FaultInjector {
  readonly kinds: readonly FaultKind[];
  /** Writes how to mend it to the ledger before anything is changed. */
  inject(fault: FaultSpec, fleet: Fleet, ledger: Ledger): Promise<Disturbance>;
}

/** All clusters of a run and how they hang together. */
export interface Fleet {
  readonly run: string;
  readonly clusters: readonly Cluster[];
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly families: readonly IpFamily[];
}

/** What underlay and profile need of the clusters, known before anything exists. */
export interface Requirements {
  readonly wan: boolean;
  /** MTU that the path between workloads of two clusters should have. */
  readonly pathMtu?: number;
  readonly hostPackages: readonly string[];
}

export interface Underlay {
  readonly name: 'wireguard' | 'direct' | 'existing';
  readonly features: readonly Feature[];
  requirements(families: readonly IpFamily[]): Requirements;
  /** Joins the gateways. */
  join(fleet: Fleet, ledger: Ledger): Promise<void>;
  readonly injectors: readonly FaultInjector[];
  /** Versions as observed: `wireguard: kernel 6.1` or `wireguard-go 0.0.20220316`. */
  observedVersions(fleet: Fleet): Promise<Readonly<Record<string, string>>>;
  diagnose(gateway: Gateway): Promise<Readonly<Record<string, string>>>;
  /** What a check of the wire may expect to see there. */
  readonly wire?: {
    /** pcap expression of the tunnel's own packets. */
    tunnelFilter: string;
    /** Seconds since the last handshake with each neighbour cluster; absent key: never. */
    handshakes(gateway: Gateway, fleet: Fleet): Promise<Readonly<Record<string, number>>>;
  };
}

export interface Profile {
  readonly name: string;
  readonly conformanceClass: ConformanceClass;
  readonly features: readonly Feature[];
  requirements(): Requirements;
  install(fleet: Fleet, ledger: Ledger): Promise<void>;
  readonly handlers: readonly IntentHandler[];
  readonly injectors: readonly FaultInjector[];
  decorate(spec: WorkloadSpec, cluster: string): WorkloadSpec;
  observedVersions(fleet: Fleet): Promise<Readonly<Record<string, string>>>;
}

export interface ProviderOptions {
  readonly run: string;
  readonly names: readonly string[];
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly families: readonly IpFamily[];
  readonly requirements: Requirements;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
}

export interface Provider {
  readonly name: 'lab' | 'kind' | 'contexts';
  readonly features: readonly Feature[];
  readonly handlers: readonly IntentHandler[];
  readonly injectors: readonly FaultInjector[];
  /** Everything wrong with this machine, each with its remedy; empty when ready. Creates nothing. */
  check(requirements: Requirements): Promise<readonly MachineProblem[]>;
  /** Clusters with gateways, no workloads yet. */
  create(options: ProviderOptions): Promise<Fleet>;
  /** The fleet that a kept run left, as it is, with its workloads. */
  attach(run: string, options: ProviderOptions): Promise<Fleet>;
  observedVersions(): Promise<Readonly<Record<string, string>>>;
}

export interface MachineProblem {
  readonly what: string;
  readonly remedy: string;
  /** Debian packages that would mend it, for `--yes`. */
  readonly packages?: readonly string[];
}
