import type { IpFamily, PerFamily } from '../../model/cidr.ts';
import type { AddressPlan } from '../../model/addressing.ts';
import type { KubernetesOptions } from '../../model/spec.ts';
import type { Probe, ProbeTransport } from '../../model/probe.ts';
import type { Topology } from '../../model/topology.ts';

/** An image that is built on first use; its name changes with whatever it is made of. */
export interface BuiltImage {
  readonly name: string;
  readonly dockerfile: string;
  readonly contextFolder: string;
}

export type ConnectProbe = (transport: ProbeTransport) => Probe;

/** What the provider is given, because it may not read the user's configuration or use the probe's room. */
export interface KindDependencies {
  readonly connectProbe: ConnectProbe;
  readonly kubernetes: KubernetesOptions;
  /** How many clusters are asked for. */
  readonly clusters: number;
  /** By the names of the one table; those that are absent have their default. */
  readonly images: Readonly<Record<string, string>>;
  readonly tools: Readonly<Record<string, string>>;
  /** Helm charts that the user names, by what they install. */
  readonly charts: Readonly<Record<string, string>>;
  /** What to build where no image is named. */
  readonly builtImages: (name: 'probe' | 'gateway') => Promise<BuiltImage>;
}

/** What a fleet remembers of itself in `fleet.json`, so that another process can find it again. */
export interface KindFleetState {
  readonly run: string;
  readonly names: readonly string[];
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly families: readonly IpFamily[];
  readonly probeImage: string;
  readonly podRoutes: boolean;
  readonly expiresAt: string;
  readonly clusters: Readonly<Record<string, KindClusterState>>;
}

export interface KindClusterState {
  readonly nodeAddresses: PerFamily<string>;
  readonly gateway: {
    readonly wanAddresses: PerFamily<string>;
    readonly nodeAddresses: PerFamily<string>;
    readonly wanInterface: string;
    readonly clusterInterface: string;
  };
}
