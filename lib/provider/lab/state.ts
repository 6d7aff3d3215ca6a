/** What a lab remembers of itself in `fleet.json`, so that another process can find it again. */
import type { AddressPlan } from '../../model/addressing.ts';
import type { IpFamily } from '../../model/cidr.ts';
import { InternalError, UserError } from '../../model/errors.ts';
import type { PolicyIntent, ShareServiceIntent } from '../../model/intent.ts';
import type { Topology } from '../../model/topology.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf } from '../../model/workload.ts';

export interface FleetState {
  readonly run: string;
  readonly names: readonly string[];
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly families: readonly IpFamily[];
  /** Keys of services in the order of their creation in any cluster: the place is the index of their addresses. */
  readonly serviceOrder: string[];
  readonly clusters: Readonly<Record<string, ClusterState>>;
}

export interface ClusterState {
  /** In the order of creation, which decides their addresses. One that could not be started leaves its place empty. */
  readonly workloads: (WorkloadSpec | null)[];
  services: readonly ServiceSpec[];
  shares: readonly ShareServiceIntent[];
  policies: readonly PolicyIntent[];
}

export function newFleetState(
  facts: Pick<FleetState, 'run' | 'names' | 'topology' | 'plan' | 'families'>,
): FleetState {
  const { run, names, topology, plan, families } = facts;
  const empty = (): ClusterState => ({ workloads: [], services: [], shares: [], policies: [] });
  return {
    run,
    names,
    topology,
    plan,
    families,
    serviceOrder: [],
    clusters: Object.fromEntries(names.map((name) => [name, empty()])),
  };
}

export function clusterState(fleet: FleetState, cluster: string): ClusterState {
  const state = fleet.clusters[cluster];
  if (!state) throw new InternalError(`no cluster ${cluster} in run ${fleet.run}`);
  return state;
}

/** Place of a service in the fleet: the same in every cluster, and for good. */
export function serviceOrder(fleet: FleetState, service: { namespace: string; name: string }): number {
  const order = fleet.serviceOrder.indexOf(keyOf(service));
  return order === -1 ? fleet.serviceOrder.push(keyOf(service)) - 1 : order;
}

/** Puts an intent of the same name, namespace and direction in the place of an older one. */
export function withPolicy(policies: readonly PolicyIntent[], intent: PolicyIntent): PolicyIntent[] {
  return [...withoutPolicy(policies, intent), intent];
}
export function withoutPolicy(policies: readonly PolicyIntent[], intent: PolicyIntent): PolicyIntent[] {
  return policies.filter(
    (other) =>
      other.name !== intent.name ||
      other.namespace !== intent.namespace ||
      other.direction !== intent.direction,
  );
}

const isSameService = (a: ShareServiceIntent, b: ShareServiceIntent): boolean =>
  a.namespace === b.namespace && a.service === b.service;
export function withShare(
  shares: readonly ShareServiceIntent[],
  intent: ShareServiceIntent,
): ShareServiceIntent[] {
  return [...withoutShare(shares, intent), intent];
}
export function withoutShare(
  shares: readonly ShareServiceIntent[],
  intent: ShareServiceIntent,
): ShareServiceIntent[] {
  return shares.filter((other) => !isSameService(other, intent));
}

export function parseFleetState(text: string, file: string): FleetState {
  try {
    return JSON.parse(text) as FleetState;
  } catch (error) {
    throw new UserError('the description of the kept lab cannot be read', {
      where: file,
      remedy: 'remove what is left with `mcnet-conformance clean` and run again',
      cause: error,
    });
  }
}
