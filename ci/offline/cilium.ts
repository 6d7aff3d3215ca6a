/** Steps to the images of Cilium. */
import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { type GoProgram, moduleFolder, programFile } from './go.ts';
import { type Image, RUNTIME_IMAGE, imageStep } from './images.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { MODULES, VERSIONS } from './versions.ts';

const version = `v${VERSIONS.cilium}`;
const C = MODULES.cilium.path;
const variables = { [`${C}/pkg/version.ciliumVersion`]: VERSIONS.cilium };

export const CILIUM_PROGRAMS: readonly GoProgram[] = [
  { name: 'cilium-agent', package: `${C}/daemon` },
  { name: 'cilium-operator-generic', package: `${C}/operator`, tags: 'ipam_provider_operator' },
  { name: 'cilium-dbg', package: `${C}/cilium-dbg` },
  { name: 'hubble', package: `${C}/hubble` },
  { name: 'cilium-cni', package: `${C}/plugins/cilium-cni` },
  { name: 'cilium-mount', package: `${C}/tools/mount` },
  { name: 'cilium-sysctlfix', package: `${C}/tools/sysctlfix` },
  { name: 'cilium-health-responder', package: `${C}/cilium-health/responder` },
  { name: 'clustermesh-apiserver', package: `${C}/clustermesh-apiserver` },
].map((program) => ({
  ...program,
  module: 'cilium' as const,
  title: `${program.name} ${version}`,
  variables,
}));

const hub = 'mcnet-conformance/cilium';

type Named = Pick<Image, 'id' | 'name'>;
export const ciliumAgentImage: Named = { id: 'image-cilium-agent', name: `${hub}/cilium:${version}` };
export const ciliumOperatorImage: Named = {
  id: 'image-cilium-operator',
  name: `${hub}/operator-generic:${version}`,
};
export const ciliumMeshImage: Named = {
  id: 'image-cilium-mesh',
  name: `${hub}/clustermesh-apiserver:${version}`,
};

/**
 * Of the compiler only the program itself: what Cilium compiles includes nothing of a C library's. Nothing of the base is
 * removed: the mark of a removed file cannot be copied into a node image.
 */
const CLANG = [
  'RUN set -eu; apt-get update; apt-get install --yes --no-install-recommends libclang-cpp19; \\',
  '    cd /tmp; apt-get download clang-19; dpkg-deb --extract clang-19_*.deb clang; \\',
  '    mkdir -p /usr/lib/llvm-19/bin; cp clang/usr/lib/llvm-19/bin/clang /usr/lib/llvm-19/bin/; \\',
  '    ln -s ../lib/llvm-19/bin/clang /usr/bin/clang; \\',
  '    rm -rf /tmp/clang*; apt-get clean; rm -f /var/lib/apt/lists/*_*',
];

/** The chart of the same version, in a folder of its own: Go may empty its module cache. */
export const ciliumChart = (places: Places): string => path.join(places.cache, 'charts/cilium');

function chartStep(places: Places): Step {
  const folder = ciliumChart(places);
  return {
    id: 'cilium-chart',
    title: `chart of Cilium ${version}`,
    lane: 'network',
    needs: [],
    inputs: { module: JSON.stringify(MODULES.cilium) },
    files: [path.join(folder, 'Chart.yaml')],
    async run(job) {
      const chart = path.join(await moduleFolder(job, 'cilium'), 'install/kubernetes/cilium');
      await rm(folder, { recursive: true, force: true });
      await cp(chart, folder, { recursive: true });
      // Go keeps its modules unwritable.
      await job.run(['chmod', '-R', 'u+w', folder]);
    },
  };
}

export function ciliumSteps(places: Places): Step[] {
  const program = (name: string) => ({ from: programFile(places, name) });
  const inAgent = [
    'cilium-agent',
    'cilium-dbg',
    'hubble',
    'cilium-mount',
    'cilium-sysctlfix',
    'cilium-health-responder',
  ];
  return [
    chartStep(places),
    imageStep(places, {
      ...ciliumAgentImage,
      title: 'image of the Cilium agent',
      version,
      differs: 'built from its module without Envoy and gops, with the clang of Debian',
      dockerfile: [
        `FROM ${RUNTIME_IMAGE}`,
        ...CLANG,
        'COPY bin/ /usr/bin/',
        'COPY cni/ /opt/cni/bin/',
        'COPY scripts/ /',
        'COPY bpf/ /var/lib/cilium/bpf/',
        'RUN chmod 755 /*.sh',
        'ENV INITSYSTEM=SYSTEMD',
        'WORKDIR /home/cilium',
        'CMD ["/usr/bin/cilium-dbg"]',
        '',
      ].join('\n'),
      needs: ['image-runtime', ...[...inAgent, 'cilium-cni'].map((name) => `program-${name}`)],
      inputs: { module: JSON.stringify(MODULES.cilium) },
      network: true,
      async content(job) {
        const module = await moduleFolder(job, 'cilium');
        return {
          ...Object.fromEntries(inAgent.map((name) => [`bin/${name}`, program(name)])),
          'cni/cilium-cni': program('cilium-cni'),
          'scripts/init-container.sh': { from: path.join(module, 'images/cilium/init-container.sh') },
          'scripts/install-plugin.sh': { from: path.join(module, 'plugins/cilium-cni/install-plugin.sh') },
          'scripts/cni-uninstall.sh': { from: path.join(module, 'plugins/cilium-cni/cni-uninstall.sh') },
          bpf: { from: path.join(module, 'bpf') },
        };
      },
    }),
    imageStep(places, {
      ...ciliumOperatorImage,
      title: 'image of the Cilium operator',
      version,
      differs: 'built from its module, on Debian instead of scratch',
      dockerfile: [
        `FROM ${RUNTIME_IMAGE}`,
        'COPY bin/ /usr/bin/',
        'RUN install -d -m 1777 /home/gops',
        'ENV GOPS_CONFIG_DIR=/home/gops',
        '',
      ].join('\n'),
      needs: ['image-runtime', 'program-cilium-operator-generic'],
      content: async () => ({ 'bin/cilium-operator-generic': program('cilium-operator-generic') }),
    }),
    imageStep(places, {
      ...ciliumMeshImage,
      title: 'image of the Cluster Mesh API server',
      version,
      differs: `built from its module, on Debian instead of scratch, with etcd ${VERSIONS.etcd}`,
      dockerfile: [
        `FROM ${RUNTIME_IMAGE}`,
        'COPY bin/ /usr/bin/',
        'COPY lib/ /var/lib/cilium/',
        'RUN install -d -m 0777 /var/run/cilium',
        'ENV GOPS_CONFIG_DIR=/tmp/gops',
        'ENTRYPOINT ["/usr/bin/clustermesh-apiserver"]',
        '',
      ].join('\n'),
      needs: ['image-runtime', 'program-clustermesh-apiserver', 'program-etcd'],
      inputs: { module: JSON.stringify(MODULES.cilium) },
      async content(job) {
        const module = await moduleFolder(job, 'cilium');
        return {
          'bin/clustermesh-apiserver': program('clustermesh-apiserver'),
          'bin/etcd': program('etcd'),
          'lib/etcd-config.yaml': { from: path.join(module, 'clustermesh-apiserver/etcd-config.yaml') },
        };
      },
    }),
  ];
}
