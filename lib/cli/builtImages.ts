/** Images that this program builds itself where the user names none: from what is published with it. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../model/errors.ts';
import { PACKAGE_ROOT } from './root.ts';
import { version } from './version.ts';

const BUNDLES = path.join(PACKAGE_ROOT, 'dist');
const HASH_CHARACTERS = 12;

/**
 * Named after everything that it is made of, so that no image of another state of this program is taken for it.
 * @throws UserError in a checkout that was never built
 */
export async function builtImage(
  name: 'probe' | 'gateway',
): Promise<{ name: string; dockerfile: string; contextFolder: string }> {
  const dockerfile = path.join(PACKAGE_ROOT, 'fixtures', name, 'Dockerfile');
  const hash = createHash('sha256').update(await readFile(dockerfile));
  for (const file of await bundles()) hash.update(file).update(await readFile(path.join(BUNDLES, file)));
  return {
    name: `mcnet-conformance/${name}:${version}-${hash.digest('hex').slice(0, HASH_CHARACTERS)}`,
    dockerfile,
    contextFolder: BUNDLES,
  };
}

async function bundles(): Promise<string[]> {
  const files = await readdir(BUNDLES).catch((): string[] => []);
  if (!files.includes('agent.js')) {
    throw new UserError('The programs of the images have not been built', {
      where: BUNDLES,
      remedy: 'Run `npm run build`',
    });
  }
  return files.filter((file) => /^(?:agent|backend|relay)\.js$/.test(file)).toSorted();
}
