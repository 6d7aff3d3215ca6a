/**
 * Values for Cilium's chart that every installation on nodes in containers has, whoever installs it: a provider as a plain
 * CNI, a profile as a mesh. Pure.
 */
import type { IpFamily, PerFamily } from './cidr.ts';

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
}

/** Part of the values that names an image; nothing where the chart's own is used. */
export const imageValue = (image: string | undefined): object =>
  image === undefined ? {} : { image: { override: image, pullPolicy: 'IfNotPresent' } };

/**
 * Pods are routed, not tunnelled, since the gateways carry them on; NetworkPolicy is enforced, and what needs an Envoy of
 * Cilium's own stays off.
 */
export function ciliumValues({ families, routed, images }: CiliumWish): Readonly<Record<string, unknown>> {
  return {
    ...imageValue(images['ciliumAgent']),
    ipam: { mode: 'kubernetes' },
    ipv4: { enabled: families.includes('ipv4') },
    ipv6: { enabled: families.includes('ipv6') },
    routingMode: 'native',
    autoDirectNodeRoutes: true,
    ...(routed.ipv4 !== undefined && { ipv4NativeRoutingCIDR: routed.ipv4 }),
    ...(routed.ipv6 !== undefined && { ipv6NativeRoutingCIDR: routed.ipv6 }),
    kubeProxyReplacement: 'false',
    // Plug-ins that a mesh chains behind it stay.
    cni: { exclusive: false },
    l7Proxy: false,
    envoy: { enabled: false },
    hubble: { enabled: false },
    operator: { replicas: 1, ...imageValue(images['ciliumOperator']) },
    securityContext: { capabilities: CAPABILITIES },
  };
}
