/** What is known of images that are not the vendor's build. */
import { CommandError, runCommand } from '../../system/commands.ts';

const BUILD_LABEL = 'mcnet-conformance.build';
const DIFFERS_LABEL = 'mcnet-conformance.differs';

type Labels = Readonly<Record<string, string>>;

/** Labels of an image that the engine of this machine has; undefined when there is no such image or engine. */
async function labelsOf(image: string): Promise<Labels | undefined> {
  try {
    const said = await runCommand([
      'docker',
      'image',
      'inspect',
      '--format',
      '{{json .Config.Labels}}',
      image,
    ]);
    return (JSON.parse(said) ?? {}) as Labels;
  } catch (error) {
    if (error instanceof CommandError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const isLocalBuild = async (image: string): Promise<boolean> =>
  (await labelsOf(image))?.[BUILD_LABEL] === 'local';

/** Of one that says nothing but its name. */
const notObserved = (image: string): string =>
  `${image}: not observed: the Docker engine of this machine does not have it`;

/**
 * Sentences on what differs from the vendor's build, and on images of which nobody here can say whose they are.
 * @param vendors names under which the vendor itself offers them: nodes pull these from there
 */
export async function localBuildsOf(
  images: readonly string[],
  vendors: readonly string[] = [],
  inspect: (image: string) => Promise<Labels | undefined> = labelsOf,
): Promise<readonly string[]> {
  const distinct = [...new Set(images)];
  const all = await Promise.all(distinct.map(inspect));
  return distinct.flatMap((image, index) => {
    const labels = all[index];
    if (labels === undefined) return vendors.includes(image) ? [] : [notObserved(image)];
    return labels[BUILD_LABEL] === 'local' ? [`${image}: ${labels[DIFFERS_LABEL] ?? 'built locally'}`] : [];
  });
}
