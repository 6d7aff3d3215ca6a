/** Cilium, as CNI of every cluster and as the mesh between them. */
import type { Cluster, Feature, Fleet, KubernetesCluster, Profile } from '../../model/cluster.ts';
import type { ServiceSpec } from '../../model/workload.ts';
import { overheadOf } from '../../model/cilium.ts';
import { asKubernetes } from '../common/clusters.ts';
import { localBuildsOf } from '../common/images.ts';
import { versionsOfKind } from '../common/versions.ts';
import { adoptCilium } from './adopt.ts';
import { certificatesOf } from './certificates.ts';
import { diagnoseMesh } from './diagnose.ts';
import { dropsOf } from './drops.ts';
import { meshInjectors } from './faults.ts';
import { nodeHealthOf } from './health.ts';
import { Imports, exportHandler, lookAtExport } from './export.ts';
import { installCilium } from './install.ts';
import { brokenLinks } from './links.ts';
import { POLICY_KIND, planeOf } from './names.ts';
import { ObservedMesh } from './observed.ts';
import type { CiliumOptions } from './options.ts';
import { policyHandler } from './policy.ts';
import { shareHandler } from './share.ts';
import { SUPPORTED_SKEW, componentsOf } from './versions.ts';

const FEATURES: readonly Feature[] = [
  'l3.pod',
  'l4.udp',
  'icmp',
  'l7.service',
  'share-service',
  'policy.clusters',
  'endpoint-discovery',
  'control-plane-certificates',
  'node-health',
];

const kubernetesClusters = (fleet: Fleet): readonly KubernetesCluster[] =>
  fleet.clusters.map((cluster) => asKubernetes(cluster, 'Cilium'));

export function createCilium(options: CiliumOptions): Profile {
  const { images, families, ciliumSharing, ciliumRouting: routing } = options;
  const encrypted = options.ciliumEncryption === 'wireguard';
  const imports = new Imports();
  const mesh = new ObservedMesh(options);
  const exports = ciliumSharing === 'mcs-api';
  const named = (...keys: readonly string[]): string[] => keys.flatMap((key) => images[key] ?? []);
  return {
    name: 'cilium',
    conformanceClass: 'mesh-flat',
    features: [
      ...FEATURES,
      ...(routing === 'native' ? (['l3.hops'] as const) : []),
      ...(encrypted ? (['l3.encrypted'] as const) : []),
      ...(exports ? (['dns.clusterset', 'export-conflicts'] as const) : (['mutual-sharing'] as const)),
    ],
    get budgets() {
      return mesh.budgets;
    },
    get remarks() {
      return mesh.remarks;
    },
    keepsLost: (cluster) => mesh.keepsLost(cluster),
    requirements: () => ({
      wan: false,
      overhead: overheadOf({ families, routing, encrypted }),
      hostPackages: [],
      kubernetes: {
        cni: 'none',
        kubeProxy: options.ciliumKubeProxy === 'replaced' ? 'none' : 'kept',
        podRoutes: routing === 'native',
        ...(routing !== 'native' && { links: [routing] }),
        images: named('ciliumClustermeshApiserver'),
        cniImages: named('ciliumAgent', 'ciliumOperator'),
        policyKinds: [POLICY_KIND],
        tools: ['helm'],
      },
    }),
    install: async (fleet, _ledger, step) => {
      await installCilium(fleet, kubernetesClusters(fleet), options, step);
      // Charts of other versions may have other defaults, or know nothing of what they are told.
      await mesh.look(kubernetesClusters(fleet));
    },
    recall: async (fleet) => {
      await mesh.look(kubernetesClusters(fleet));
      if (exports) await Promise.all(kubernetesClusters(fleet).map((cluster) => imports.recall(cluster)));
    },
    adopt: async (fleet) => {
      await adoptCilium(kubernetesClusters(fleet), fleet.topology, options);
      await mesh.look(kubernetesClusters(fleet));
    },
    diagnose: (cluster: Cluster) => diagnoseMesh(asKubernetes(cluster, 'Cilium')),
    handlers: [exports ? exportHandler(imports) : shareHandler, policyHandler(mesh)],
    injectors: meshInjectors(ciliumSharing),
    planeOf,
    // Of no workload anything changes, but none can start before Cilium connects it.
    decorate: (spec) => ({ ...spec }),
    // Cilium balances over the endpoints that Kubernetes calls ready, and ejects none by itself.
    decorateService: (spec: ServiceSpec) =>
      spec.startedBackends ? { ...spec, readinessChecked: true } : spec,
    brokenLinks: (_fleet, from, to) => brokenLinks(asKubernetes(from, 'Cilium'), asKubernetes(to, 'Cilium')),
    nodeHealth: (from, to) => nodeHealthOf(asKubernetes(from, 'Cilium'), to.name),
    controlPlaneCertificates: (cluster) => certificatesOf(asKubernetes(cluster, 'Cilium')),
    ...(exports && {
      exportState: (cluster, service) => lookAtExport(asKubernetes(cluster, 'Cilium'), service),
    }),
    drops: (cluster, since, addresses) => dropsOf(asKubernetes(cluster, 'Cilium'), since, addresses),
    versions: {
      components: (fleet) => componentsOf(kubernetesClusters(fleet)),
      supportedSkew: SUPPORTED_SKEW,
    },
    async observedVersions(fleet) {
      const components = await componentsOf(kubernetesClusters(fleet));
      return {
        'Cilium control plane': versionsOfKind(components, 'control plane'),
        'Cilium agents': versionsOfKind(components, 'proxy'),
      };
    },
    localBuilds: () => localBuildsOf(named('ciliumAgent', 'ciliumOperator', 'ciliumClustermeshApiserver')),
  };
}
