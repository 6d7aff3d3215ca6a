/** Steps to the node image: Kubernetes, what it preloads, and the image itself. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { $ } from 'zx';
import { ciliumAgentImage, ciliumOperatorImage } from './cilium.ts';
import { moduleFolder, programFile } from './go.ts';
import {
  DOCKER_ENVIRONMENT,
  type Described,
  type Image,
  LABEL,
  RUNTIME_IMAGE,
  imageStep,
  labelsOf,
  rootImageStep,
} from './images.ts';
import type { Job } from './job.ts';
import type { Places } from './places.ts';
import type { Step } from './steps.ts';
import { DEBIAN, MODULES, VERSIONS } from './versions.ts';
import { ciliumValues } from '../../lib/model/cilium.ts';

const TEMPLATES = path.join(import.meta.dirname, 'templates');

const NODE_BASE_IMAGE = `mcnet-conformance/offline-node-base:${DEBIAN.node}`;
const NODE_BARE_IMAGE = `mcnet-conformance/offline-node:v${VERSIONS.kubernetes}`;
export const NODE_IMAGE = `mcnet-conformance/node:v${VERSIONS.kubernetes}`;

/** Names by which the one program of Kubernetes is called on a node, and in the image of its pods. */
const ON_A_NODE = ['kubeadm', 'kubectl', 'kubelet'];
const IN_PODS = ['kube-apiserver', 'kube-controller-manager', 'kube-proxy', 'kube-scheduler'];

/** Where kind looks on a node: https://kind.sigs.k8s.io/docs/design/node-image/ */
const DEFAULT_CNI = 'manifests/default-cni.yaml';
const DEFAULT_STORAGE = 'manifests/default-storage.yaml';

export const ROOTS = {
  runtime: {
    name: 'runtime',
    title: `Debian ${DEBIAN.rest} for what runs in pods`,
    suite: DEBIAN.rest,
    packages: [
      'ca-certificates',
      'conntrack',
      'ipset',
      'iproute2',
      'iptables',
      'jq',
      'kmod',
      'mount',
      'nftables',
      'procps',
      'util-linux',
    ],
  },
  node: {
    name: 'node',
    title: `Debian ${DEBIAN.node} for nodes`,
    suite: DEBIAN.node,
    packages: [
      'ca-certificates',
      'conntrack',
      'containerd',
      'containernetworking-plugins',
      'curl',
      'dbus',
      'ebtables',
      'ethtool',
      'iproute2',
      'iptables',
      'jq',
      'kmod',
      'mount',
      'nftables',
      'procps',
      'rsync',
      'runc',
      'socat',
      'systemd',
      'systemd-sysv',
      'util-linux',
    ],
  },
} as const;

const node: Described = {
  version: `v${VERSIONS.kubernetes}`,
  differs:
    `Kubernetes is one program under several names; Debian ${DEBIAN.node} with its containerd, runc and CNI plug-ins; ` +
    `etcd ${VERSIONS.etcd} and CoreDNS ${VERSIONS.coredns} under the names that kubeadm asks for; ` +
    `the default CNI is Cilium ${VERSIONS.cilium} instead of kindnet; no volume provisioner`,
};

