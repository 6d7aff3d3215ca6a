/** What is known of Istio's images where its vendor did not build them. */
import { isLocalBuild, localBuildsAmong } from '../support/images.ts';
import type { IstioOptions } from './options.ts';

/** `versions: { istioFilters: none }` says it of images that carry no label. */
const FILTERS = 'istioFilters';

/** Envoy as its own project builds it has none of the filters that Istio adds: what uses them must stay off. */
export async function lacksOwnFilters({ images, versions }: IstioOptions): Promise<boolean> {
  if (versions[FILTERS] !== undefined) return versions[FILTERS] === 'none';
  return isLocalBuild(images.istioProxyv2);
}

/** Sentences on what differs from the vendor's build. */
export const localBuildsOf = ({ images }: IstioOptions): Promise<readonly string[]> =>
  localBuildsAmong([images.istioPilot, images.istioProxyv2], 'Istio built locally');
