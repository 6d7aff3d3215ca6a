/** Ports: what a provider, an underlay and a profile give to the rest. No implementation here. */
import type { AddressPlan, ClusterRanges } from './addressing.ts';
import type { Budget } from './budgets.ts';
import type { CauseCode } from './causes.ts';
import type { IpFamily, PerFamily } from './cidr.ts';
import type { Disturbance, FaultKind, FaultSpec } from './fault.ts';
import type { Intent, PolicySemantics, Refusal } from './intent.ts';
import type { CaptureSummary, Credentials, Probe } from './probe.ts';
import type { Step } from './steps.ts';
import type { Topology, Ways } from './topology.ts';
import type { ContainerName, ContainerReading, Plane } from './usage.ts';
import type { Figures } from './verdict.ts';
import type { ServicePort, ServiceSpec, SharedAddress, WorkloadSpec } from './workload.ts';

/** What a system can carry; a check that requires what is missing is skipped with the reason. */
export type Feature =
  | 'l3.pod'
  /** Routers between workloads of two clusters can be seen by these: nothing on the way tunnels their packets. */
  | 'l3.hops'
  /** What workloads send to nodes of other clusters is encrypted before it leaves their own. */
  | 'l3.encrypted'
  | 'l4.udp'
  | 'icmp'
  | 'l7.service'
  | 'dns'
  | 'dns.clusterset'
  | 'policy'
  /** Policies may name clusters, and mean what is configured where they name none. */
  | 'policy.clusters'
  | 'share-service'
  | 'tunnel.encrypted'
  | 'wan.capture'
  | 'gateway.probe'
  /** Workloads may be disturbed from inside: sysctls, route cache, raw sockets. */
  | 'workload.privileged'
  /** The ranges of the clusters come from a plan that somebody has stated. */
  | 'planned-addresses'
  /** Workloads prove who they are to each other by certificates. */
  | 'mtls'
  /** Control planes learn each other's endpoints. */
  | 'endpoint-discovery'
  /** Certificates by which control planes know each other can be read. */
  | 'control-plane-certificates'
  /** Nodes say of those of other clusters whether they reach them, by probes of their own. */
  | 'node-health'
  /** Clusters are told when they export the same service differently, and what holds then. */
  | 'export-conflicts'
  /** A service is nothing to other clusters until its own cluster exports it. */
  | 'explicit-export'
  /** A service is one with its namesakes only while its own cluster shares it, and only with those of clusters that do too. */
  | 'mutual-sharing'
  /** Services of other clusters are reached through gateways of the technology's own, which may be stopped. */
  | 'service-gateway'
  /** Callers leave their cluster by a gateway of its own, which may be stopped. */
  | 'own-gateway'
  /** Callers reach the gateways of other clusters by themselves. */
  | 'no-own-gateway'
  /** What a cluster exports has names of its own in each other cluster, which its DNS server answers. */
  | 'peer-names'
  /** Clusters are joined by a token that one makes for the other. */
  | 'join-token'
  /** Workloads may be started on a node of one's choice. */
  | 'nodes';

export type ConformanceClass = 'underlay' | 'mesh-flat' | 'mesh-gateway' | 'service-peering';
/** Those in which a technology carries services between clusters, and says who calls. */
export const SERVICE_CLASSES: readonly ConformanceClass[] = ['mesh-flat', 'mesh-gateway', 'service-peering'];

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
  /** Every container with this label (`key=value`), and the volumes that only it has. */
  | { readonly kind: 'delete-containers'; readonly label: string }
  | { readonly kind: 'delete-docker-network'; readonly name: string }
  /** Every namespace with this label (`key=value`) in the cluster of this context, with all that is in it. */
  | {
      readonly kind: 'delete-namespaces';
      readonly kubeconfig: string;
      readonly context: string;
      readonly label: string;
    }
  /** Removes and applies objects (server-side) in the cluster of this context, as they were before a fault. */
  | {
      readonly kind: 'restore-objects';
      readonly kubeconfig: string;
      readonly context: string;
      readonly fieldManager: string;
      readonly apply: readonly KubernetesObject[];
      readonly remove: readonly ObjectReference[];
    }
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
  /** Where clusters have nodes: the one that it runs on. */
  readonly node?: string;
  readonly addresses: PerFamily<string>;
  readonly probe: Probe;
  /** What it waited for until it was ready, and how long, where something says so. */
  readonly waited?: string;
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
  /** What asking it took so far: requests, sessions. */
  figures?(): Figures;
}

