/** What containers take of their nodes, and to which part of the system each belongs. */

/** Of a technology: what decides, and what carries traffic or tells a node how to. */
export type Plane = 'control plane' | 'data plane';
/** `kubernetes` is what clusters have without the technology, their CNI included; `workloads` are the run's own. */
export type Part = Plane | 'kubernetes' | 'workloads';

export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** As a kubelet says it. What it has not measured yet is absent. */
export interface ContainerReading extends ContainerName {
  /** Working set. */
  readonly memoryBytes?: number;
  /** Processor time since the container started, nanoseconds. */
  readonly cpuNanoseconds?: number;
  /** When the processor time was read, milliseconds since 1970. */
  readonly cpuAt?: number;
}

export interface ContainerUsage extends ContainerName {
  readonly part: Part;
  /** Working set at the end of the window. */
  readonly memoryBytes?: number;
  /** Processors that it kept busy within the window, on average. */
  readonly cores?: number;
}

/** When it was taken: after set-up with nothing going on, or over the suite `performance`. */
export const MOMENTS = ['idle', 'load'] as const;
export type Moment = (typeof MOMENTS)[number];

export interface ClusterUsage {
  readonly cluster: string;
  readonly moment: Moment;
  /** Milliseconds between the two readings. */
  readonly windowMs: number;
  readonly containers: readonly ContainerUsage[];
  /** Why there is nothing to be seen. */
  readonly reason?: string;
}

const keyOf = ({ namespace, pod, container }: ContainerName): string => `${namespace}/${pod}/${container}`;

/** Shorter than this between two readings of a kubelet, which rounds the moment, says little. */
const SHORTEST_MS = 1_000;

/** Whether the kubelets have looked at every container since. @param since milliseconds since 1970 */
export function areSince(readings: readonly ContainerReading[], since: number): boolean {
  return readings.every(({ cpuAt }) => cpuAt === undefined || cpuAt >= since);
}

/** Of containers that started in between only the memory is known, and those that ended are left out. */
export function usageBetween(
  before: readonly ContainerReading[],
  after: readonly ContainerReading[],
  partOf: (name: ContainerName) => Part,
): ContainerUsage[] {
  const earlier = new Map(before.map((reading) => [keyOf(reading), reading]));
  return after.map((reading) => {
    const { namespace, pod, container, memoryBytes } = reading;
    const cores = coresBetween(earlier.get(keyOf(reading)), reading);
    return {
      namespace,
      pod,
      container,
      part: partOf(reading),
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...(cores !== undefined && { cores }),
    };
  });
}

function coresBetween(before: ContainerReading | undefined, after: ContainerReading): number | undefined {
  if (before?.cpuNanoseconds === undefined || before.cpuAt === undefined) return undefined;
  if (after.cpuNanoseconds === undefined || after.cpuAt === undefined) return undefined;
  const elapsedMs = after.cpuAt - before.cpuAt;
  const busyNs = after.cpuNanoseconds - before.cpuNanoseconds;
  // A container that was started again counts from nothing.
  if (elapsedMs < SHORTEST_MS || busyNs < 0) return undefined;
  return busyNs / 1e6 / elapsedMs;
}
