/** What checks expect by how a mesh is configured: assumed until it has been looked at. */
import type { KubernetesCluster, Profile } from '../../model/cluster.ts';
import { type Settings, settingsOf } from './configuration.ts';
import { CACHE_TTL_MS, type CiliumOptions, LOST_AFTER_MS } from './options.ts';

/** Beside what it takes until a cluster is known to be lost: what follows in the other clusters' maps. */
const WITHDRAWAL_SLACK_MS = 10_000;

const FOR_EVER =
  'never revokes what it knows of a cluster that it cannot reach (clustermesh.cacheTTL is 0s, the default of the chart), so callers go on being sent there';

export class ObservedMesh {
  readonly #settings = new Map<string, Settings>();
  readonly #assumed: Settings;

  constructor({ tuning }: Pick<CiliumOptions, 'tuning'>) {
    this.#assumed = { scope: 'local', cacheTtlMs: CACHE_TTL_MS[tuning] };
  }

  async look(clusters: readonly KubernetesCluster[]): Promise<void> {
    const found = await Promise.all(clusters.map(settingsOf));
    for (const [index, { name }] of clusters.entries()) this.#settings.set(name, found[index]!);
  }

  get #all(): readonly Settings[] {
    return this.#settings.size > 0 ? [...this.#settings.values()] : [this.#assumed];
  }

  /** Clusters that differ in this are not adopted. */
  get scope(): Settings['scope'] {
    return this.#all[0]!.scope;
  }

  get budgets(): NonNullable<Profile['budgets']> {
    const kept = Math.max(...this.#all.map(({ cacheTtlMs = 0 }) => cacheTtlMs));
    const value = LOST_AFTER_MS + kept + WITHDRAWAL_SLACK_MS;
    const reason = `A cluster counts as lost after two missed heartbeats of a minute, and its endpoints are kept ${kept === 0 ? 'for ever (clustermesh.cacheTTL is 0s)' : `${kept / 1_000} s more (clustermesh.cacheTTL)`}`;
    return {
      'failover.cluster-gone.newConnections': { value, reason },
      'failover.cluster-gone.keptAlive': { value, reason },
    };
  }

  /** Why callers in a cluster go on being sent to one that is gone; undefined where they do not for ever. */
  keepsLost(cluster: string): string | undefined {
    const { cacheTtlMs } = this.#settings.get(cluster) ?? this.#assumed;
    return cacheTtlMs === undefined ? `Cilium in ${cluster} ${FOR_EVER}` : undefined;
  }

  /** What a reader of results has to know of it: nothing is said before it has been looked at. */
  get remarks(): readonly string[] {
    const groups = Map.groupBy(this.#settings, ([, { cacheTtlMs }]) => cacheTtlMs);
    return [...groups].map(([cacheTtlMs, members]) => {
      const names = members.map(([name]) => name).join(', ');
      return cacheTtlMs === undefined
        ? `Cilium in ${names} ${FOR_EVER}`
        : `Cilium in ${names} keeps what it knows of a cluster that it cannot reach for ${cacheTtlMs / 1_000} s (clustermesh.cacheTTL), where the default of the chart is for ever`;
    });
  }
}
