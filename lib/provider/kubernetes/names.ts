/** Names, labels and annotations of what is created in clusters. */
import type { KubernetesObject } from '../../model/cluster.ts';
import type { WorkloadSpec } from '../../model/workload.ts';

/** Field manager of server-side apply, and what everything created says that it belongs to. */
export const APPLICATION = 'mcnet-conformance';

export const LABELS = {
  managedBy: 'app.kubernetes.io/managed-by',
  run: `${APPLICATION}/run`,
  /** The namespace by its name in specifications, which a prefix may have changed in the cluster. */
  namespace: `${APPLICATION}/namespace`,
  workload: `${APPLICATION}/workload`,
} as const;

export const ANNOTATIONS = {
  /** RFC 3339; from then on anybody may delete it. */
  expires: `${APPLICATION}/expires`,
  /** The specification as JSON, by which a later run finds what stands. */
  spec: `${APPLICATION}/spec`,
} as const;

export const runLabels = (run: string): Record<string, string> => ({
  [LABELS.managedBy]: APPLICATION,
  [LABELS.run]: run,
});

export const runSelector = (run: string): string => `${LABELS.run}=${run}`;

/** Where the agent's image has it, and the socket inside its container. */
export const AGENT_PROGRAM = '/usr/local/bin/mcnet-agent';
export const AGENT_FOLDER = '/run/mcnet';
export const AGENT_SOCKET = `${AGENT_FOLDER}/agent.sock`;
export const AGENT_CONTAINER = 'agent';

/** Name of a namespace in the cluster. */
export const namespaceName = (namespace: string, prefix: string | undefined): string =>
  prefix === undefined ? namespace : `${prefix}-${namespace}`;

export const serviceAccountOf = (spec: WorkloadSpec): string => spec.serviceAccount ?? spec.name;

/** The specification that a pod or service of ours carries; undefined when it has none. */
export function specOf(object: KubernetesObject): unknown {
  const text = object.metadata.annotations?.[ANNOTATIONS.spec];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
