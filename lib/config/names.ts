/** The names a user may choose between, and what is chosen when nothing is said. Nothing heavy is imported here. */

interface Choice {
  readonly name: string;
  readonly summary: string;
}

export const CHOICES = {
  profile: [
    { name: 'none', summary: 'no technology on top: the clusters as they are' },
    { name: 'istio', summary: 'Istio, over several clusters' },
    { name: 'cilium', summary: 'Cilium Cluster Mesh, with Cilium as the CNI of every cluster' },
    { name: 'consul', summary: 'Consul cluster peering' },
  ],
  provider: [
    { name: 'auto', summary: 'the provider that fits the other flags; says which and why' },
    { name: 'lab', summary: 'clusters made of network namespaces on this machine' },
    { name: 'kind', summary: 'clusters in containers of this machine, by kind' },
    { name: 'contexts', summary: 'existing clusters, by kubeconfig context' },
  ],
  underlay: [
    { name: 'wireguard', summary: 'a WireGuard tunnel between neighbouring gateways' },
    { name: 'direct', summary: 'plain routes between the gateways, no tunnel' },
    { name: 'existing', summary: 'whatever joins existing clusters already: the only one for contexts' },
  ],
  topology: [
    { name: 'full-mesh', summary: 'every cluster has a tunnel to every other' },
    { name: 'hub-and-spoke', summary: 'every cluster has one tunnel, to the hub' },
    { name: 'tree', summary: 'a binary tree below the hub' },
  ],
  cni: [
    { name: 'default', summary: "the node image's own" },
    { name: 'cilium', summary: 'Cilium, on clusters created without a CNI' },
  ],
  istioTopology: [
    { name: 'multi-primary', summary: 'one network, a control plane in each cluster' },
    { name: 'multi-network', summary: 'networks apart, joined by east-west gateways' },
    { name: 'primary-remote', summary: 'one network, the first cluster controls all' },
  ],
  ciliumSharing: [
    { name: 'global-service', summary: "by annotations of Cilium's own" },
    { name: 'mcs-api', summary: 'by ServiceExport and ServiceImport (KEP-1645)' },
  ],
  ciliumRouting: [
    { name: 'native', summary: 'nodes and gateways route the addresses of pods' },
    { name: 'vxlan', summary: 'nodes tunnel what pods send each other, by VXLAN' },
    { name: 'geneve', summary: 'the same by Geneve' },
  ],
  ciliumKubeProxy: [
    { name: 'kept', summary: 'kube-proxy carries services of the own cluster' },
    { name: 'replaced', summary: 'clusters without kube-proxy: Cilium carries all services' },
  ],
  ciliumEncryption: [
    { name: 'none', summary: 'what pods send is as they wrote it until it comes to the underlay' },
    { name: 'wireguard', summary: 'nodes encrypt what pods send each other, where the kernel can' },
  ],
  consulGateways: [
    { name: 'local', summary: 'by a mesh gateway of their own cluster, then that of the other' },
    { name: 'remote', summary: 'straight to the mesh gateway of the other cluster' },
  ],
  ipFamily: [
    { name: 'ipv4', summary: 'IPv4 only' },
    { name: 'ipv6', summary: 'IPv6 only' },
    { name: 'dual', summary: 'both; cases that differ by family run twice' },
  ],
  level: [
    { name: 'core', summary: 'what every conformant fleet must do' },
    { name: 'extended', summary: 'what only some claim' },
    { name: 'all', summary: 'both' },
  ],
  tuning: [
    { name: 'as-configured', summary: "the technology's own timers, but for those that every report names" },
    { name: 'fast', summary: 'shortened timers; the result is marked as non-production' },
  ],
} as const satisfies Record<string, readonly Choice[]>;

export type ChoiceKey = keyof typeof CHOICES;

/** The choice by which a profile comes in variants; `compare istio:multi-network` names one. */
export const VARIANTS_OF: Readonly<Partial<Record<string, ChoiceKey>>> = {
  istio: 'istioTopology',
  cilium: 'ciliumSharing',
  consul: 'consulGateways',
};

/** Choices that say something to one profile only. */
export const OPTIONS_OF = {
  istio: ['istioTopology'],
  cilium: ['ciliumSharing', 'ciliumRouting', 'ciliumKubeProxy', 'ciliumEncryption'],
  consul: ['consulGateways'],
} as const satisfies Readonly<Record<string, readonly ChoiceKey[]>>;

export type NameOf<K extends ChoiceKey> = (typeof CHOICES)[K][number]['name'];

/** Every name of a choice. */
export function knownNames<K extends ChoiceKey>(key: K): [NameOf<K>, ...NameOf<K>[]] {
  return CHOICES[key].map((choice) => choice.name) as [NameOf<K>, ...NameOf<K>[]];
}

export const choicesOf = (key: ChoiceKey): readonly Choice[] => CHOICES[key];

export const DEFAULTS = {
  profile: 'none',
  provider: 'auto',
  underlay: 'wireguard',
  clusters: '2',
  topology: 'full-mesh',
  ipFamily: 'ipv4',
  level: 'core',
  tuning: 'as-configured',
  cni: 'default',
  nodes: '1',
  istioTopology: 'multi-primary',
  ciliumSharing: 'global-service',
  ciliumRouting: 'native',
  ciliumKubeProxy: 'kept',
  ciliumEncryption: 'none',
  consulGateways: 'local',
  out: 'mcnet-report',
  /** Fixed, so that two runs of the same fleet sample the same pairs. */
  seed: 'mcnet',
} as const;

/** Read from the working directory when `--config` is not given and it is there. */
export const CONFIG_FILE = 'mcnet.yaml';
