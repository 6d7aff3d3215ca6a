/** How a user gets the image of the probe agent to where existing clusters find it. */
import { fileURLToPath } from 'node:url';
import { quoteCommand } from '../system/commands.ts';
import { version } from './version.ts';

/** Of the package: this file is below lib/cli/, or bundled into dist/ or dist/chunks/. */
const ROOT = fileURLToPath(import.meta.url.replace(/(?:lib\/cli|dist(?:\/chunks)?)\/[^/]*$/, ''));

/** One a line, with a registry to fill in. */
export function probeBuildCommands(): string[] {
  const image = `<registry>/mcnet-conformance/probe:${version}`;
  const build = quoteCommand(['docker', 'build', '--file', `${ROOT}fixtures/probe/Dockerfile`, '--tag']);
  return [
    `${build} ${image} ${quoteCommand([`${ROOT}dist`])}`,
    `docker push ${image}`,
    `mcnet-conformance … --probe-image ${image}`,
  ];
}
