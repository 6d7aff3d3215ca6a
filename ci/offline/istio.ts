/** Steps to the images of Istio. */
import path from 'node:path';
import { envoyFile } from './envoy.ts';
import { type GoProgram, moduleFolder, programFile } from './go.ts';
import { type Content, type Image, RUNTIME_IMAGE, imageStep } from './images.ts';
import type { Job } from './job.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { MODULES, VERSIONS } from './versions.ts';

/** Istio derives `<hub>/pilot:<tag>` and `<hub>/proxyv2:<tag>`. */
const HUB = 'mcnet-conformance/istio';
const VERSION_PACKAGE = `${MODULES.istio.path}/pkg/version`;
const variables = {
  [`${VERSION_PACKAGE}.buildVersion`]: VERSIONS.istio,
  [`${VERSION_PACKAGE}.buildGitRevision`]: MODULES.istio.version.split('-').at(-1) ?? '',
  [`${VERSION_PACKAGE}.buildStatus`]: 'Clean',
  [`${VERSION_PACKAGE}.buildTag`]: VERSIONS.istio,
  [`${VERSION_PACKAGE}.buildHub`]: HUB,
};

export const ISTIO_PROGRAMS: readonly GoProgram[] = [
  { name: 'pilot-discovery', package: `${MODULES.istio.path}/pilot/cmd/pilot-discovery` },
  { name: 'pilot-agent', package: `${MODULES.istio.path}/pilot/cmd/pilot-agent` },
  { name: 'istioctl', package: `${MODULES.istio.path}/istioctl/cmd/istioctl` },
].map((program) => ({
  ...program,
  module: 'istio' as const,
  title: `${program.name} ${VERSIONS.istio}`,
  variables,
}));

export const istioPilotImage: Pick<Image, 'id' | 'name'> = {
  id: 'image-istio-pilot',
  name: `${HUB}/pilot:${VERSIONS.istio}`,
};
export const istioProxyImage: Pick<Image, 'id' | 'name'> = {
  id: 'image-istio-proxy',
  name: `${HUB}/proxyv2:${VERSIONS.istio}`,
};

export function istioSteps(places: Places): Step[] {
  const bootstrap = async (job: Job): Promise<Record<string, Content>> => ({
    'envoy/envoy_bootstrap_tmpl.json': {
      from: path.join(await moduleFolder(job, 'istio'), 'tools/packaging/common/envoy_bootstrap.json'),
    },
  });
  return [
    imageStep(places, {
      ...istioPilotImage,
      title: 'image of istiod',
      version: VERSIONS.istio,
      differs: 'built from its module on Debian; no release of Istio has this version',
      dockerfile: [
        `FROM ${RUNTIME_IMAGE}`,
        'COPY bin/ /usr/local/bin/',
        'COPY envoy/ /var/lib/istio/envoy/',
        'USER 1337:1337',
        'ENTRYPOINT ["/usr/local/bin/pilot-discovery"]',
        '',
      ].join('\n'),
      needs: ['image-runtime', 'program-pilot-discovery'],
      inputs: { module: JSON.stringify(MODULES.istio) },
      content: async (job) => ({
        'bin/pilot-discovery': { from: programFile(places, 'pilot-discovery') },
        ...(await bootstrap(job)),
      }),
    }),
    imageStep(places, {
      ...istioProxyImage,
      title: 'image of the Istio proxy',
      version: VERSIONS.istio,
      differs:
        `plain Envoy ${VERSIONS.envoy} without the filters of Istio's own (telemetry, ALPN, metadata exchange), ` +
        'which istiod must be told not to use; pilot-agent built from its module, on Debian',
      dockerfile: [
        `FROM ${RUNTIME_IMAGE}`,
        'COPY bin/ /usr/local/bin/',
        'COPY envoy/ /var/lib/istio/envoy/',
        `ENV ISTIO_META_ISTIO_PROXY_SHA=envoy-${VERSIONS.envoy}`,
        'ENTRYPOINT ["/usr/local/bin/pilot-agent"]',
        '',
      ].join('\n'),
      needs: ['image-runtime', 'program-pilot-agent', 'envoy'],
      inputs: { module: JSON.stringify(MODULES.istio) },
      content: async (job) => ({
        'bin/pilot-agent': { from: programFile(places, 'pilot-agent') },
        'bin/envoy': { from: envoyFile(places) },
        ...(await bootstrap(job)),
      }),
    }),
  ];
}
