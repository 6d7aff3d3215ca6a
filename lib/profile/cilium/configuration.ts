/** How a mesh is configured, as its own objects say: this program may not have installed it, and others may have changed it. */
import type { KubernetesCluster, KubernetesObject } from '../../model/cluster.ts';
import { API_SERVER, CONFIGURATION, MESH_CONTAINER, REMOTE_CLUSTERS, systemReference } from './names.ts';

/** Options of agents, by name. */
export type Configuration = Readonly<Record<string, string>>;

/** What its agents were configured with; undefined where Cilium is not installed. */
export async function configurationOf(cluster: KubernetesCluster): Promise<Configuration | undefined> {
  const map = await cluster.objects.read(systemReference('v1', 'ConfigMap', CONFIGURATION));
  return map?.['data'] as Configuration | undefined;
}

/** What offers a cluster's state to others; undefined where an etcd of the user's own does. */
export const apiServerDeployment = (cluster: KubernetesCluster): Promise<KubernetesObject | undefined> =>
  cluster.objects.read(systemReference('apps/v1', 'Deployment', API_SERVER));

interface Container {
  readonly name: string;
  readonly args?: readonly string[];
}

/** Pure. */
export function containersOf(deployment: KubernetesObject | undefined): readonly Container[] {
  const { template } = (deployment?.['spec'] ?? {}) as {
    readonly template?: { readonly spec?: { readonly containers?: readonly Container[] } };
  };
  return template?.spec?.containers ?? [];
}

const meshContainerOf = (deployment: KubernetesObject | undefined): Container | undefined =>
  containersOf(deployment).find(({ name }) => name === MESH_CONTAINER);

/** The Secret by which a cluster finds the others: of what fetches their state, which are its agents where nothing else does. Pure. */
export const remoteClustersSecret = (deployment: KubernetesObject | undefined): string =>
  meshContainerOf(deployment) ? REMOTE_CLUSTERS.mesh : REMOTE_CLUSTERS.agents;

export const SCOPE_KEY = 'policy-default-local-cluster';
const CACHE_TTL_KEY = 'clustermesh-cache-ttl';

/** Whom a selector means that names no cluster. Agents of before 1.19 know no such key, and mean every cluster. Pure. */
export const scopeIn = (configuration: Configuration | undefined): 'local' | 'every' =>
  configuration?.[SCOPE_KEY] === 'true' ? 'local' : 'every';

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, µs: 0.001 };

/** `1m36.5s`, as Go writes durations. Pure. */
export const durationMs = (text: string): number =>
  [...text.matchAll(/(\d+(?:\.\d+)?)(ms|µs|[hms])/g)].reduce(
    (sum, [, count, unit = '']) => sum + Number(count) * (UNIT_MS[unit] ?? 0),
    0,
  );

/**
 * How long what is known of a cluster is kept once it cannot be reached, by who reads it from there; undefined: for ever, as
 * with versions that know no such option. Pure.
 */
export function cacheTtlIn(
  configuration: Configuration | undefined,
  deployment: KubernetesObject | undefined,
): number | undefined {
  const flag = `--${CACHE_TTL_KEY}=`;
  const mesh = meshContainerOf(deployment);
  const said = mesh
    ? mesh.args?.find((argument) => argument.startsWith(flag))?.slice(flag.length)
    : configuration?.[CACHE_TTL_KEY];
  return durationMs(said ?? '') || undefined;
}

/** Of one cluster, what checks of others rest on. */
export interface Settings {
  readonly scope: 'local' | 'every';
  readonly cacheTtlMs: number | undefined;
}

export async function settingsOf(cluster: KubernetesCluster): Promise<Settings> {
  const [configuration, deployment] = await Promise.all([
    configurationOf(cluster),
    // Who may not read it is told the same by the agents' own, which the chart makes of the same value.
    apiServerDeployment(cluster).catch(() => undefined),
  ]);
  return { scope: scopeIn(configuration), cacheTtlMs: cacheTtlIn(configuration, deployment) };
}