/** A Kubernetes object as its API takes it; what is not named here is for its kind to say. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export type ObjectReference = Pick<KubernetesObject, 'apiVersion' | 'kind'> & {
  readonly metadata: Pick<KubernetesObject['metadata'], 'name' | 'namespace'>;
};

/** Objects of one cluster, through its API server. Every call ends within a named budget. */
export interface KubernetesObjects {
  /**
   * Server-side apply by the field manager `mcnet-conformance`, one after the other; each gets the label of the run.
   * @throws UserError when the API server refuses: what, where, and what right or resource is missing
   */
  apply(objects: readonly KubernetesObject[]): Promise<void>;
  /** Undefined when there is none. */
  read(reference: ObjectReference): Promise<KubernetesObject | undefined>;
  list(query: {
    readonly apiVersion: string;
    readonly kind: string;
    /** All namespaces when absent. */
    readonly namespace?: string;
    readonly labelSelector?: string;
  }): Promise<readonly KubernetesObject[]>;
  /** Deleting what is gone is no error. */
  delete(references: readonly ObjectReference[]): Promise<void>;
  /**
   * Runs a program in a pod to its end. Rejects with the program's own words when it fails.
   * `often`: in a shell that stays there for it, so that it costs a few milliseconds.
   */
  exec(
    pod: { readonly namespace: string; readonly name: string; readonly container?: string },
    command: readonly [string, ...string[]],
    options?: { readonly input?: string; readonly timeoutMs?: number; readonly often?: boolean },
  ): Promise<string>;
  /**
   * Asks by HTTP what listens at a port of a pod, by way of the API server: nothing starts there, which a session takes a
   * tenth of a second of a processor for. @returns whatever it answers
   */
  ask(
    pod: { readonly namespace: string; readonly name: string; readonly port: number },
    request: {
      readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
      readonly path: string;
      readonly body?: unknown;
    },
  ): Promise<{ readonly status: number; readonly body: string }>;
  /** The end of a container's log. */
  log(
    pod: { readonly namespace: string; readonly name: string; readonly container?: string },
    options?: { readonly lines?: number },
  ): Promise<string>;
}

export interface KubernetesNode {
  readonly name: string;
  readonly addresses: PerFamily<string>;
  readonly podRanges: PerFamily<string>;
  /** Whether workloads of this run may run there: it is schedulable, and nothing keeps them off. */
  readonly takesWorkloads: boolean;
}

/** A cluster with an API server; clusters of the lab have none. */
export interface KubernetesCluster extends Cluster {
  readonly kind: 'kubernetes';
  /** Whether this program made it; else nothing but its own namespaces may be touched. */
  readonly own: boolean;
  readonly objects: KubernetesObjects;
  /** File with this cluster's credentials only (mode 0600), and the name of its context, for tools and people. */
  readonly kubeconfig: string;
  readonly context: string;
  /** URL of the API server as pods of other clusters reach it. */
  readonly apiServer: string;
  nodes(): Promise<readonly KubernetesNode[]>;
  /** What every container takes of its node, as the kubelets say, which look every 10 to 20 s. */
  containerReadings(): Promise<readonly ContainerReading[]>;
  /** Name in this cluster of a namespace of specifications: a user may have put a prefix before it. */
  namespaceOf(namespace: string): string;
  /** @param giveUp ends the waiting for its pod, which stays */
  startWorkload(spec: WorkloadSpec, giveUp?: AbortSignal): Promise<Workload>;
  /** Deletes its pod gracefully, also one that never became ready; resolves when it is gone from the API and from `workloads`. */
  stopWorkload(workload: Pick<Workload, 'spec'>): Promise<void>;
}

