/** How injectors of faults are written, wherever they stand: for one kind each, and saying how far they reach. */
import type { Cluster, FaultInjector, Fleet, Ledger, Workload } from './cluster.ts';
import { InternalError } from './errors.ts';
import type { Disturbance, FaultKind, FaultSpec } from './fault.ts';
import { keyOf } from './workload.ts';

export type FaultOf<K extends FaultKind> = Extract<FaultSpec, { kind: K }>;

/** One fault, and what it is injected into. */
export interface Injection<F extends FaultSpec = FaultSpec> {
  readonly fault: F;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
}

/** An injector of one kind. */
export function injectorOf<K extends FaultKind>(
  kind: K,
  inject: (injection: Injection<FaultOf<K>>) => Promise<Disturbance>,
  reach: FaultInjector['reach'] = 'run',
): FaultInjector {
  return {
    kinds: [kind],
    reach,
    inject: (fault, fleet, ledger) => {
      if (fault.kind !== kind) throw new InternalError(`the injector of ${kind} was given ${fault.kind}`);
      return inject({ fault: fault as FaultOf<K>, fleet, ledger });
    },
  };
}

/** @throws InternalError for a name that the fleet does not have */
export function clusterOf(fleet: Fleet, name: string): Cluster {
  const cluster = fleet.clusters.find((one) => one.name === name);
  if (!cluster) throw new InternalError(`no cluster ${name} in this fleet`);
  return cluster;
}

/** @param key `namespace/name` */
export function workloadOf(cluster: Cluster, key: string): Workload {
  const found = cluster.workloads.find(({ spec }) => keyOf(spec) === key);
  if (!found) throw new InternalError(`no workload ${key} in cluster ${cluster.name}`);
  return found;
}
