/**
 * Values for Cilium's chart that every installation on nodes in containers has, whoever installs it: a provider as a plain
 * CNI, a profile as a mesh. Pure.
 */
import type { IpFamily, PerFamily } from './cidr.ts';
import type { CiliumRouting } from './spec.ts';

/** The chart's without SYS_MODULE and SYS_RESOURCE, which a machine that is itself a container may lack. */
const CAPABILITIES = {
  ciliumAgent: [
    ...['CHOWN', 'KILL', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'SYS_ADMIN', 'DAC_OVERRIDE', 'FOWNER'],
    ...['SETGID', 'SETUID', 'SYSLOG'],
  ],
  mountCgroup: ['SYS_ADMIN', 'SYS_CHROOT', 'SYS_PTRACE'],
  applySysctlOverwrites: ['SYS_ADMIN', 'SYS_CHROOT', 'SYS_PTRACE'],
  cleanCiliumState: ['NET_ADMIN', 'SYS_ADMIN'],
};

/** Keys of `images:` for what runs on every node. */
export const CILIUM_IMAGES = ['ciliumAgent', 'ciliumOperator'] as const;

export interface CiliumWish {
  readonly families: readonly IpFamily[];
  /** What pods reach by their own address, in any cluster. */
  readonly routed: PerFamily<string>;
  /** As the user names them; absent: the chart's own. */
  readonly images: Readonly<Record<string, string>>;
  /** Default: native. */
  readonly routing?: CiliumRouting;
  /** What nodes send each other is encrypted by them. */
  readonly encrypted?: boolean;
  /** Of the path between nodes, where that is smaller than what the nodes see of it. */
  readonly nodeMtu?: number;
  /** Where there is no kube-proxy: the API server by an address that needs none. */
  readonly apiServer?: { readonly host: string; readonly port: number };
}

/** Bytes around what a tunnel carries, by the family of the nodes' addresses; as Cilium reckons (pkg/mtu). */
const TUNNEL_OVERHEAD: Readonly<Record<IpFamily, number>> = { ipv4: 50, ipv6: 70 };
const ENCRYPTION_OVERHEAD = 95;

/** Nodes tunnel by IPv4 where they can. */
const underlayOf = (families: readonly IpFamily[]): IpFamily => (families.includes('ipv4') ? 'ipv4' : 'ipv6');

/** Bytes by which what pods send each other must be shorter than what nodes may send. */
export const overheadOf = ({
  families,
  routing = 'native',
  encrypted = false,
}: Pick<CiliumWish, 'families' | 'routing' | 'encrypted'>): number =>
  (routing === 'native' ? 0 : TUNNEL_OVERHEAD[underlayOf(families)]) + (encrypted ? ENCRYPTION_OVERHEAD : 0);

/** Part of the values that names an image; nothing where the chart's own is used. */
export const imageValue = (image: string | undefined): object =>
  image === undefined ? {} : { image: { override: image, pullPolicy: 'IfNotPresent' } };

function routingValues({ families, routed, routing = 'native', nodeMtu, encrypted }: CiliumWish): object {
  const way =
    routing === 'native'
      ? {
          routingMode: 'native',
          autoDirectNodeRoutes: true,
          ...(routed.ipv4 !== undefined && { ipv4NativeRoutingCIDR: routed.ipv4 }),
          ...(routed.ipv6 !== undefined && { ipv6NativeRoutingCIDR: routed.ipv6 }),
        }
      : { routingMode: 'tunnel', tunnelProtocol: routing, underlayProtocol: underlayOf(families) };
  return {
    ...way,
    ...(encrypted && { encryption: { enabled: true, type: 'wireguard' } }),
    // Errors about packets that nodes wrap reach no pod: what fits must be known beforehand.
    ...(nodeMtu !== undefined && (encrypted || routing !== 'native') && { MTU: nodeMtu }),
  };
}

/** NetworkPolicy is enforced, and what needs an Envoy of Cilium's own stays off. */
export function ciliumValues(wish: CiliumWish): Readonly<Record<string, unknown>> {
  const { families, images, apiServer } = wish;
  return {
    ...imageValue(images['ciliumAgent']),
    ipam: { mode: 'kubernetes' },
    ipv4: { enabled: families.includes('ipv4') },
    ipv6: { enabled: families.includes('ipv6') },
    ...routingValues(wish),
    kubeProxyReplacement: String(apiServer !== undefined),
    ...(apiServer && { k8sServiceHost: apiServer.host, k8sServicePort: apiServer.port }),
    // Plug-ins that a mesh chains behind it stay.
    cni: { exclusive: false },
    l7Proxy: false,
    envoy: { enabled: false },
    hubble: { enabled: false },
    operator: { replicas: 1, ...imageValue(images['ciliumOperator']) },
    securityContext: { capabilities: CAPABILITIES },
  };
}
