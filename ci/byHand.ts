/**
 * Two joined clusters without this program: the same images, values and objects, by `docker`, `kind`, `kubectl`, `helm` and
 * `istioctl` in parallel, as a script of a careful engineer would. What a run takes longer is its own overhead.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { $ } from 'zx';
import { readSpec } from '../lib/cli/configuration.ts';
import { mapFamilies } from '../lib/model/addressing.ts';
import type { KubernetesObject } from '../lib/model/cluster.ts';
import type { RunSpec } from '../lib/model/spec.ts';
import { CHART, NAMESPACE, RELEASE } from '../lib/profile/cilium/names.ts';
import { CACHE_TTL_MS, PROBE_RATIO } from '../lib/profile/cilium/options.ts';
import { meshValues } from '../lib/profile/cilium/values.ts';
import { createIntermediate, createRoot, validFor } from '../lib/profile/common/certificates.ts';
import { meshEntries } from '../lib/profile/consul/entries.ts';
import { gatewayObjects, serverObjects } from '../lib/profile/consul/objects.ts';
import {
  GATEWAY,
  SERVER,
  SERVER_PORTS,
  SYSTEM_NAMESPACE as CONSUL_NAMESPACE,
} from '../lib/profile/consul/names.ts';
import { imagesOf } from '../lib/profile/consul/options.ts';
import { type Request, putEntry } from '../lib/profile/consul/server.ts';
import { establishRequest, tokenIn, tokenRequest } from '../lib/profile/consul/tokens.ts';
import { lacksOwnFilters } from '../lib/profile/istio/images.ts';
import { AUTHORITY, SYSTEM_NAMESPACE as ISTIO_NAMESPACE, networkOf } from '../lib/profile/istio/names.ts';
import { certificateAuthority, meshWideMutualTls, systemNamespace } from '../lib/profile/istio/objects.ts';
import { operatorOf } from '../lib/profile/istio/operator.ts';
import { within } from '../lib/system/clock.ts';
import { renderKindConfiguration } from '../lib/provider/kind/configuration.ts';

const NETWORK = 'mcnet-bench';
const LIMIT_MS = 300_000;
const DAYS = 30;

interface Cluster {
  readonly name: string;
  readonly kubeconfig: string;
  /** IPv4 address of its node. */
  readonly address: string;
}

type Install = (clusters: readonly Cluster[], spec: RunSpec, folder: string) => Promise<void>;

export const TECHNOLOGIES = ['istio', 'cilium', 'consul'] as const;
export type Technology = (typeof TECHNOLOGIES)[number];

const INSTALL: Record<Technology, Install> = { istio, cilium, consul };

const containerOf = (name: string): string => `${NETWORK}-${name}-control-plane`;

const pairsOf = (clusters: readonly Cluster[]) =>
  clusters.flatMap((from) => clusters.filter((to) => to !== from).map((to) => ({ from, to })));

const kubectl = (cluster: Pick<Cluster, 'kubeconfig'>, words: readonly string[], input?: string) =>
  $({ ...(input !== undefined && { input }) })`kubectl --kubeconfig ${cluster.kubeconfig} ${words}`;

const apply = (cluster: Cluster, items: readonly KubernetesObject[]) =>
  kubectl(
    cluster,
    ['apply', '--server-side', '--filename', '-'],
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  );

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  if (!(await within(LIMIT_MS, () => holds().catch(() => false)))) {
    throw new Error(`by hand: ${what} did not come`);
  }
}

