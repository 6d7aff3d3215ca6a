/** The one table of images: what each is for, and what is used where the user names none. Pure. */
import type { RunSpec } from '../model/spec.ts';

interface Image {
  /** Key of `images:` in mcnet.yaml. */
  readonly name: string;
  readonly what: string;
  /** Used where the user names none, for people. */
  readonly otherwise: string;
  readonly providers?: readonly RunSpec['provider'][];
  readonly profiles?: readonly string[];
  /** With this CNI too. */
  readonly cni?: RunSpec['kubernetes']['cni'];
}

const ON_KUBERNETES = ['kind', 'contexts'] as const;
const CILIUM_DEFAULT = "as Cilium's chart has it";

export const IMAGES = [
  {
    name: 'node',
    what: 'nodes of clusters it creates',
    otherwise: "kind's own default",
    providers: ['kind'],
  },
  {
    name: 'probe',
    what: 'the probe agent, in every pod',
    otherwise: 'built on first use from fixtures/probe/Dockerfile',
    providers: ON_KUBERNETES,
  },
  {
    name: 'gateway',
    what: 'gateways between the clusters it creates',
    otherwise: 'built on first use from fixtures/gateway/Dockerfile',
    providers: ['kind'],
  },
  { name: 'istioPilot', what: "Istio's control plane", otherwise: "the vendor's", profiles: ['istio'] },
  {
    name: 'istioProxyv2',
    what: "Istio's sidecars and gateways",
    otherwise: "the vendor's",
    profiles: ['istio'],
  },
  {
    name: 'consul',
    what: "Consul's servers, and what registers workloads with them",
    otherwise: 'hashicorp/consul:1.14.11',
    profiles: ['consul'],
  },
  {
    name: 'consulEnvoy',
    what: "Consul's gateways and sidecars (Envoy)",
    otherwise: 'envoyproxy/envoy:v1.24.12',
    profiles: ['consul'],
  },
  {
    name: 'ciliumAgent',
    what: 'Cilium, on every node',
    otherwise: CILIUM_DEFAULT,
    providers: ['kind'],
    profiles: ['cilium'],
    cni: 'cilium',
  },
  {
    name: 'ciliumOperator',
    what: "Cilium's operator",
    otherwise: CILIUM_DEFAULT,
    providers: ['kind'],
    profiles: ['cilium'],
    cni: 'cilium',
  },
  {
    name: 'ciliumClustermeshApiserver',
    what: "Cilium's Cluster Mesh",
    otherwise: CILIUM_DEFAULT,
    profiles: ['cilium'],
  },
] as const satisfies readonly Image[];

export const IMAGE_NAMES: readonly string[] = IMAGES.map(({ name }) => name);

export interface UsedImage {
  readonly name: string;
  readonly what: string;
  /** As the user named it; absent: `otherwise` holds. */
  readonly image?: string;
  readonly otherwise: string;
}

/** What a run needs images for. */
export function imagesOf(spec: Pick<RunSpec, 'provider' | 'profile' | 'kubernetes' | 'images'>): UsedImage[] {
  return (IMAGES as readonly Image[])
    .filter(
      ({ providers, profiles, cni }) =>
        (providers?.includes(spec.provider) ?? true) &&
        ((profiles?.includes(spec.profile) ?? true) || cni === spec.kubernetes.cni),
    )
    .filter(({ profiles }) => spec.provider !== 'lab' || profiles === undefined)
    .map(({ name, what, otherwise }) => {
      const image = spec.images[name];
      return { name, what, otherwise, ...(image !== undefined && { image }) };
    });
}