/** Images that every node holds, besides Cilium's. The names of the four that kubeadm pulls are kubeadm's. */
export function kubernetesSteps(places: Places): Step[] {
  const program = programFile(places, 'kubernetes');
  const scratch = (name: string, source: string, command: string): string =>
    ['FROM scratch', `COPY ${source} ${name}`, `ENTRYPOINT ["${command}"]`, ''].join('\n');
  const preloaded: (Image & { as: string })[] = [
    {
      id: 'image-kube',
      as: 'kube-',
      title: 'image of the control plane',
      name: `mcnet-conformance/offline-kube:v${VERSIONS.kubernetes}`,
      version: `v${VERSIONS.kubernetes}`,
      differs: 'one program under four names, on Debian instead of distroless',
      dockerfile: [`FROM ${RUNTIME_IMAGE}`, 'COPY bin/ /usr/local/bin/', 'COPY etc/ /etc/', ''].join('\n'),
      needs: ['image-runtime', 'program-kubernetes'],
      content: async () => ({
        'bin/kubernetes': { from: program },
        ...Object.fromEntries(IN_PODS.map((name) => [`bin/${name}`, { link: 'kubernetes' }])),
        // The Go resolver asks DNS first without it.
        'etc/nsswitch.conf': { text: 'hosts: files dns\n' },
      }),
    },
    {
      id: 'image-etcd',
      as: '/etcd:',
      title: 'image of etcd',
      name: `mcnet-conformance/offline-etcd:v${VERSIONS.etcd}`,
      version: `v${VERSIONS.etcd}`,
      differs: 'built from its module, without etcdctl and etcdutl',
      dockerfile: scratch('/usr/local/bin/etcd', 'etcd', '/usr/local/bin/etcd'),
      needs: ['program-etcd'],
      content: async () => ({ etcd: { from: programFile(places, 'etcd') } }),
    },
    {
      id: 'image-coredns',
      as: '/coredns:',
      title: 'image of CoreDNS',
      name: `mcnet-conformance/offline-coredns:v${VERSIONS.coredns}`,
      version: `v${VERSIONS.coredns}`,
      differs: 'built from its module, runs as root',
      dockerfile: scratch('/coredns', 'coredns', '/coredns'),
      needs: ['program-coredns'],
      content: async () => ({ coredns: { from: programFile(places, 'coredns') } }),
    },
    {
      id: 'image-pause',
      as: '/pause:',
      title: 'image of the pause container',
      name: `mcnet-conformance/offline-pause:v${VERSIONS.kubernetes}`,
      version: `v${VERSIONS.kubernetes}`,
      differs: 'built with the C compiler and library of the machine',
      dockerfile: [scratch('/pause', 'pause', '/pause').trimEnd(), 'USER 65535:65535', ''].join('\n'),
      needs: [],
      inputs: { module: JSON.stringify(MODULES.kubernetes) },
      async content(job) {
        const source = path.join(await moduleFolder(job, 'kubernetes'), 'build/pause/linux/pause.c');
        const output = path.join(places.work, 'programs', 'pause');
        await job.run(['mkdir', '-p', path.dirname(output)]);
        await job.run(['gcc', '-Os', '-Wall', '-static', '-DVERSION=v3', '-o', output, source]);
        await job.run(['strip', output]);
        return { pause: { from: output } };
      },
    },
  ];

  return [
    rootImageStep(places, {
      id: 'image-runtime',
      title: 'base of the images in pods',
      root: 'runtime',
      name: RUNTIME_IMAGE,
      version: DEBIAN.rest,
      differs: 'Debian packages without manual pages and translations',
    }),
    rootImageStep(places, {
      id: 'image-node-base',
      title: 'base of the node image',
      root: 'node',
      name: NODE_BASE_IMAGE,
      version: DEBIAN.node,
      differs: 'Debian packages without manual pages and translations',
    }),
    ...preloaded.map((image) => imageStep(places, image)),
    cniManifestStep(places),
    nodeBareStep(places),
    nodeStep(
      places,
      preloaded.map(({ id, name, as }) => ({ id, name, as })),
    ),
  ];
}

const cniManifest = (places: Places): string => path.join(places.work, 'default-cni.yaml');

function cniManifestStep(places: Places): Step {
  const output = cniManifest(places);
  const values = JSON.stringify(
    ciliumValues({
      families: ['ipv4'],
      // Pods of other clusters are reached by their own address: no masquerading towards the private range.
      routed: { ipv4: '10.0.0.0/8' },
      images: { ciliumAgent: ciliumAgentImage.name, ciliumOperator: ciliumOperatorImage.name },
    }),
  );
  return {
    id: 'cni-manifest',
    title: 'manifest of the default CNI',
    lane: 'engine',
    needs: ['program-helm'],
    inputs: {
      values,
      module: JSON.stringify(MODULES.cilium),
    },
    files: [output],
    async run(job) {
      const chart = path.join(await moduleFolder(job, 'cilium'), 'install/kubernetes/cilium');
      const file = `${output}.values.json`;
      await writeFile(file, values);
      const rendered = await job.read([
        programFile(places, 'helm'),
        ...['template', 'cilium', chart, '--namespace', 'kube-system'],
        ...['--kube-version', VERSIONS.kubernetes, '--values', file],
      ]);
      await writeFile(output, rendered);
    },
  };
}

