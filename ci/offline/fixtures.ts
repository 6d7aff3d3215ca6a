/** Steps to the images of fixtures/, on a base of Debian's packages instead of a pulled one. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Root } from './debian.ts';
import { programFile } from './go.ts';
import { imageStep, rootImageStep } from './images.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { DEBIAN } from './versions.ts';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const FIXTURES = path.join(REPOSITORY, 'fixtures');

/** Node of the dev dependency: the same that runs this. */
const NODE_PACKAGE = path.join(REPOSITORY, 'node_modules/node');
const BUNDLES = {
  probe: ['agent.js', 'backend.js', 'THIRD_PARTY_LICENSES.txt'],
  gateway: ['agent.js', 'backend.js', 'relay.js', 'THIRD_PARTY_LICENSES.txt'],
} as const;
const NODE_PROGRAM_IMAGE = 'mcnet-conformance/offline-node-program:24';
const BASE_IMAGE = `mcnet-conformance/offline-base:${DEBIAN.rest}`;

const versionOf = (folder: string): string =>
  (JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string }).version;
const version = versionOf(REPOSITORY);
const nodeVersion = versionOf(NODE_PACKAGE);

export const PROBE_IMAGE = `mcnet-conformance/probe:${version}`;
export const GATEWAY_IMAGE = `mcnet-conformance/gateway:${version}`;

const bundle = (file: string): string => path.join(REPOSITORY, 'dist', file);

export const BASE_ROOT: Root = {
  name: 'base',
  title: `Debian ${DEBIAN.rest} for the images of this project`,
  suite: DEBIAN.rest,
  packages: ['ca-certificates'],
};

export function fixtureSteps(places: Places): Step[] {
  const image = (name: 'probe' | 'gateway', title: string): Step => {
    const dockerfile = path.join(FIXTURES, name, 'Dockerfile');
    return imageStep(places, {
      id: `image-${name}`,
      title,
      name: name === 'probe' ? PROBE_IMAGE : GATEWAY_IMAGE,
      version,
      differs: `on a base of Debian ${DEBIAN.rest}'s packages, with the Node of the npm package \`node\``,
      dockerfile: readFileSync(dockerfile, 'utf8'),
      buildArguments: { BASE: BASE_IMAGE, NODE: NODE_PROGRAM_IMAGE },
      needs: ['image-base', 'image-node-program'],
      network: true,
      inputs: Object.fromEntries(BUNDLES[name].map((file) => [file, { path: bundle(file) }])),
      content: async () => Object.fromEntries(BUNDLES[name].map((file) => [file, { from: bundle(file) }])),
    });
  };
  return [
    rootImageStep(places, {
      id: 'image-base',
      title: 'base of the images of this project',
      root: 'base',
      name: BASE_IMAGE,
      version: DEBIAN.rest,
      differs: 'made by mmdebstrap of the same packages as the public image of this name',
    }),
    imageStep(places, {
      id: 'image-node-program',
      title: 'the program of Node',
      name: NODE_PROGRAM_IMAGE,
      version: nodeVersion,
      differs: 'the one program, of the npm package `node`, without its table of symbols',
      dockerfile: 'FROM scratch\nCOPY node /usr/local/bin/node\n',
      needs: [],
      async content(job) {
        const output = programFile(places, 'node');
        await job.run(['mkdir', '-p', path.dirname(output)]);
        await job.run(['strip', '-o', output, path.join(NODE_PACKAGE, 'bin/node')]);
        return { node: { from: output } };
      },
    }),
    image('probe', 'image of the probe'),
    image('gateway', 'image of the gateway'),
  ];
}
