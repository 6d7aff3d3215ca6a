/** What is known of the images of a build that is not the vendor's. */
import { CommandError, runCommand } from '../../system/commands.ts';

const BUILD_LABEL = 'mcnet-conformance.build';
const DIFFERS_LABEL = 'mcnet-conformance.differs';

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

export const isLocalBuild = async (image: string | undefined): Promise<boolean> =>
  (await labelsOf(image))[BUILD_LABEL] === 'local';

/** Sentences on what differs from the vendor's build, for those of these images that were built here. */
export async function localBuildsAmong(
  images: readonly (string | undefined)[],
  otherwise: string,
): Promise<readonly string[]> {
  const labels = await Promise.all(images.map(labelsOf));
  const differs = labels.flatMap((label) =>
    label[BUILD_LABEL] === 'local' ? [label[DIFFERS_LABEL] ?? otherwise] : [],
  );
  return [...new Set(differs)];
}