/** An intent in place. */
export interface AppliedIntent {
  /** What was rendered: rules, objects; goes into the record. */
  readonly rendered: string;
  /** Whether the system itself says that it is in force: yes, no, or what is still missing. */
  settled(): Promise<boolean | string>;
  /** Being settled is being accepted: traffic obeys when those have heard of it who enforce it, within `CONVERGENCE_MS`. */
  readonly obeyedLater?: true;
  undo(): Promise<void>;
}
export interface IntentHandler {
  readonly name: string;
  /** `true`, or the reason why not. */
  supports(intent: Intent): true | string;
  apply(intent: Intent, cluster: Cluster): Promise<AppliedIntent>;
  readonly policySemantics?: PolicySemantics;
  /** Where it handles policies by identity: what callers by HTTP see of being refused. */
  readonly identityRefusal?: Refusal;
  /** For a shared service: where a caller in this cluster finds it. */
  addressFrom?(cluster: Cluster, service: { namespace: string; name: string }): SharedAddress;
}

export interface FaultInjector {
  readonly kinds: readonly FaultKind[];
  /**
   * What an injection changes: what the run made, or the cluster itself. The second is for clusters that this program
   * made (`own`).
   */
  readonly reach: 'run' | 'cluster';
  /** Whether one fault is in place as soon as the other is, with the same proof; default: when they are equal. */
  readonly isSame?: (one: FaultSpec, other: FaultSpec) => boolean;
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
  /** MTU of the path between nodes of two clusters, where the underlay says so. */
  readonly nodeMtu?: number;
}

/** What underlay and profile need of the clusters, known before anything exists. */
export interface Requirements {
  readonly wan: boolean;
  /** MTU that the path between workloads of two clusters should have. */
  readonly pathMtu?: number;
  /** Bytes that it puts around what workloads of two clusters send each other, on the way from node to node. */
  readonly overhead?: number;
  /** Of underlay and profile together: MTU of the path between nodes of two clusters. */
  readonly nodeMtu?: number;
  readonly hostPackages: readonly string[];
  /** Set by what runs on Kubernetes only. */
  readonly kubernetes?: KubernetesRequirements;
}

/** As `ip link add … type` names them. */
export type LinkKind = 'vxlan' | 'geneve' | 'wireguard';

export type PolicyKind = Pick<KubernetesObject, 'apiVersion' | 'kind'>;

export interface KubernetesRequirements {
  /** Who connects pods: the cluster's own default, or the technology itself. */
  readonly cni: 'default' | 'none';
  readonly kubeProxy: 'kept' | 'none';
  /** Whether pods of one cluster reach pods of another by their own addresses. */
  readonly podRoutes: boolean;
  /** Kinds of network links that the kernel beneath the nodes must know. */
  readonly links?: readonly LinkKind[];
  /** Images to have on every node before anything is installed. */
  readonly images: readonly string[];
  /** Those of who connects pods, where a profile does: a node image may bring them along. */
  readonly cniImages?: readonly string[];
  /** What policies are made of besides NetworkPolicy. */
  readonly policyKinds?: readonly PolicyKind[];
  /** Programs of this machine that it calls, by the name under which `tools:` may place them. */
  readonly tools: readonly string[];
}

