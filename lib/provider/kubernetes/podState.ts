/** What a pod that does not become ready says about why. Pure. */
import type { PerFamily } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import { mapFamilies } from '../../model/addressing.ts';

interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number; readonly message?: string };
  };
  readonly lastState?: ContainerStatus['state'];
}

interface PodStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly podIPs?: readonly { readonly ip?: string }[];
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
    readonly message?: string;
  }[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}

/** What became of a pod. `settled`: it will not become ready by waiting. */
export type PodState =
  | { readonly state: 'ready'; readonly addresses: PerFamily<string> }
  | {
      readonly state: 'waiting' | 'settled' | 'unschedulable';
      /** What keeps it, in a sentence. */
      readonly why: string;
      readonly remedy?: string;
    };

const statusOf = (pod: KubernetesObject): PodStatus => pod['status'] ?? {};

export const nodeOf = (pod: KubernetesObject): string | undefined =>
  (pod['spec'] as { readonly nodeName?: string } | undefined)?.nodeName;

export const isLeaving = (pod: KubernetesObject): boolean => pod.metadata['deletionTimestamp'] !== undefined;

export function addressesOf(pod: KubernetesObject): PerFamily<string> {
  const addresses: { ipv4?: string; ipv6?: string } = {};
  for (const { ip } of statusOf(pod).podIPs ?? []) {
    if (ip !== undefined && ip !== '') addresses[ip.includes(':') ? 'ipv6' : 'ipv4'] = ip;
  }
  return mapFamilies(addresses, (address) => address);
}

const IMAGE =
  'Check the image name, the registry, and `--image-pull-secret`; `--probe-image` names another image';

/** Reasons that no waiting mends, or that the kubelet itself has given up on for now. */
const SETTLED: Readonly<Record<string, string>> = {
  ImagePullBackOff: IMAGE,
  ErrImageNeverPull: 'Load the image into every node, or allow it to be pulled',
  InvalidImageName: IMAGE,
  CrashLoopBackOff: 'Read what the container says: its log is in the diagnostics',
  CreateContainerConfigError: 'Read the message: something that the container needs is not there',
  CreateContainerError: 'Read the message: the container runtime refuses',
  RunContainerError: 'Read the message: the program of the image cannot be started',
};

export function podState(pod: KubernetesObject): PodState {
  const status = statusOf(pod);
  const conditionOf = (type: string) => status.conditions?.find((one) => one.type === type);
  if (isLeaving(pod)) return { state: 'settled', why: 'it is being deleted by somebody else' };
  if (status.phase === 'Failed' || status.phase === 'Succeeded') {
    const what =
      status.reason === 'Evicted'
        ? 'it was evicted from its node'
        : `it has ended (${status.reason ?? status.phase})`;
    return {
      state: 'settled',
      why: status.message === undefined ? what : `${what}: ${status.message}`,
      ...(status.reason === 'Evicted' && {
        remedy: 'Free memory or disk on the node, or choose others with --node-selector',
      }),
    };
  }
  if (conditionOf('Ready')?.status === 'True') return { state: 'ready', addresses: addressesOf(pod) };
  const scheduled = conditionOf('PodScheduled');
  if (scheduled?.status === 'False') {
    return {
      state: 'unschedulable',
      why: `no node takes it: ${scheduled.message ?? scheduled.reason ?? 'no reason given'}`,
      remedy: 'Free resources, or choose nodes with --node-selector and --toleration',
    };
  }
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  for (const { name, state, lastState } of containers) {
    const { reason = '', message } = state?.waiting ?? {};
    const remedy = SETTLED[reason];
    if (remedy === undefined) continue;
    const before = lastState?.terminated;
    const ended = before ? ` (last ended with ${before.exitCode ?? before.reason ?? 'no code'})` : '';
    return {
      state: 'settled',
      why: `container ${name}: ${reason}${ended}${message === undefined ? '' : `: ${message}`}`,
      remedy,
    };
  }
  const unready = containers.filter(({ ready }) => !ready);
  // Those that wait for others to begin first say nothing, unless nobody has begun.
  const begun = unready.filter(({ state }) => state?.waiting?.reason !== 'PodInitializing');
  const names = (begun.length > 0 ? begun : unready.slice(0, 1)).map(
    ({ name, state }) => `${name} (${state?.waiting?.reason ?? (state?.terminated ? 'ended' : 'not ready')})`,
  );
  return {
    state: 'waiting',
    why: names.length === 0 ? `its phase is ${status.phase ?? 'unknown'}` : `not ready: ${names.join(', ')}`,
  };
}

/** Whether a node takes part: `undefined` when it does, else why not. */
export function nodeProblem(node: KubernetesObject): string | undefined {
  const { conditions = [] } = (node['status'] ?? {}) as PodStatus;
  const ready = conditions.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return undefined;
  const why = ready?.message ?? ready?.reason ?? 'it reports no condition';
  return `node ${node.metadata.name} is not ready: ${why}`;
}
