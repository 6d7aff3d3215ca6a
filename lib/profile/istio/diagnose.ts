/** What of the mesh a person would look at after a failure; bounded, and without secrets. */
import type { Cluster, KubernetesCluster } from '../../model/cluster.ts';
import { answersTo } from '../common/diagnose.ts';
import { type ControlPlanes, asKubernetes } from './clusters.ts';
import { askControlPlane, controlPlanePods } from './controlPlane.ts';
import { PROXY_CONTAINER, SYSTEM_NAMESPACE } from './names.ts';
import { endpointsOf } from './proxies.ts';

const LOG_LINES = 200;
/** Of each kind; more say the same again. */
const MOST_PROXIES = 3;

export async function diagnoseMesh(
  planes: ControlPlanes,
  where: Cluster,
): Promise<Readonly<Record<string, string>>> {
  const cluster = asKubernetes(where);
  const isPrimary = planes.primaries.some(({ name }) => name === cluster.name);
  const questions: [string, () => Promise<string>][] = [
    ...(isPrimary
      ? ([
          ['istiod.log', () => controlPlaneLog(cluster)],
          ['istio-clusters.json', () => askControlPlane(cluster, '/debug/clusterz')],
          ['istio-proxies.json', () => askControlPlane(cluster, '/debug/syncz')],
          ['istio-configuration.json', () => configuration(cluster)],
        ] as [string, () => Promise<string>][])
      : []),
    ...cluster.workloads
      .filter(({ spec }) => spec.overServices)
      .slice(0, MOST_PROXIES)
      .flatMap((workload): [string, () => Promise<string>][] => [
        [`proxy-${workload.spec.name}.log`, () => proxyLog(cluster, workload.spec)],
        [`proxy-${workload.spec.name}-endpoints.txt`, () => endpointsOf(workload, cluster)],
      ]),
  ];
  return answersTo(Object.fromEntries(questions));
}

async function controlPlaneLog(cluster: KubernetesCluster): Promise<string> {
  const pods = await controlPlanePods(cluster);
  const logs = await Promise.all(
    pods.map(({ metadata: { name } }) =>
      cluster.objects.log(
        { namespace: SYSTEM_NAMESPACE, name, container: 'discovery' },
        { lines: LOG_LINES },
      ),
    ),
  );
  return logs.join('\n') || 'no control plane runs here';
}

const proxyLog = (cluster: KubernetesCluster, spec: { namespace: string; name: string }): Promise<string> =>
  cluster.objects.log(
    { namespace: cluster.namespaceOf(spec.namespace), name: spec.name, container: PROXY_CONTAINER },
    { lines: LOG_LINES },
  );

const KINDS = [
  ['networking.istio.io/v1', 'DestinationRule'],
  ['networking.istio.io/v1', 'VirtualService'],
  ['networking.istio.io/v1', 'Gateway'],
  ['security.istio.io/v1', 'PeerAuthentication'],
  ['security.istio.io/v1', 'AuthorizationPolicy'],
] as const;

async function configuration(cluster: KubernetesCluster): Promise<string> {
  const lists = await Promise.all(
    KINDS.map(([apiVersion, kind]) => cluster.objects.list({ apiVersion, kind })),
  );
  const shown = lists
    .flat()
    .map(({ kind, metadata: { name, namespace }, spec }) => ({ kind, namespace, name, spec }));
  return JSON.stringify(shown, undefined, 1);
}
