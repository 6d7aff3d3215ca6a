/** Questions that a control plane answers itself, asked inside its own pod. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { isReady } from '../common/clusters.ts';
import { SYSTEM_NAMESPACE } from './names.ts';

const QUESTION_LIMIT_MS = 10_000;

export const controlPlanePods = (cluster: KubernetesCluster): Promise<readonly KubernetesObject[]> =>
  cluster.objects.list({
    apiVersion: 'v1',
    kind: 'Pod',
    namespace: SYSTEM_NAMESPACE,
    labelSelector: 'app=istiod',
  });

/** @throws UserError when no control plane is ready there */
async function readyPod(cluster: KubernetesCluster): Promise<string> {
  const pod = (await controlPlanePods(cluster)).find(isReady);
  if (pod) return pod.metadata.name;
  throw new UserError(`no control plane is ready in ${cluster.name}`, {
    where: `namespace ${SYSTEM_NAMESPACE}`,
    remedy: 'Look at its pods: `kubectl -n istio-system get pods -l app=istiod`',
  });
}

async function run(cluster: KubernetesCluster, ...args: readonly string[]): Promise<string> {
  const pod = { namespace: SYSTEM_NAMESPACE, name: await readyPod(cluster), container: 'discovery' };
  return cluster.objects.exec(pod, ['pilot-discovery', ...args], { timeoutMs: QUESTION_LIMIT_MS });
}

/** @param path of its debug interface: `/debug/clusterz` */
export const askControlPlane = (cluster: KubernetesCluster, path: string): Promise<string> =>
  run(cluster, 'request', 'GET', path);

/** `1.31.0` */
export async function controlPlaneVersion(cluster: KubernetesCluster): Promise<string> {
  const said = await run(cluster, 'version', '--short');
  return /\d+\.\d+[^\s-]*/.exec(said)?.[0] ?? said.trim();
}

export interface WatchedCluster {
  readonly id: string;
  readonly secret: string;
  /** `synced` when everything there is known. */
  readonly status: string;
}

/** Clusters that this control plane watches through remote secrets. */
export async function watchedClusters(cluster: KubernetesCluster): Promise<readonly WatchedCluster[]> {
  const said = JSON.parse(await askControlPlane(cluster, '/debug/clusterz')) as
    readonly { id?: string; secretName?: string; syncStatus?: string }[] | null;
  return (said ?? []).map(({ id = '', secretName = '', syncStatus = '' }) => ({
    id,
    secret: secretName,
    status: syncStatus,
  }));
}

export interface ConnectedProxy {
  readonly cluster: string;
  readonly name: string;
  readonly version: string;
}

/** Proxies that get their configuration here. */
export async function connectedProxies(cluster: KubernetesCluster): Promise<readonly ConnectedProxy[]> {
  const said = JSON.parse(await askControlPlane(cluster, '/debug/syncz')) as
    readonly { cluster_id?: string; proxy?: string; istio_version?: string }[] | null;
  return (said ?? []).map(({ cluster_id = '', proxy = '', istio_version = '' }) => ({
    cluster: cluster_id,
    name: proxy,
    version: istio_version,
  }));
}
