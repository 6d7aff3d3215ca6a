/** Istio, with a proxy beside each workload that calls or answers services. */
import type { Cluster, Feature, Fleet, Ledger, Profile } from '../../model/cluster.ts';
import { PORTS, TIMED_CPU, type WorkloadSpec } from '../../model/workload.ts';
import { adoptIstio } from './adopt.ts';
import { ClusterLocal } from './clusterLocal.ts';
import { ControlPlanes, asKubernetes } from './clusters.ts';
import { diagnoseMesh } from './diagnose.ts';
import { meshInjectors } from './faults.ts';
import { istioIdentities } from './identities.ts';
import { localBuildsOf } from '../common/images.ts';
import { versionsOfKind } from '../common/versions.ts';
import { installIstio } from './install.ts';
import { brokenLinks } from './links.ts';
import { LABELS, planeOf } from './names.ts';
import { type IstioOptions, hasNetworks } from './options.ts';
import { PROXY_REQUESTS } from './operator.ts';
import { KEPT_STATISTICS } from './proxies.ts';
import { identityPolicyHandler, mutualTlsHandler } from './security.ts';
import { TIMERS, shareHandler } from './share.ts';
import { SUPPORTED_SKEW, componentsOf } from './versions.ts';

const SERVICES: readonly Feature[] = ['l7.service', 'share-service', 'mtls', 'endpoint-discovery'];
/** Pods reach each other by their own addresses beside the mesh, where the clusters are one network. */
const PODS: readonly Feature[] = ['l3.pod', 'l3.hops', 'l4.udp', 'icmp'];

/** Ports that belong to the workload itself: its proxy leaves them alone. */
const OWN_PORTS = [PORTS.echo, PORTS.echoAlternate, PORTS.http, PORTS.http2, PORTS.iperf].join(',');

/** Drills whose fail-back waits until what was ejected is tried again. */
const DRILLS = [
  'graceful-delete',
  'crash',
  'freeze',
  'server-errors',
  'stream',
  'cluster-gone',
  'tunnel-down',
];
/** Beside the ejection itself: the next look of outlier detection, and a few requests. */
const FAILBACK_SLACK_MS = 15_000;

function budgetsOf({ tuning }: IstioOptions): NonNullable<Profile['budgets']> {
  const { baseEjectionMs } = TIMERS[tuning];
  const value = baseEjectionMs + FAILBACK_SLACK_MS;
  const reason = `An ejected endpoint is left alone for ${baseEjectionMs / 1_000} s (baseEjectionTime) the first time`;
  return Object.fromEntries(DRILLS.map((drill) => [`failover.${drill}.failback`, { value, reason }]));
}

export function decorate(spec: WorkloadSpec): WorkloadSpec {
  if (!spec.overServices) return spec;
  return {
    ...spec,
    labels: { ...spec.labels, [LABELS.inject]: 'true' },
    annotations: {
      ...spec.annotations,
      'traffic.sidecar.istio.io/excludeInboundPorts': OWN_PORTS,
      'traffic.sidecar.istio.io/excludeOutboundPorts': OWN_PORTS,
      'sidecar.istio.io/statsInclusionRegexps': KEPT_STATISTICS,
      // What a workload times, its proxy takes part in.
      ...(spec.timed && {
        'sidecar.istio.io/proxyCPU': TIMED_CPU,
        'sidecar.istio.io/proxyMemory': PROXY_REQUESTS.memory,
      }),
    },
  };
}

export function createIstio(options: IstioOptions): Profile {
  const { istioTopology: topology, images } = options;
  const planes = new ControlPlanes(topology);
  const clusterLocal = new ClusterLocal();
  const apart = hasNetworks(topology);
  const ownImages = [images.istioPilot, images.istioProxyv2].filter((image) => image !== undefined);
  return {
    name: 'istio',
    conformanceClass: apart ? 'mesh-gateway' : 'mesh-flat',
    features: apart ? SERVICES : [...PODS, ...SERVICES],
    budgets: budgetsOf(options),
    requirements: () => ({
      wan: false,
      hostPackages: [],
      kubernetes: {
        cni: 'default',
        kubeProxy: 'kept',
        podRoutes: !apart,
        images: ownImages,
        tools: ['istioctl'],
      },
    }),
    install: (fleet: Fleet, ledger: Ledger, step) => {
      planes.follow(fleet);
      return installIstio(fleet, ledger, planes, options, step);
    },
    recall: async (fleet: Fleet) => planes.follow(fleet),
    adopt: (fleet: Fleet) => {
      planes.follow(fleet);
      return adoptIstio(planes, topology);
    },
    diagnose: (cluster: Cluster) => diagnoseMesh(planes, cluster),
    handlers: [
      shareHandler(planes, clusterLocal, options),
      mutualTlsHandler(planes),
      identityPolicyHandler(planes),
    ],
    injectors: meshInjectors(planes, clusterLocal),
    decorate,
    planeOf,
    identities: istioIdentities(planes),
    brokenLinks: (_fleet, from, to) => brokenLinks(planes, asKubernetes(from), asKubernetes(to)),
    versions: { components: () => componentsOf(planes), supportedSkew: SUPPORTED_SKEW },
    async observedVersions() {
      const components = await componentsOf(planes);
      return {
        'Istio control plane': versionsOfKind(components, 'control plane'),
        'Istio proxies': versionsOfKind(components, 'proxy'),
      };
    },
    localBuilds: () => localBuildsOf(ownImages),
  };
}
