/** Which address of the plan is whose. Indices count from the first address of a range. */
import { type AddressPlan, addressesAt, mapFamilies } from '../../model/addressing.ts';
import { type IpFamily, type PerFamily, addressAt, parseCidr, sizeOf } from '../../model/cidr.ts';
import { UserError } from '../../model/errors.ts';
import { DNS_SERVICE_INDEX } from '../../model/workload.ts';
import { inUse, rangesInUse } from '../ranges.ts';

const POD_GATEWAY_INDEX = 1;
const FIRST_WORKLOAD_INDEX = 2;
const NODE_INDEX = 1;
const FIRST_WAN_INDEX = 1;
/** Below are the API server's and the DNS server's address, as in Kubernetes. */
const FIRST_SERVICE_INDEX = 16;

export interface GatewayAddresses {
  /** The workloads' default gateway. */
  readonly pods: PerFamily<string>;
  readonly node: PerFamily<string>;
  readonly wan: PerFamily<string>;
  readonly dns: PerFamily<string>;
}

export function gatewayAddresses(
  plan: AddressPlan,
  families: readonly IpFamily[],
  cluster: string,
): GatewayAddresses {
  const ranges = rangesInUse(plan, families, cluster);
  const index = Object.keys(plan.clusters).indexOf(cluster);
  return {
    pods: addressesAt(ranges.pods, POD_GATEWAY_INDEX),
    node: addressesAt(ranges.nodes, NODE_INDEX),
    wan: addressesAt(inUse(plan.wan, families), FIRST_WAN_INDEX + index),
    dns: addressesAt(ranges.services, DNS_SERVICE_INDEX),
  };
}

/** Addresses of the workload that was created as number `order`, counting from 0. @throws UserError when the range is full */
export function workloadAddresses(pods: PerFamily<string>, order: number): PerFamily<string> {
  return mapFamilies(pods, (cidr) => addressIn(cidr, FIRST_WORKLOAD_INDEX + order, 'pod'));
}

/** Addresses of endpoints that no workload has: from the end of the pod range, so that they never meet. */
export function fixedEndpointAddresses(pods: PerFamily<string>, count: number): PerFamily<string>[] {
  return Array.from({ length: count }, (_, order) =>
    mapFamilies(pods, (cidr) => {
      const size = sizeOf(parseCidr(cidr));
      // The last address of an IPv4 range is its broadcast address; beyond 2^16 the end is as good as any place.
      const end = size > 65_536n ? 65_536 : Number(size);
      return addressIn(cidr, end - 2 - order, 'pod');
    }),
  );
}

export function serviceAddresses(services: PerFamily<string>, order: number): PerFamily<string> {
  return mapFamilies(services, (cidr) => {
    if (FIRST_SERVICE_INDEX + order >= half(cidr)) throw full(cidr, 'service');
    return addressIn(cidr, FIRST_SERVICE_INDEX + order, 'service');
  });
}

/** Shared services have a second address, from the upper half of the range. */
export function clustersetAddresses(services: PerFamily<string>, order: number): PerFamily<string> {
  return mapFamilies(services, (cidr) =>
    addressIn(cidr, half(cidr) + FIRST_SERVICE_INDEX + order, 'service'),
  );
}

const half = (cidr: string): number => Number(sizeOf(parseCidr(cidr)) / 2n);

function addressIn(cidr: string, index: number, kind: string): string {
  if (index < 0 || BigInt(index) >= sizeOf(parseCidr(cidr))) throw full(cidr, kind);
  return addressAt(parseCidr(cidr), index);
}

const full = (cidr: string, kind: string): UserError =>
  new UserError(`the ${kind} range ${cidr} has no address left`, {
    remedy: 'give the clusters larger blocks (`addressing.prefix`)',
  });
