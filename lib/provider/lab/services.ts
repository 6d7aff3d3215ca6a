/** What each cluster's service controller is told, as a pure function of the fleet's state. */
import { UserError } from '../../model/errors.ts';
import { type ServiceSpec, type SharedAddress, keyOf, selects, serviceName } from '../../model/workload.ts';
import { rangesInUse } from '../ranges.ts';
import {
  clustersetAddresses,
  fixedEndpointAddresses,
  gatewayAddresses,
  serviceAddresses,
  workloadAddresses,
} from './addresses.ts';
import type { ControllerConfig, ControllerEndpoint, ControllerService } from './controller/config.ts';
import { HEALTH_PERIOD_MS } from './controller/health.ts';
import { clusterFolder } from './names.ts';
import { fleetPeers } from './peers.ts';
import { type FleetState, clusterState, serviceOrder } from './state.ts';

type ServiceKey = { namespace: string; name: string };

/** Per cluster: the more controllers share the machine with the traffic they watch, the less often each of them works. */
const HEALTH_PERIOD_PER_CLUSTER_MS = 50;
/** Each of them follows what changes in any of them. */
const FOLLOW_PAUSE_PER_PAIR_MS = 5;
/** And yet nobody waits longer than this for the next change. */
const LONGEST_FOLLOW_PAUSE_MS = 1_000;

export function controllerConfig(fleet: FleetState, cluster: string): ControllerConfig {
  const addresses = gatewayAddresses(fleet.plan, fleet.families, cluster);
  const { ofCluster, periodMs } = fleetPeers(fleet);
  return {
    run: fleet.run,
    cluster,
    families: fleet.families,
    dns: addresses.dns,
    peers: ofCluster.get(cluster) ?? [],
    peerPeriodMs: periodMs,
    listen: addresses.node,
    services: [...ownServices(fleet, cluster), ...importedServices(fleet, cluster)],
    folder: clusterFolder(fleet.run, cluster),
    healthPeriodMs: Math.max(HEALTH_PERIOD_MS, HEALTH_PERIOD_PER_CLUSTER_MS * fleet.names.length),
    followPauseMs: Math.min(
      LONGEST_FOLLOW_PAUSE_MS,
      FOLLOW_PAUSE_PER_PAIR_MS * fleet.names.length * (fleet.names.length - 1),
    ),
  };
}

function ownServices(fleet: FleetState, cluster: string): ControllerService[] {
  const { services, shares } = clusterState(fleet, cluster);
  return services.map((spec) => {
    const share = shares.find((one) => one.namespace === spec.namespace && one.service === spec.name);
    return {
      spec,
      clusterIps: spec.headless ? {} : addressInCluster(fleet, cluster, spec),
      clustersetIps: spec.headless || !share ? {} : addressInFleet(fleet, cluster, spec),
      ...(share && { shared: { preference: share.preference } }),
      endpoints: endpointsOf(fleet, cluster, spec),
    };
  });
}

/** A shared service exists in every cluster of the set (KEP-1645), also where it has no backend. */
function importedServices(fleet: FleetState, cluster: string): ControllerService[] {
  const known = new Set(clusterState(fleet, cluster).services.map(keyOf));
  const imported = new Map<string, ControllerService>();
  for (const { services, shares } of Object.values(fleet.clusters)) {
    for (const share of shares) {
      const spec = services.find((one) => one.namespace === share.namespace && one.name === share.service);
      if (!spec || known.has(keyOf(spec))) continue;
      imported.set(keyOf(spec), {
        spec,
        clusterIps: {},
        clustersetIps: spec.headless ? {} : addressInFleet(fleet, cluster, spec),
        shared: { preference: share.preference },
        endpoints: [],
      });
    }
  }
  return [...imported.values()];
}

function endpointsOf(fleet: FleetState, cluster: string, service: ServiceSpec): ControllerEndpoint[] {
  const pods = rangesOf(fleet, cluster).pods;
  if (service.fixedEndpoints !== undefined) {
    return fixedEndpointAddresses(pods, service.fixedEndpoints).map((addresses, index) => ({
      workload: `fixed-${index}`,
      addresses,
    }));
  }
  return clusterState(fleet, cluster).workloads.flatMap((spec, order) =>
    spec && spec.namespace === service.namespace && selects(service.selector, spec.labels)
      ? [{ workload: spec.name, addresses: workloadAddresses(pods, order) }]
      : [],
  );
}

/** Address of a service inside its cluster. */
function addressInCluster(fleet: FleetState, cluster: string, service: ServiceKey) {
  return serviceAddresses(rangesOf(fleet, cluster).services, serviceOrder(fleet, service));
}

/** Where callers of a cluster reach the backends of all clusters that share the service. */
function addressInFleet(fleet: FleetState, cluster: string, service: ServiceKey) {
  return clustersetAddresses(rangesOf(fleet, cluster).services, serviceOrder(fleet, service));
}

const rangesOf = (fleet: FleetState, cluster: string) => rangesInUse(fleet.plan, fleet.families, cluster);

/** Where a caller in this cluster finds a service of this cluster. A headless one has no address of its own. */
export function localAddress(fleet: FleetState, cluster: string, service: ServiceKey): SharedAddress {
  const spec = clusterState(fleet, cluster).services.find((one) => keyOf(one) === keyOf(service));
  if (!spec) throw new UserError(`cluster ${cluster} has no service ${keyOf(service)}`);
  return {
    name: serviceName(service, 'cluster.local'),
    addresses: spec.headless ? {} : addressInCluster(fleet, cluster, service),
  };
}

/** Where a caller in this cluster finds a service that clusters share, or would if they did. */
export function sharedAddress(fleet: FleetState, cluster: string, service: ServiceKey): SharedAddress {
  const specs = Object.values(fleet.clusters).flatMap(({ services }) => services);
  const spec = specs.find((one) => keyOf(one) === keyOf(service));
  if (!spec) throw new UserError(`no cluster has a service ${keyOf(service)}`);
  return {
    name: serviceName(service, 'clusterset.local'),
    addresses: spec.headless ? {} : addressInFleet(fleet, cluster, service),
  };
}
