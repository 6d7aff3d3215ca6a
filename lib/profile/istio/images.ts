/** What is known of Istio's images. */
import { isLocalBuild } from '../common/images.ts';
import type { IstioOptions } from './options.ts';

/** `versions: { istioFilters: none }` says it of images that carry no label. */
const FILTERS = 'istioFilters';

/** Envoy as its own project builds it has none of the filters that Istio adds: what uses them must stay off. */
export async function lacksOwnFilters({ images, versions }: IstioOptions): Promise<boolean> {
  if (versions[FILTERS] !== undefined) return versions[FILTERS] === 'none';
  return images.istioProxyv2 !== undefined && (await isLocalBuild(images.istioProxyv2));
}
