/** What is known of images that are not the vendor's build. */
import { CommandError, runCommand } from '../../system/commands.ts';

const BUILD_LABEL = 'mcnet-conformance.build';
const DIFFERS_LABEL = 'mcnet-conformance.differs';

/** Labels of an image that the engine of this machine has; none when there is no such image or engine. */
async function labelsOf(image: string): Promise<Readonly<Record<string, string>>> {
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

export const isLocalBuild = async (image: string): Promise<boolean> =>
  (await labelsOf(image))[BUILD_LABEL] === 'local';

/** Sentences on what differs from the vendor's build. */
export async function localBuildsOf(images: readonly string[]): Promise<readonly string[]> {
  const labels = await Promise.all(images.map(labelsOf));
  const differs = images.flatMap((image, index) =>
    labels[index]?.[BUILD_LABEL] === 'local'
      ? [`${image}: ${labels[index][DIFFERS_LABEL] ?? 'built locally'}`]
      : [],
  );
  return [...new Set(differs)];
}