/** Brings up two clusters with this technology, and removes them. @returns seconds until they were joined */
export async function joinedByHand(technology: Technology): Promise<number> {
  const spec = await readSpec({
    provider: 'kind',
    profile: technology,
    tuning: 'fast',
    yes: true,
    quiet: true,
  });
  const { stdout } =
    await $`node lib/cli/bin.js plan --provider kind --profile ${technology} --underlay direct --images --json`;
  const images = JSON.parse(stdout) as readonly { readonly name: string; readonly image?: string }[];
  const node = images.find(({ name }) => name === 'node')?.image;
  const loaded = images.flatMap(({ name, image }) =>
    name === 'node' || name === 'gateway' || image === undefined ? [] : [image],
  );
  const names = spec.topology.members.map((member) => member.name);
  const folder = await mkdtemp(path.join(tmpdir(), 'mcnet-bench-'));
  const kubeconfigOf = (name: string): string => path.join(folder, name);
  try {
    const began = performance.now();
    await $`docker network create ${NETWORK}`;
    const clusters = await Promise.all(
      names.map(async (name): Promise<Cluster> => {
        const kubeconfig = kubeconfigOf(name);
        const file = `${kubeconfig}.kind.json`;
        const configuration = renderKindConfiguration({
          name: `${NETWORK}-${name}`,
          ranges: spec.plan.clusters[name]!,
          families: spec.families,
          nodes: 1,
          defaultCni: technology !== 'cilium',
          kubeProxy: 'kept',
        });
        await writeFile(file, configuration);
        await $({
          env: { ...process.env, KIND_EXPERIMENTAL_DOCKER_NETWORK: NETWORK },
        })`kind create cluster --config ${file} --kubeconfig ${kubeconfig} ${node === undefined ? [] : ['--image', node]}`;
        if (loaded.length > 0) await $`kind load docker-image ${loaded} --name ${NETWORK}-${name}`;
        const asked = ['get', 'node', '--output', 'jsonpath={.items[0].status.addresses[0].address}'];
        const { stdout: address } = await kubectl({ kubeconfig }, asked);
        return { name, kubeconfig, address };
      }),
    );
    await Promise.all(
      pairsOf(clusters).map(({ from, to }) => {
        const pods = spec.plan.clusters[to.name]?.pods.ipv4 ?? '';
        return $`docker exec ${containerOf(from.name)} ip route replace ${pods} via ${to.address}`;
      }),
    );
    await INSTALL[technology](clusters, spec, folder);
    return (performance.now() - began) / 1_000;
  } finally {
    await Promise.all(
      names.map(
        (name) => $`kind delete cluster --name ${NETWORK}-${name} --kubeconfig ${kubeconfigOf(name)}`,
      ),
    );
    await $({ nothrow: true })`docker network rm ${NETWORK}`;
    await rm(folder, { recursive: true });
  }
}

const ready = (cluster: Cluster) =>
  kubectl(cluster, ['wait', '--for=condition=Ready', 'node', '--all', `--timeout=${LIMIT_MS / 1_000}s`]);

/** https://docs.cilium.io/en/stable/network/clustermesh/clustermesh/ */
async function cilium(clusters: readonly Cluster[], spec: RunSpec, folder: string): Promise<void> {
  const authority = await createRoot('by hand', validFor(DAYS, new Date()));
  const members = clusters.map(({ name, address }) => ({ name, addresses: [address] }));
  const probeRatio = PROBE_RATIO[spec.tuning];
  await Promise.all(
    clusters.map(async (cluster) => {
      const file = path.join(folder, `${cluster.name}.values.json`);
      const values = meshValues({
        name: cluster.name,
        members,
        joined: members.map(({ name }) => name).filter((name) => name !== cluster.name),
        authority,
        families: spec.families,
        routed: mapFamilies({ ipv4: spec.plan.pool }, (pool) => pool),
        images: spec.images,
        routing: spec.ciliumRouting,
        encrypted: false,
        cacheTtlMs: CACHE_TTL_MS[spec.tuning],
        ...(probeRatio !== undefined && { probeRatio }),
        sharing: spec.ciliumSharing,
      });
      await writeFile(file, JSON.stringify(values));
      const helm = [
        spec.tools['helm'] ?? 'helm',
        'upgrade',
        '--install',
        RELEASE,
        spec.charts['cilium'] ?? CHART,
      ];
      await $`${helm} --namespace ${NAMESPACE} --kubeconfig ${cluster.kubeconfig} --values ${file}`;
    }),
  );
  await Promise.all(
    clusters.map(async (cluster) => {
      await ready(cluster);
      await until('the mesh', async () => {
        const asked = [
          '--namespace',
          NAMESPACE,
          'exec',
          'daemonset/cilium',
          '--container',
          'cilium-agent',
          '--',
        ];
        const status = await kubectl(cluster, [...asked, 'cilium-dbg', 'status', '--output', 'json']);
        const mesh = (
          JSON.parse(status.stdout) as { 'cluster-mesh'?: { clusters?: readonly { ready?: boolean }[] } }
        )['cluster-mesh'];
        return mesh?.clusters?.every((one) => one.ready) ?? false;
      });
    }),
  );
}