/** A node as kind's base image has it, of the same files, on other packages; nothing is preloaded yet. */
function nodeBareStep(places: Places): Step {
  const dockerfile = path.join(TEMPLATES, 'node/Dockerfile');
  const storage = path.join(TEMPLATES, 'node/default-storage.yaml');
  const step = (text: string): Step =>
    imageStep(places, {
      ...node,
      id: 'image-node-bare',
      title: 'node image without preloaded images',
      name: NODE_BARE_IMAGE,
      dockerfile: text,
      buildArguments: { BASE: NODE_BASE_IMAGE },
      needs: ['image-node-base', 'program-kubernetes', 'cni-manifest'],
      inputs: {
        dockerfile: { path: dockerfile },
        storage: { path: storage },
        kind: JSON.stringify(MODULES.kind),
      },
      async content(job) {
        const base = path.join(await moduleFolder(job, 'kind'), 'images/base/files');
        return {
          'base/etc': { from: path.join(base, 'etc') },
          'base/usr/local/bin/entrypoint': {
            text: await readFile(path.join(base, 'usr/local/bin/entrypoint'), 'utf8'),
            mode: 0o755,
          },
          'kind/bin': { from: path.join(base, 'kind/bin') },
          'kind/version': { text: `v${VERSIONS.kubernetes}` },
          [`kind/${DEFAULT_CNI}`]: { text: await readFile(cniManifest(places), 'utf8') },
          [`kind/${DEFAULT_STORAGE}`]: { from: storage },
          'bin/kubernetes': { from: programFile(places, 'kubernetes') },
          ...Object.fromEntries(ON_A_NODE.map((name) => [`bin/${name}`, { link: 'kubernetes' }])),
        };
      },
    });
  return { ...step(''), run: async (job) => step(await readFile(dockerfile, 'utf8')).run(job) };
}

const UNPACK = path.join(TEMPLATES, 'node/preload.sh');

/** The node image: images unpacked where its containerd looks, so that a new node only copies them. */
function nodeStep(places: Places, kube: readonly { id: string; name: string; as: string }[]): Step {
  const own = [ciliumAgentImage, ciliumOperatorImage];
  return {
    id: 'image-node',
    title: `node image ${NODE_IMAGE}`,
    lane: 'engine',
    needs: ['image-node-bare', ...kube.map(({ id }) => id), ...own.map(({ id }) => id)],
    inputs: { name: NODE_IMAGE, preload: { path: UNPACK }, description: JSON.stringify(node) },
    image: NODE_IMAGE,
    async run(job) {
      const container = `mcnet-offline-preload-${process.pid}`;
      const wanted = await kubeadmImages(job);
      const tags = wanted.map((name) => {
        const source = kube.find(({ as }) => name.includes(as));
        if (!source) throw new Error(`kubeadm asks for ${name}, which is not built`);
        return [source.name, name] as const;
      });
      for (const [source, name] of tags) await job.run(['docker', 'tag', source, name]);
      try {
        await job.run([
          ...['docker', 'run', '--detach', '--privileged', '--network', 'none', '--name', container],
          ...['--label', `${LABEL.build}=local`],
          // containerd cannot unpack onto the overlay that a container's own file system is.
          ...['--volume', '/preload', '--volume', `${UNPACK}:/preload.sh:ro`],
          ...['--entrypoint', 'sleep', NODE_BARE_IMAGE, 'infinity'],
        ]);
        const names = [...wanted, ...own.map(({ name }) => name)];
        await job.shell('docker save "${@:2}" | docker exec --interactive "$1" bash /preload.sh', [
          container,
          ...names,
        ]);
        await job.run([
          'docker',
          'commit',
          ...Object.entries(labelsOf(node, job.hash)).flatMap(([key, value]) => [
            '--change',
            `LABEL ${key}=${JSON.stringify(value)}`,
          ]),
          '--change',
          'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
          '--change',
          'CMD []',
          container,
          NODE_IMAGE,
        ]);
      } finally {
        await removeContainer(container);
      }
      // The names of kubeadm were only needed on the way.
      for (const [, name] of tags) await job.run(['docker', 'image', 'rm', '--no-prune', name]);
    },
  };
}

async function kubeadmImages(job: Job): Promise<string[]> {
  const listed = await job.read(
    [
      ...['docker', 'run', '--rm', '--network', 'none', '--entrypoint', 'kubeadm', NODE_BARE_IMAGE],
      ...['config', 'images', 'list', '--kubernetes-version', `v${VERSIONS.kubernetes}`],
    ],
    { environment: DOCKER_ENVIRONMENT },
  );
  return listed.trim().split('\n');
}

/** Also when the builder is being stopped. */
async function removeContainer(name: string): Promise<void> {
  await $({ nothrow: true, quiet: true })`docker rm --force --volumes ${name}`;
}
