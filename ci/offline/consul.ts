/** Steps to the image of Consul, with the Envoy that its gateways and sidecars run. */
import { envoyFile } from './envoy.ts';
import { type GoProgram, programFile } from './go.ts';
import { type Image, RUNTIME_IMAGE, imageStep } from './images.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { MODULES, VERSIONS } from './versions.ts';

export const CONSUL_PROGRAM: GoProgram = {
  name: 'consul',
  title: `Consul ${VERSIONS.consul}`,
  module: 'consul',
  package: MODULES.consul.path,
};

export const consulImage: Pick<Image, 'id' | 'name'> = {
  id: 'image-consul',
  name: `mcnet-conformance/consul:${VERSIONS.consul}`,
};

export const consulSteps = (places: Places): Step[] => [
  imageStep(places, {
    ...consulImage,
    title: 'image of Consul and its Envoy',
    version: VERSIONS.consul,
    differs:
      `built from its module without its user interface, on Debian; Envoy ${VERSIONS.envoy} in the same image, ` +
      'far newer than what this version of Consul supports',
    dockerfile: [
      `FROM ${RUNTIME_IMAGE}`,
      'RUN apt-get update && apt-get install --yes --no-install-recommends curl && apt-get clean && rm -f /var/lib/apt/lists/*_*',
      'COPY bin/ /usr/local/bin/',
      '',
    ].join('\n'),
    network: true,
    needs: ['image-runtime', 'program-consul', 'envoy'],
    content: async () => ({
      'bin/consul': { from: programFile(places, 'consul') },
      'bin/envoy': { from: envoyFile(places) },
    }),
  }),
];