/** https://istio.io/latest/docs/setup/install/multicluster/multi-primary/ */
async function istio(clusters: readonly Cluster[], spec: RunSpec, folder: string): Promise<void> {
  const now = new Date();
  const [root, plainEnvoy] = await Promise.all([
    createRoot('by hand', validFor(DAYS, now)),
    lacksOwnFilters(spec),
  ]);
  const { istioctl = 'istioctl' } = spec.tools;
  await Promise.all(
    clusters.map(async (cluster) => {
      const { name, kubeconfig } = cluster;
      const intermediate = await createIntermediate(`istiod of ${name}`, root, validFor(DAYS, now));
      await apply(cluster, [
        systemNamespace(networkOf(name, false)),
        certificateAuthority(AUTHORITY, root, intermediate),
      ]);
      const file = path.join(folder, `${name}.operator.json`);
      const operator = operatorOf({
        cluster: name,
        topology: 'multi-primary',
        plainEnvoy,
        ...(spec.images['istioPilot'] !== undefined && { pilotImage: spec.images['istioPilot'] }),
        ...(spec.images['istioProxyv2'] !== undefined && { proxyImage: spec.images['istioProxyv2'] }),
      });
      await writeFile(file, JSON.stringify(operator));
      await $`${istioctl} install --skip-confirmation --filename ${file} --kubeconfig ${kubeconfig}`;
      await apply(cluster, [meshWideMutualTls]);
    }),
  );
  await Promise.all(
    pairsOf(clusters).map(async ({ from, to }) => {
      const server = `https://${to.address}:6443`;
      const secret =
        await $`${istioctl} create-remote-secret --kubeconfig ${to.kubeconfig} --name ${to.name} --server ${server}`;
      await kubectl(from, ['apply', '--filename', '-'], secret.stdout);
      await until('the other cluster', async () => {
        const known = await $`${istioctl} remote-clusters --kubeconfig ${from.kubeconfig}`;
        return known.stdout.split('\n').some((line) => line.startsWith(to.name) && line.includes('synced'));
      });
    }),
  );
  await Promise.all(
    clusters.map((cluster) =>
      kubectl(cluster, ['--namespace', ISTIO_NAMESPACE, 'rollout', 'status', 'deployment/istiod']),
    ),
  );
}

/** https://developer.hashicorp.com/consul/docs/connect/cluster-peering */
async function consul(clusters: readonly Cluster[], spec: RunSpec): Promise<void> {
  const images = imagesOf(spec);
  const inNamespace = ['--namespace', CONSUL_NAMESPACE];
  const ask = async (cluster: Cluster, { method, path: where, body }: Request): Promise<string> => {
    const data = body === undefined ? [] : ['--data', JSON.stringify(body)];
    const curl = [
      'curl',
      '--silent',
      '--fail',
      '--request',
      method,
      ...data,
      `http://127.0.0.1:${SERVER_PORTS.http}${where}`,
    ];
    return (await kubectl(cluster, [...inNamespace, 'exec', `deployment/${SERVER}`, '--', ...curl])).stdout;
  };
  const rolledOut = (cluster: Cluster, name: string) =>
    kubectl(cluster, [...inNamespace, 'rollout', 'status', `deployment/${name}`]);
  await Promise.all(
    clusters.map(async (cluster) => {
      await ready(cluster);
      const [nodeName] = (await kubectl(cluster, ['get', 'nodes', '--output', 'name'])).stdout.split('\n');
      const place = { run: NETWORK, cluster: cluster.name, node: (nodeName ?? '').replace('node/', '') };
      await apply(cluster, serverObjects(place, images));
      await rolledOut(cluster, SERVER);
      for (const entry of meshEntries(spec.consulGateways)) await ask(cluster, putEntry(entry));
      await apply(cluster, gatewayObjects(images));
      await rolledOut(cluster, GATEWAY);
      await until('the gateway', async () => {
        const where = `/v1/health/service/${GATEWAY}?passing`;
        return (await ask(cluster, { method: 'GET', path: where })).trim() !== '[]';
      });
    }),
  );
  const [acceptor, dialer] = clusters as [Cluster, Cluster];
  const token = tokenIn(await ask(acceptor, tokenRequest(dialer.name)));
  await until('the peering', async () => {
    await ask(dialer, establishRequest(acceptor.name, token));
    return true;
  });
  await Promise.all(
    clusters.map((cluster) =>
      until('the peer', async () =>
        (await ask(cluster, { method: 'GET', path: '/v1/peerings' })).includes('"ACTIVE"'),
      ),
    ),
  );
}
