/** What is known of the images of a build that is not the vendor's. */
import { CommandError, runCommand } from '../../system/commands.ts';
import type { IstioOptions } from './options.ts';

const BUILD_LABEL = 'mcnet-conformance.build';
const DIFFERS_LABEL = 'mcnet-conformance.differs';
/** `versions: { istioFilters: none }` says it of images that carry no label. */
const FILTERS = 'istioFilters';

/** Labels of an image that the engine of this machine has; none when there is no such image or engine. */
async function labelsOf(image: string | undefined): Promise<Readonly<Record<string, string>>> {
  if (image === undefined) return {};
  try {
    const said = await runCommand([
      'docker',
      'image',
      'inspect',
      '--format',
      '{{json .Config.Labels}}',
      image,
    ]);
    return (JSON.parse(said) ?? {}) as Record<string, string>;
  } catch (error) {
    if (error instanceof CommandError || error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Envoy as its own project builds it has none of the filters that Istio adds: what uses them must stay off. */
export async function lacksOwnFilters({ images, versions }: IstioOptions): Promise<boolean> {
  if (versions[FILTERS] !== undefined) return versions[FILTERS] === 'none';
  return (await labelsOf(images.istioProxyv2))[BUILD_LABEL] === 'local';
}

/** Sentences on what differs from the vendor's build. */
export async function localBuildsOf({ images }: IstioOptions): Promise<readonly string[]> {
  const labels = await Promise.all([images.istioPilot, images.istioProxyv2].map(labelsOf));
  const differs = labels.flatMap((label) =>
    label[BUILD_LABEL] === 'local' ? [label[DIFFERS_LABEL] ?? 'Istio built locally'] : [],
  );
  return [...new Set(differs)];
}
