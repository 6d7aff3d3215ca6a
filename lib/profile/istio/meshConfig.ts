/**
 * Services that a mesh keeps within each cluster:
 * https://istio.io/latest/docs/ops/configuration/traffic-management/multicluster/#cluster-local-services. Pure.
 */
import { parse, stringify } from 'yaml';

interface MeshConfig {
  readonly serviceSettings?: readonly {
    readonly settings?: { readonly clusterLocal?: boolean };
    readonly hosts?: readonly string[];
  }[];
}

const read = (mesh: string): MeshConfig => (parse(mesh) ?? {}) as MeshConfig;

/** Services that were made so one by one. */
export const clusterLocalHosts = (mesh: string): string[] =>
  (read(mesh).serviceSettings ?? []).flatMap(({ settings, hosts = [] }) =>
    settings?.clusterLocal && hosts.length === 1 ? hosts : [],
  );

/** @param mesh as in the key of that name, YAML */
export function withClusterLocal(mesh: string, host: string): string {
  if (clusterLocalHosts(mesh).includes(host)) return mesh;
  const { serviceSettings = [], ...rest } = read(mesh);
  const added = { settings: { clusterLocal: true }, hosts: [host] };
  return stringify({ ...rest, serviceSettings: [...serviceSettings, added] });
}

/** Takes back what `withClusterLocal` added. */
export function withoutClusterLocal(mesh: string, host: string): string {
  const { serviceSettings = [], ...rest } = read(mesh);
  const kept = serviceSettings.filter(({ hosts = [] }) => hosts.length !== 1 || hosts[0] !== host);
  return stringify({ ...rest, ...(kept.length > 0 && { serviceSettings: kept }) });
}