export interface Underlay {
  readonly name: 'wireguard' | 'direct' | 'existing';
  readonly features: readonly Feature[];
  requirements(families: readonly IpFamily[]): Requirements;
  /** Joins the gateways. */
  join(fleet: Fleet, ledger: Ledger, step?: Step): Promise<void>;
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

/** How workloads prove to each other who they are, and where it can be seen. */
export interface Identities {
  /** URI of the identity that a workload has to others: `spiffe://…`. */
  readonly identityOf: (workload: WorkloadSpec, cluster: string) => string;
  /** Request header by which the proxy of a server tells it who called. */
  readonly callerHeader: string;
  /** Identities in that header, the nearest caller last. */
  readonly callersIn: (header: string) => readonly string[];
  /** A value of that header that claims this identity. */
  readonly claim: (identity: string) => string;
  /** How a client of the technology opens TLS to the proxy of a workload behind a service. */
  readonly dialect: (
    service: { namespace: string; name: string },
    port: number,
  ) => { readonly serverName: string; readonly alpn: readonly string[] };
  /** A fresh key, and a certificate of this identity by an authority that nobody trusts. */
  readonly foreignCredentials: (identity: string) => Promise<Credentials>;
  /** PEM certificates of the authorities that the proxy of this workload trusts now. */
  readonly trustBundle: (workload: Workload, cluster: Cluster) => Promise<readonly string[]>;
  /** What the proxy of this workload says of connections since it started: counts by TLS version and by group. */
  readonly handshakes: (workload: Workload, cluster: Cluster) => Promise<Readonly<Record<string, number>>>;
}

/** A link of the chain by which a control plane learns of another cluster's endpoints, found broken. */
export interface BrokenLink {
  readonly cause: CauseCode;
  /** One sentence: what is wrong, and where. */
  readonly what: string;
  /** Where only some nodes of the caller's cluster are concerned: these, as far as they were asked. */
  readonly nodes?: readonly string[];
  /** Command for a person that shows the same. */
  readonly command?: string;
}

/** What one node says of another. */
export interface NodePath {
  readonly from: string;
  readonly to: string;
  /** Absent: it has not probed it yet. */
  readonly reachable?: boolean;
  /**
   * When it was probed, in milliseconds of its own clock: of what fails the newest, else of all the oldest. Absent: nobody
   * says.
   */
  readonly probedAt?: number;
  /** In the technology's words. */
  readonly said: string;
}
/** What the nodes of a cluster say of those of another. */
export interface NodeHealth {
  readonly paths: readonly NodePath[];
  /** Between two probes of the same node. */
  readonly everyMs?: number;
  /** Why nobody says anything: the technology is configured so. */
  readonly off?: string;
}

/** What a cluster makes of a service that it exports. */
export interface ExportState {
  /** In the technology's words; absent: it tells of none. */
  readonly conflict?: string;
  /** As callers of this cluster find them. */
  readonly ports: readonly ServicePort[];
}

/** Packets that the data plane dropped, by its own account. */
export interface Drop {
  /** `policy denied`. */
  readonly reason: string;
  /** Addresses. */
  readonly source: string;
  readonly destination: string;
  /** `TCP 7000`. */
  readonly port: string;
  readonly packets: number;
}

export interface NamedCertificate {
  readonly name: string;
  /** Absent: there should be one, and is not. */
  readonly pem?: string;
  /** Where the server that uses it shows one, to callers of its own cluster: it may still be one of before. */
  readonly shownAt?: { readonly addresses: PerFamily<string>; readonly port: number };
}

/** Names by which callers mean the service of one certain cluster. */
export interface PeerNames {
  /** Name that callers of another cluster ask for, to be answered by an address that they can call. */
  serviceName(service: { namespace: string; name: string }, cluster: string): string;
  /** Name that lists the instances that a caller's cluster believes to be healthy in the other. */
  instancesName(service: { namespace: string; name: string }, cluster: string): string;
}

/** How clusters join: one makes a token, which the other uses. */
export interface JoinTokens {
  /** Made anew for the same name, it replaces the one before. @param name under which this cluster will know the other */
  make(cluster: Cluster, name: string): Promise<string>;
  /** @returns why it is refused, in the technology's own words; undefined when it is taken */
  use(cluster: Cluster, name: string, token: string): Promise<string | undefined>;
  /** Whether this cluster says that it is joined with the one that it knows by this name. */
  isJoined(cluster: Cluster, name: string): Promise<boolean>;
  /** Removing what is gone is no error. */
  remove(cluster: Cluster, name: string): Promise<void>;
}

/** A part of the technology, or of the cluster beneath, with its version. */
export interface Component {
  readonly cluster: string;
  readonly kind: 'control plane' | 'proxy' | 'kubernetes';
  readonly name: string;
  /** As it says itself: `1.31.0`, `v1.34.4`. */
  readonly version: string;
}

/** How far versions may lie apart, in minor versions, and who says so. */
export interface SupportedSkew {
  /** Between the control planes of two clusters. */
  readonly betweenControlPlanes: number;
  /** Of a proxy behind its control plane; it may never be ahead. */
  readonly proxyBehind: number;
  /** Minor versions of Kubernetes, oldest and newest, that this minor version of the control plane is tested with. */
  readonly kubernetes: Readonly<Record<string, readonly [oldest: string, newest: string]>>;
  readonly reference: string;
}

/** A technology as its vendor would have it installed, for people to read; this program may install it otherwise. */
export interface VendorChart {
  readonly clusters: readonly {
    readonly cluster: string;
    /** Values of the Helm chart. */
    readonly values: object;
    readonly objects: readonly KubernetesObject[];
  }[];
  /** Commands, in their order; files are called `<cluster>-values.yaml` and `<cluster>-resources.yaml`. */
  readonly steps: readonly string[];
}

export interface Profile {
  readonly name: string;
  readonly conformanceClass: ConformanceClass;
  readonly features: readonly Feature[];
  /** What it makes of pairs of clusters by their paths; absent: as the underlay routes them. */
  readonly ways?: Ways;
  /**
   * What budgets become by the technology's own timers as they are configured: `<check id>.<name>`. Once it is installed,
   * recalled or adopted, as they are configured there.
   */
  readonly budgets?: Readonly<Record<string, Pick<Budget, 'value' | 'reason'>>>;
  /**
   * Once it is there: how it is configured where that is not the technology's own default, or limits what checks may expect; a
   * sentence each.
   */
  readonly remarks?: readonly string[];
  /**
   * Why callers in this cluster go on being sent to one that is gone, for as long as it is: as the technology is configured
   * there. Undefined where they are not.
   */
  keepsLost?(cluster: string): string | undefined;
  readonly identities?: Identities;
  /** Feature `peer-names`. */
  readonly peerNames?: PeerNames;
  /** Feature `join-token`. */
  readonly joinTokens?: JoinTokens;
  /** Why endpoints of `to` may be unknown in `from`: every link of the chain that is broken, the likeliest cause first. */
  brokenLinks?(fleet: Fleet, from: Cluster, to: Cluster): Promise<readonly BrokenLink[]>;
  /** What nodes of `from` say of those of `to` (feature `node-health`). */
  nodeHealth?(from: Cluster, to: Cluster): Promise<NodeHealth>;
  /**
   * PEM certificates by which the control plane of this cluster and others know each other, by name: every one that there is
   * to be as the technology is configured, those that are not there too (feature `control-plane-certificates`).
   */
  controlPlaneCertificates?(cluster: Cluster): Promise<readonly NamedCertificate[]>;
  /** What becomes of a service that this cluster exports (feature `export-conflicts`). */
  exportState?(cluster: Cluster, service: { namespace: string; name: string }): Promise<ExportState>;
  /**
   * What the data plane of this cluster has dropped since of packets from or to these addresses, as far as it remembers.
   * @throws where it cannot say
   */
  drops?(cluster: Cluster, since: Date, addresses: readonly string[]): Promise<readonly Drop[]>;
  readonly versions?: {
    components(fleet: Fleet): Promise<readonly Component[]>;
    readonly supportedSkew: SupportedSkew;
  };
  requirements(): Requirements;
  /** Resolves when it is ready for workloads. Into clusters that this program made. */
  install(fleet: Fleet, ledger: Ledger, step?: Step): Promise<void>;
  /** Takes over what `install` made in a run that was kept, as it is now. */
  recall?(fleet: Fleet): Promise<void>;
  /**
   * For clusters that exist: finds the technology as somebody installed it, and changes nothing. Absent: there is
   * nothing to find. @throws UserError saying what is not there, in which cluster
   */
  adopt?(fleet: Fleet): Promise<void>;
  /** What of the technology a person would look at, by file name. Secrets are left out. */
  diagnose?(cluster: Cluster): Promise<Readonly<Record<string, string>>>;
  readonly handlers: readonly IntentHandler[];
  readonly injectors: readonly FaultInjector[];
  /**
   * What a workload needs to take part, added to it; pure. `services`: those that stand in this cluster when it starts, of
   * which a technology may have to tell its proxy beforehand; `intents`: those that are put in place for the whole run.
   */
  decorate(
    spec: WorkloadSpec,
    cluster: string,
    services: readonly ServiceSpec[],
    intents?: readonly Intent[],
  ): WorkloadSpec;
  /** The same for services; absent: as they are. */
  decorateService?(spec: ServiceSpec): ServiceSpec;
  /** The same technology by its vendor's Helm chart, with what these fixtures share and allow. Pure. */
  vendorChart?(standing: { services: readonly ServiceSpec[]; intents: readonly Intent[] }): VendorChart;
  /** To which plane of the technology a container belongs; undefined: to neither. Absent: nobody can say what it takes. */
  planeOf?(container: ContainerName): Plane | undefined;
  observedVersions(fleet: Fleet): Promise<Readonly<Record<string, string>>>;
  /** As the provider's; not asked of a technology that others installed. */
  localBuilds?(fleet: Fleet): Promise<readonly string[]>;
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
  readonly step?: Step;
}

/** How long things may take at this provider; milliseconds. */
export interface ProviderLimits {
  readonly setUpMs: number;
  readonly setUpPerClusterMs: number;
  /** After an abort, what set-up has begun may come to an end, so that nothing appears behind the clean-up's back. */
  readonly graceMs: number;
  readonly teardownMs: number;
  readonly teardownPerClusterMs: number;
  /** Cases that run beside each other at most, where clusters share this machine or serve others. */
  readonly casesAtOnce?: number;
  /** All clusters run on this machine: of more than two, each leaves less of it for cases. */
  readonly clustersShareMachine?: true;
  /** This machine carries what all gateways' uplinks can: what leaves by one slows what leaves by no other. */
  readonly separateUplinks?: true;
}

export interface Provider {
  readonly name: 'lab' | 'kind' | 'contexts';
  readonly features: readonly Feature[];
  readonly handlers: readonly IntentHandler[];
  readonly injectors: readonly FaultInjector[];
  readonly limits: ProviderLimits;
  /** Everything wrong with this machine, each with its remedy; empty when ready. Creates nothing. */
  check(requirements: Requirements): Promise<readonly MachineProblem[]>;
  /** Clusters with gateways, no workloads yet. */
  create(options: ProviderOptions): Promise<Fleet>;
  /** The fleet that a kept run left, as it is, with its workloads. */
  attach(run: string, options: ProviderOptions): Promise<Fleet>;
  /** Without a fleet: those of this machine. */
  observedVersions(fleet?: Fleet): Promise<Readonly<Record<string, string>>>;
  /**
   * What was not built by its vendor, with what differs, or of which nobody can say who built it: a sentence each. Absent or
   * empty: all is the vendor's.
   */
  localBuilds?(fleet: Fleet): Promise<readonly string[]>;
}

export interface MachineProblem {
  readonly what: string;
  readonly remedy: string;
  /** Debian packages that would mend it, for `--yes`. */
  readonly packages?: readonly string[];
}
