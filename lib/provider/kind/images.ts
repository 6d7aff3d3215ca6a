/** Images of a run: those of the probe and the gateway are built where nobody names others, and loaded into the nodes. */
import { UserError } from '../../model/errors.ts';
import { CommandError, runCommand } from '../../system/commands.ts';
import type { BuiltImage, KindDependencies } from './context.ts';
import { docker, inspectImage } from './docker.ts';
import { kindCommand } from './machine.ts';
import { clusterName } from './names.ts';

/** A slow mirror and a slow disk; nothing runs without a limit. */
const BUILD_MS = 10 * 60_000;
const LOAD_MS = 5 * 60_000;

/** @returns the name under which the engine has the image, built now if need be */
export async function ensureBuilt(image: BuiltImage, signal: AbortSignal): Promise<string> {
  if (await inspectImage(image.name)) return image.name;
  try {
    await docker(['build', '--quiet', '--file', image.dockerfile, '--tag', image.name, image.contextFolder], {
      timeoutMs: BUILD_MS,
      signal,
      withDescendants: true,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(`The image ${image.name} could not be built`, {
      where: image.dockerfile,
      remedy:
        'See that this machine reaches its image registry, or name images that are here already (`images:` in mcnet.yaml)',
      cause: error,
    });
  }
  return image.name;
}

/** Loads those that the engine has into all nodes of a cluster; the nodes pull the others themselves. */
export async function loadImages(
  run: string,
  cluster: string,
  images: readonly string[],
  dependencies: KindDependencies,
  signal: AbortSignal,
): Promise<void> {
  const found = await Promise.all(images.map(async (name) => ((await inspectImage(name)) ? [name] : [])));
  const present = [...new Set(found.flat())];
  if (present.length === 0) return;
  try {
    await runCommand(
      [kindCommand(dependencies), 'load', 'docker-image', '--name', clusterName(run, cluster), ...present],
      { timeoutMs: LOAD_MS, signal, withDescendants: true },
    );
  } catch (error) {
    signal.throwIfAborted();
    const words = error instanceof CommandError ? error.output.trim().split('\n').at(-1) : undefined;
    throw new UserError(`Images could not be loaded into cluster ${cluster}${words ? `: ${words}` : ''}`, {
      where: present.join(', '),
      remedy:
        'See that the disk of the Docker engine is not full, and that the images are for this architecture',
      cause: error,
    });
  }
}
