/** How a user gets the image of the probe agent to where existing clusters find it. */
import path from 'node:path';
import { quoteCommand } from '../system/commands.ts';
import { PACKAGE_ROOT } from './root.ts';
import { version } from './version.ts';

/** One a line, with a registry to fill in. */
export function probeBuildCommands(): string[] {
  const image = `<registry>/mcnet-conformance/probe:${version}`;
  const dockerfile = path.join(PACKAGE_ROOT, 'fixtures/probe/Dockerfile');
  const build = quoteCommand(['docker', 'build', '--file', dockerfile, '--tag']);
  return [
    `${build} ${image} ${quoteCommand([path.join(PACKAGE_ROOT, 'dist')])}`,
    `docker push ${image}`,
    `mcnet-conformance … --probe-image ${image}`,
  ];
}
