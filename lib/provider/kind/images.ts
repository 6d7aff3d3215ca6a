/** Images of a run: those of the probe and the gateway are built where nobody names others, and loaded into the nodes. */
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ProviderOptions } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { CommandError, runCommand } from '../../system/commands.ts';
import { makePrivateFolder, removePath } from '../../system/files.ts';
import type { BuiltImage, KindDependencies } from './context.ts';
import { docker, insideContainer, inspectImage } from './docker.ts';
import { kindCommand } from './machine.ts';
import { clusterName, controlPlaneName } from './names.ts';

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

export interface ImageArchive {
  /** With nothing but the file in it. */
  readonly folder: string;
  readonly file: string;
  readonly images: readonly string[];
}

/**
 * Writes those that the engine has into one file, with what they have in common once; nodes pull the others themselves.
 * @param label part of the folder's name, apart from others of the run
 * @returns undefined when the engine has none of them
 */
export async function saveImages(
  images: readonly string[],
  { run, ledger, signal }: Pick<ProviderOptions, 'run' | 'ledger' | 'signal'>,
  label = 'images',
): Promise<ImageArchive | undefined> {
  const found = await Promise.all(images.map(async (name) => ((await inspectImage(name)) ? [name] : [])));
  const present = [...new Set(found.flat())];
  if (present.length === 0) return undefined;
  // Half a gigabyte is for a disk, and runtime folders often are memory.
  const folder = path.join(tmpdir(), `mcnet-${run}-${label}`);
  const file = path.join(folder, 'images.tar');
  // Docker gives the file its name at the very end: one that goes on after the clean-up finds no folder for it.
  await ledger.add({ description: `folder ${folder}`, undo: { kind: 'remove-path', path: folder } });
  await makePrivateFolder(folder);
  try {
    await docker(['save', '--output', file, ...present], {
      timeoutMs: LOAD_MS,
      signal,
      withDescendants: true,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw imagesError('Images could not be saved', present, error);
  }
  return { folder, file, images: present };
}

/** Loads what was saved into all nodes of a cluster. */
export async function loadImages(
  run: string,
  cluster: string,
  { file, images }: ImageArchive,
  dependencies: KindDependencies,
  signal: AbortSignal,
): Promise<void> {
  try {
    await runCommand(
      [kindCommand(dependencies), 'load', 'image-archive', '--name', clusterName(run, cluster), file],
      { timeoutMs: LOAD_MS, signal, withDescendants: true },
    );
  } catch (error) {
    signal.throwIfAborted();
    throw imagesError(`Images could not be loaded into cluster ${cluster}`, images, error);
  }
}

/** Loads those that the nodes of a cluster lack: a node image may bring some along. */
export async function loadMissing(
  images: readonly string[],
  options: Pick<ProviderOptions, 'run' | 'ledger' | 'signal'>,
  cluster: string,
  dependencies: KindDependencies,
): Promise<void> {
  if (images.length === 0) return;
  const { run, signal } = options;
  const node = controlPlaneName(run, cluster);
  const listed = await runCommand(
    insideContainer(node, ['ctr', '--namespace', 'k8s.io', 'images', 'list', '--quiet']),
    { signal },
  );
  const present = listed.split('\n');
  const missing = images.filter((name) => !present.some((one) => one === name || one.endsWith(`/${name}`)));
  const archive = await saveImages(missing, options, `cni-${cluster}`);
  if (!archive) return;
  await loadImages(run, cluster, archive, dependencies, signal);
  await removePath(archive.folder);
}

/** What a program said last; undefined for errors that are no program's. */
export const lastWords = (error: unknown): string | undefined =>
  error instanceof CommandError ? error.output.trim().split('\n').at(-1) : undefined;

function imagesError(what: string, images: readonly string[], error: unknown): UserError {
  const words = lastWords(error);
  return new UserError(`${what}${words ? `: ${words}` : ''}`, {
    where: images.join(', '),
    remedy: 'See that the disk is not full, and that the images are for this architecture',
    cause: error,
  });
}
