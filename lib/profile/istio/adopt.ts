/** Finds Istio as somebody installed it, and changes nothing. */
import type { KubernetesCluster } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import type { IstioTopology } from '../../model/spec.ts';
import { isReady, namespaceReference } from '../common/clusters.ts';
import type { ControlPlanes } from './clusters.ts';
import { controlPlanePods } from './controlPlane.ts';
import { LABELS, SYSTEM_NAMESPACE } from './names.ts';
import { hasNetworks } from './options.ts';

async function networkIn(cluster: KubernetesCluster): Promise<string> {
  const namespace = await cluster.objects.read(namespaceReference(SYSTEM_NAMESPACE));
  return namespace?.metadata.labels?.[LABELS.network] ?? '';
}

/** @throws UserError naming the cluster where something is missing */
export async function adoptIstio(planes: ControlPlanes, topology: IstioTopology): Promise<void> {
  const missing = await Promise.all(
    planes.primaries.map(async (cluster) => {
      const pods = await controlPlanePods(cluster);
      return pods.some(isReady) ? [] : [cluster.name];
    }),
  );
  const without = missing.flat();
  if (without.length > 0) {
    throw new UserError(`no control plane of Istio is ready in ${without.join(', ')}`, {
      where: `namespace ${SYSTEM_NAMESPACE}`,
      remedy:
        planes.primaries.length > 1
          ? 'Install Istio there, or say --istio-topology primary-remote when the first cluster controls all'
          : 'Install Istio there, or choose another --profile',
    });
  }
  const networks = await Promise.all(planes.clusters.map(networkIn));
  const apart = new Set(networks).size > 1;
  if (apart !== hasNetworks(topology)) {
    const shown = planes.clusters
      .map(({ name }, index) => `${name}: ${networks[index] || 'none'}`)
      .join(', ');
    throw new UserError(
      apart
        ? `these clusters are networks of their own (${shown})`
        : `these clusters are one network (${shown})`,
      {
        where: `label ${LABELS.network} of namespace ${SYSTEM_NAMESPACE}`,
        remedy: `Say --istio-topology ${apart ? 'multi-network' : 'multi-primary'}`,
      },
    );
  }
}
