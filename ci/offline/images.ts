/** Steps that make images in the engine, each labelled as a local build with what differs from the vendor's. */
import { cp, link, mkdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { rootFile } from './debian.ts';
import type { Job } from './job.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { DEBIAN } from './versions.ts';

export const LABEL = {
  build: 'mcnet-conformance.build',
  differs: 'mcnet-conformance.differs',
  inputs: 'mcnet-conformance.inputs',
  version: 'org.opencontainers.image.version',
} as const;

/** Base of what runs in pods: with the programs that set up a node's network. */
export const RUNTIME_IMAGE = `mcnet-conformance/offline-runtime:${DEBIAN.rest}`;

export interface Described {
  readonly version: string;
  /** One sentence: what differs from the vendor's image. */
  readonly differs: string;
}

export function labelsOf({ version, differs }: Described, hash: string): Record<string, string> {
  return {
    [LABEL.build]: 'local',
    [LABEL.differs]: differs,
    [LABEL.inputs]: hash,
    [LABEL.version]: version,
  };
}

/** The classic builder: the other one is a plug-in that is not everywhere. */
export const DOCKER_ENVIRONMENT = { DOCKER_BUILDKIT: '0' };

/** What goes into a build's folder: a file or folder to copy, text to write, or a symbolic link to make. */
export type Content =
  { readonly from: string } | { readonly text: string; readonly mode?: number } | { readonly link: string };

export interface Image extends Described {
  readonly id: string;
  readonly title: string;
  /** `name:tag`; further names are given beside it. */
  readonly name: string;
  readonly alsoNamed?: readonly string[];
  readonly dockerfile: string;
  readonly needs: readonly string[];
  readonly buildArguments?: Readonly<Record<string, string>>;
  /** Whether its build installs packages. */
  readonly network?: boolean;
  /** What `content` depends on, beyond the results of the needed steps. */
  readonly inputs?: Step['inputs'];
  content(job: Job): Promise<Readonly<Record<string, Content>>>;
}

export function imageStep(places: Places, image: Image): Step {
  const { buildArguments = {} } = image;
  return {
    id: image.id,
    title: image.title,
    lane: 'engine',
    needs: image.needs,
    inputs: {
      dockerfile: image.dockerfile,
      description: JSON.stringify([
        image.name,
        image.alsoNamed,
        image.version,
        image.differs,
        buildArguments,
      ]),
      ...image.inputs,
    },
    image: image.name,
    async run(job) {
      const folder = path.join(places.work, 'images', image.id);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await writeFile(path.join(folder, 'Dockerfile'), image.dockerfile);
      for (const [name, content] of Object.entries(await image.content(job))) {
        await put(path.join(folder, name), content);
      }
      const labels = Object.entries(labelsOf(image, job.hash));
      await job.run(
        [
          'docker',
          'build',
          '--quiet',
          '--force-rm',
          ...(image.network ? ['--network', 'host'] : ['--network', 'none']),
          ...labels.flatMap(([key, value]) => ['--label', `${key}=${value}`]),
          ...Object.entries(buildArguments).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
          '--tag',
          image.name,
          folder,
        ],
        { environment: DOCKER_ENVIRONMENT },
      );
      for (const name of image.alsoNamed ?? []) await job.run(['docker', 'tag', image.name, name]);
      await rm(folder, { recursive: true });
    },
  };
}

async function put(target: string, content: Content): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  if ('text' in content) await writeFile(target, content.text, { mode: content.mode ?? 0o644 });
  else if ('link' in content) await symlink(content.link, target);
  else if ((await stat(content.from)).isDirectory()) await cp(content.from, target, { recursive: true });
  // Programs are large, and on the same file system as the build's folder unless they came with a package.
  else await link(content.from, target).catch(() => cp(content.from, target));
}

/** An image that is a root file system and nothing else. */
export function rootImageStep(
  places: Places,
  image: Described & { id: string; title: string; name: string; root: string },
): Step {
  return {
    id: image.id,
    title: image.title,
    lane: 'engine',
    needs: [`root-${image.root}`],
    inputs: { description: JSON.stringify([image.name, image.version, image.differs]) },
    image: image.name,
    run: (job) =>
      job.run([
        'docker',
        'import',
        ...Object.entries(labelsOf(image, job.hash)).flatMap(([key, value]) => [
          '--change',
          `LABEL ${key}=${JSON.stringify(value)}`,
        ]),
        '--change',
        'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        rootFile(places, image.root),
        image.name,
      ]),
  };
}
