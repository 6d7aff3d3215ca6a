import type { AddressPlan, ClusterRanges } from '../model/addressing.ts';
import type { IpFamily, PerFamily } from '../model/cidr.ts';
import { UserError } from '../model/errors.ts';

/** A cluster's ranges, in the families that this run uses. */
export function rangesInUse(
  plan: Pick<AddressPlan, 'clusters'>,
  families: readonly IpFamily[],
  cluster: string,
): ClusterRanges {
  const ranges = plan.clusters[cluster];
  if (!ranges) throw new UserError(`cluster ${cluster} has no ranges in the address plan`);
  return {
    pods: inUse(ranges.pods, families),
    services: inUse(ranges.services, families),
    nodes: inUse(ranges.nodes, families),
  };
}

export function inUse(range: PerFamily<string>, families: readonly IpFamily[]): PerFamily<string> {
  return Object.fromEntries(
    Object.entries(range).filter(([family]) => families.includes(family as IpFamily)),
  );
}
