import type { AddressPlan, ClusterRanges } from './addressing.ts';
import type { IpFamily } from './cidr.ts';
import type { Feature, LinkKind } from './cluster.ts';
import type { Topology } from './topology.ts';

/** How Istio spans clusters (its installation guide's names). */
export type IstioTopology = 'multi-primary' | 'multi-network' | 'primary-remote';

/** How services are shared over a mesh of Cilium: by annotations of its own, or by the Multi-Cluster Services API. */
export type CiliumSharing = 'global-service' | 'mcs-api';

/** How what pods send each other gets from node to node. */
export type CiliumRouting = 'native' | 'vxlan' | 'geneve';

/** How callers leave their cluster over Consul: by a mesh gateway of their own, or straight to the other cluster's. */
export type ConsulGateways = 'local' | 'remote';

export interface Toleration {
  readonly key: string;
  readonly value?: string;
  readonly effect?: string;
}

/** What only concerns clusters with an API server. */
export interface KubernetesOptions {
  /** CNI of clusters that are created: the node image's own, or Cilium installed on a cluster without. */
  readonly cni: 'default' | 'cilium';
  /** Nodes of each cluster that is created. */
  readonly nodes: number;
  /** Context of each cluster to attach to, by cluster name. */
  readonly contexts: Readonly<Record<string, string>>;
  /** Absent: as kubectl finds it (KUBECONFIG, then ~/.kube/config). */
  readonly kubeconfig?: string;
  /** Ranges of existing clusters that the user gives; what is not given is asked of the cluster. */
  readonly ranges: Readonly<Record<string, Partial<ClusterRanges>>>;
  /** Whether the user has stated the plan that the ranges come from (`addressing:`). */
  readonly addressesPlanned: boolean;
  /** Put before the names of all namespaces that are created. */
  readonly namespace?: string;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  /** Names of Secrets (of the type kubernetes.io/dockerconfigjson) to copy from the namespace `default`. */
  readonly imagePullSecrets: readonly string[];
  /** Faults may be injected into clusters that this program did not make, within its own namespaces. */
  readonly allowFaults: boolean;
}

/** Everything a run was asked to do: flags, environment and file merged, defaults filled in, names checked. */
export interface RunSpec {
  readonly profile: string;
  readonly provider: 'lab' | 'kind' | 'contexts';
  /** Why this provider, for the console. */
  readonly providerReason: string;
  readonly underlay: 'wireguard' | 'direct' | 'existing';
  readonly topology: Topology;
  readonly families: readonly IpFamily[];
  readonly plan: AddressPlan;
  readonly level: 'core' | 'extended' | 'all';
  /** Globs. */
  readonly suites: readonly string[];
  readonly checks: readonly string[];
  readonly skips: readonly string[];
  /** `explicit`: the user asked for all, so nothing is sampled. */
  readonly pairs:
    { readonly kind: 'all'; readonly explicit?: true } | { readonly kind: 'sample'; readonly count: number };
  readonly tuning: 'as-configured' | 'fast';
  readonly kubernetes: KubernetesOptions;
  readonly istioTopology: IstioTopology;
  readonly ciliumSharing: CiliumSharing;
  readonly ciliumRouting: CiliumRouting;
  readonly ciliumKubeProxy: 'kept' | 'replaced';
  readonly ciliumEncryption: 'none' | 'wireguard';
  readonly consulGateways: ConsulGateways;
  /** Given by the user instead of the defaults of the one table of images: by its names. */
  readonly images: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Where programs are, by name; those that are not here are looked for on the PATH. */
  readonly tools: Readonly<Record<string, string>>;
  /** Helm charts given by the user, by the name of what they install: folders, archives, or as helm knows them. */
  readonly charts: Readonly<Record<string, string>>;
  /** `<check id>.<name>`. */
  readonly budgets: Readonly<Record<string, number>>;
  readonly out: string;
  readonly reports: readonly { readonly format: string; readonly path?: string }[];
  readonly keep: boolean;
  readonly attach?: string;
  readonly bail: boolean;
  /** What was asked for and cannot be had on this machine, with the reason: its cases are skipped with that. */
  readonly lacking?: Partial<Record<Feature, string>>;
  /** Whether to look at what containers take of their nodes, which costs half a minute. */
  readonly measureUsage?: true;
  /** Whether to wait, whatever the level, for what a technology takes its time for with the shortest timers too. */
  readonly patient?: true;
  readonly deadlineMs?: number;
  readonly seed: string;
  readonly yes: boolean;
  readonly verbosity: 'quiet' | 'normal' | 'verbose';
  /** As given, for the record. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

/** What was chosen and not every kernel can: a run goes on without. */
export interface KernelChoice {
  /** Links that the kernel of this machine has to know for it. */
  readonly link: LinkKind;
  /** For people: `encryption by Cilium`. */
  readonly what: string;
  /** What it would have offered to checks, and why that cannot be had without. */
  readonly feature: Feature;
  readonly reason: string;
  readonly instead: Partial<RunSpec>;
}
