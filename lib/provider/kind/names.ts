/** What things of kind clusters are called. Every name that the engine shows carries the run id. */
import path from 'node:path';
import { runtimeFolder } from '../../system/files.ts';

/** Of the cluster, as kind knows it, and of its Docker network. */
export const clusterName = (run: string, cluster: string): string => `mcnet-${run}-${cluster}`;
/** Clusters cannot have a dot in their names, so these never meet one. */
export const gatewayName = (run: string, cluster: string): string => `mcnet-${run}-${cluster}.gateway`;
export const wanName = (run: string): string => `mcnet-${run}.wan`;

/** kind's own name of the first node of a cluster. */
export const controlPlaneName = (run: string, cluster: string): string =>
  `${clusterName(run, cluster)}-control-plane`;
/** As kind writes it into a kubeconfig. */
export const contextName = (run: string, cluster: string): string => `kind-${clusterName(run, cluster)}`;

/** The label that kind gives to every node. */
export const nodeLabel = (run: string, cluster: string): string =>
  `io.x-k8s.kind.cluster=${clusterName(run, cluster)}`;
/** Of everything else that a run has in the engine. */
export const RUN_LABEL = 'mcnet-conformance.run';
export const EXPIRY_LABEL = 'mcnet-conformance.expires';

const clusterFolder = (run: string, cluster: string): string => path.join(runtimeFolder(run), cluster);
export const kubeconfigFile = (run: string, cluster: string): string =>
  path.join(clusterFolder(run, cluster), 'kubeconfig');
export const fleetFile = (run: string): string => path.join(runtimeFolder(run), 'fleet.json');

/** Folder of a gateway container for sockets, logs, captures and configuration. */
export const GATEWAY_FOLDER = '/run/mcnet';
