/** What things of a lab are called. Every name that is visible outside a namespace carries the run id. */
import path from 'node:path';
import { runtimeFolder } from '../../system/files.ts';

/** The bridge of a cluster's workloads, inside its gateway. */
export const CLUSTER_INTERFACE = 'pods0';
export const WAN_INTERFACE = 'wan0';
/** The bridge between the gateways, inside the wan namespace. */
export const WAN_BRIDGE = 'wan';
export const WORKLOAD_INTERFACE = 'eth0';

export const wanNetns = (run: string): string => `mcnet-${run}-wan`;
export const gatewayNetns = (run: string, cluster: string): string => `mcnet-${run}-${cluster}`;
export const workloadNetns = (
  run: string,
  cluster: string,
  workload: { namespace: string; name: string },
): string => `mcnet-${run}-${cluster}-${workload.namespace}-${workload.name}`;

export const netnsPath = (netns: string): string => `/run/netns/${netns}`;

/** Cluster names may be longer than an interface name, so ports are numbered; their alias holds the name. */
export const wanPort = (clusterIndex: number): string => `p${clusterIndex}`;
export const workloadPort = (addressIndex: number): string => `w${addressIndex}`;

export const clusterFolder = (run: string, cluster: string): string => path.join(runtimeFolder(run), cluster);
export const fleetFile = (run: string): string => path.join(runtimeFolder(run), 'fleet.json');

/** Socket and log of an agent, without extension; `workload` absent means the gateway's own agent. */
export function agentPath(
  run: string,
  cluster: string,
  workload?: { namespace: string; name: string },
): string {
  if (!workload) return path.join(clusterFolder(run, cluster), 'agent');
  return path.join(runtimeFolder(run), `${cluster}-${workload.namespace}-${workload.name}`);
}

/** Room for a path in sockaddr_un, see unix(7), without the final zero. */
export const SOCKET_PATH_BYTES = 107;
