import type { KubernetesOptions, RunSpec } from '../../model/spec.ts';

/** What of a run's specification concerns Consul. */
export type ConsulOptions = Pick<
  RunSpec,
  'topology' | 'families' | 'images' | 'tools' | 'charts' | 'consulGateways' | 'tuning'
> & {
  readonly kubernetes: Pick<KubernetesOptions, 'namespace'>;
};

/** Of the version that this profile was written for: https://developer.hashicorp.com/consul/docs/connect/proxies/envoy. */
export const VENDOR_IMAGES = {
  consul: 'hashicorp/consul:1.14.11',
  consulEnvoy: 'envoyproxy/envoy:v1.24.12',
} as const;

export const imagesOf = ({
  images,
}: Pick<ConsulOptions, 'images'>): Record<keyof typeof VENDOR_IMAGES, string> => ({
  consul: images.consul ?? VENDOR_IMAGES.consul,
  consulEnvoy: images.consulEnvoy ?? VENDOR_IMAGES.consulEnvoy,
});

/**
 * How long proxies leave an endpoint alone that failed: as Envoy has it the first time, and so much longer each time after
 * (five minutes at most), since one that nothing answers behind fails whenever it is tried anew; or less, and always the same.
 * This version of Consul has no word for it, so that Envoy is told where it is started.
 */
export const EJECTION_MS: Record<ConsulOptions['tuning'], number> = { 'as-configured': 30_000, fast: 3_000 };
