/** Services shared by the Multi-Cluster Services API (KEP-1645), which Cilium carries out by services that it derives. */
import type { PerFamily } from '../../model/cidr.ts';
import type {
  AppliedIntent,
  ExportState,
  IntentHandler,
  KubernetesCluster,
  KubernetesObject,
} from '../../model/cluster.ts';
import { InternalError } from '../../model/errors.ts';
import type { ShareServiceIntent } from '../../model/intent.ts';
import { serviceName } from '../../model/workload.ts';
import { asKubernetes } from '../common/clusters.ts';
import { ANNOTATIONS } from './names.ts';
import { AFFINITY } from './share.ts';

const API = 'multicluster.x-k8s.io/v1beta1';

/** Pure. */
export const exportOf = (
  { service, preference }: Pick<ShareServiceIntent, 'service' | 'preference'>,
  namespace: string,
): KubernetesObject => ({
  apiVersion: API,
  kind: 'ServiceExport',
  metadata: { name: service, namespace },
  spec: {
    exportedAnnotations: {
      [ANNOTATIONS.affinity]: AFFINITY[preference],
      // Without it a headless service would have the records of the own cluster only.
      [ANNOTATIONS.syncEndpointSlices]: 'true',
    },
  },
});

/** Addresses of an import; undefined while it has none and should. Pure. */
export function importedAddresses(imported: KubernetesObject | undefined): PerFamily<string> | undefined {
  const { ips = [], type } = (imported?.['spec'] ?? {}) as {
    readonly ips?: readonly string[];
    readonly type?: string;
  };
  if (type === 'Headless') return {};
  if (ips.length === 0) return undefined;
  const ipv4 = ips.find((ip) => !ip.includes(':'));
  const ipv6 = ips.find((ip) => ip.includes(':'));
  return { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** What is said of an export, and what callers find imported. Pure. */
export function exportStateOf(
  exported: KubernetesObject | undefined,
  imported: KubernetesObject | undefined,
): ExportState {
  const { conditions = [] } = (exported?.['status'] ?? {}) as { readonly conditions?: readonly Condition[] };
  const conflict = conditions.find(({ type, status }) => type === 'Conflict' && status === 'True');
  const { ports = [] } = (imported?.['spec'] ?? {}) as {
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  };
  return {
    ...(conflict && { conflict: conflict.message || conflict.reason || 'Conflict' }),
    ports: ports.map(({ name = '', port, protocol = 'TCP' }) => ({
      name,
      port,
      protocol: protocol === 'UDP' ? 'udp' : 'tcp',
    })),
  };
}

export async function lookAtExport(
  cluster: KubernetesCluster,
  service: { namespace: string; name: string },
): Promise<ExportState> {
  const metadata = { name: service.name, namespace: cluster.namespaceOf(service.namespace) };
  const [exported, imported] = await Promise.all(
    ['ServiceExport', 'ServiceImport'].map((kind) =>
      cluster.objects.read({ apiVersion: API, kind, metadata }),
    ),
  );
  return exportStateOf(exported, imported);
}

/** What each cluster has imported, as far as it was asked for. */
export class Imports {
  readonly #addresses = new Map<string, PerFamily<string>>();

  static #key(cluster: string, namespace: string, name: string): string {
    return `${cluster} ${namespace}/${name}`;
  }

  /** All that is imported now: for a run that was kept. */
  async recall(cluster: KubernetesCluster): Promise<void> {
    const found = await cluster.objects.list({ apiVersion: API, kind: 'ServiceImport' });
    for (const imported of found) this.#note(cluster, imported);
  }

  /** @returns whether it is imported with an address where it should have one */
  async look(cluster: KubernetesCluster, namespace: string, name: string): Promise<boolean> {
    const reference = { apiVersion: API, kind: 'ServiceImport', metadata: { name, namespace } };
    const imported = await cluster.objects.read(reference);
    return imported !== undefined && this.#note(cluster, imported);
  }

  /** @param namespace its name in the cluster */
  addresses(cluster: string, namespace: string, name: string): PerFamily<string> {
    return this.#addresses.get(Imports.#key(cluster, namespace, name)) ?? {};
  }

  #note(cluster: KubernetesCluster, imported: KubernetesObject): boolean {
    const { name, namespace = '' } = imported.metadata;
    const addresses = importedAddresses(imported);
    if (addresses) this.#addresses.set(Imports.#key(cluster.name, namespace, name), addresses);
    return addresses !== undefined;
  }
}

export function exportHandler(imports: Imports): IntentHandler {
  const name = 'cilium-service-export';
  return {
    name,
    supports: (intent) => {
      if (intent.kind !== 'share-service') return `${name} knows no intent of kind ${intent.kind}`;
      return intent.offered !== false || `${name}: what is exported is offered`;
    },
    async apply(intent, where): Promise<AppliedIntent> {
      if (intent.kind !== 'share-service') throw new InternalError(`${name} was given ${intent.kind}`);
      const cluster = asKubernetes(where, 'Cilium');
      const namespace = cluster.namespaceOf(intent.namespace);
      const object = exportOf(intent, namespace);
      await cluster.objects.apply([object]);
      return {
        rendered: JSON.stringify(object),
        settled: () => imports.look(cluster, namespace, intent.service),
        undo: () => cluster.objects.delete([object]),
      };
    },
    addressFrom: (where, { namespace, name: service }) => {
      const cluster = asKubernetes(where, 'Cilium');
      const named = { namespace: cluster.namespaceOf(namespace), name: service };
      return {
        name: serviceName(named, 'clusterset.local'),
        addresses: imports.addresses(cluster.name, named.namespace, service),
      };
    },
  };
}
