/** Root file systems of Debian's packages, made by mmdebstrap: signatures verified with Debian's own key ring. */
import { rename } from 'node:fs/promises';
import path from 'node:path';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { DEBIAN } from './versions.ts';

export interface Root {
  readonly name: string;
  readonly title: string;
  readonly suite: string;
  readonly packages: readonly string[];
}

export const rootFile = (places: Places, name: string): string =>
  path.join(places.work, 'roots', `${name}.tar`);

/** What no program reads at run time; copyright notices stay. */
const LEFT_OUT = ['/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*', '/usr/share/doc/*'];

export function rootStep(places: Places, root: Root): Step {
  const { suite, packages } = root;
  const output = rootFile(places, root.name);
  const line = (name: string): string => `deb ${DEBIAN.mirror} ${name} main`;
  const options = [
    '--mode=root',
    '--format=tar',
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    '--aptopt=APT::Install-Recommends "false"',
    // What is lost when the machine goes down is made again.
    '--dpkgopt=force-unsafe-io',
    ...LEFT_OUT.map((glob) => `--dpkgopt=path-exclude=${glob}`),
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  ];
  return {
    id: `root-${root.name}`,
    title: root.title,
    lane: 'network',
    needs: [],
    inputs: { options: JSON.stringify(options), suite },
    files: [output],
    async run(job) {
      await job.run(['mkdir', '-p', path.dirname(output)]);
      const fresh = `${output}.new`;
      await job.run(['mmdebstrap', ...options, suite, fresh, line(suite)]);
      await rename(fresh, output);
    },
  };
}
