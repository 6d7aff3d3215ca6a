/** What containers take of their nodes: with nothing going on, and under load. */
import type { Cluster, Fleet, KubernetesCluster, Profile } from '../model/cluster.ts';
import { messageOf } from '../model/errors.ts';
import type { PlannedCase } from '../model/record.ts';
import {
  type ClusterUsage,
  type ContainerName,
  type ContainerReading,
  type Moment,
  type Part,
  areSince,
  usageBetween,
} from '../model/usage.ts';
import type { Clock } from '../system/clock.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** The suite that puts load on data planes. */
const LOADING_SUITE = 'performance';
/** A kubelet looks at each container every 10 to 20 s. */
const LONGEST_LOOK_MS = 25_000;
const ASK_AGAIN_MS = 2_000;
/** Kubelets give the moment in whole seconds: over this long that is little. */
const SHORTEST_WINDOW_MS = 15_000;

interface Reading {
  readonly cluster: Cluster;
  readonly takenAt: number;
  readonly containers?: readonly ContainerReading[];
  /** Why there is nothing to be read. */
  readonly reason?: string;
}

export interface UsageOptions {
  readonly fleet: Fleet;
  readonly profile: Profile;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Reads twice and tells what happened in between. What cannot be read is said, and harms nothing. */
export class UsageMeter {
  readonly #options: UsageOptions;
  #before: readonly Reading[] = [];

  constructor(options: UsageOptions) {
    this.#options = options;
  }

  /** From here on. */
  async start(): Promise<void> {
    this.#before = await this.#readFresh();
  }

  async idle(): Promise<readonly ClusterUsage[]> {
    const { clock, signal } = this.#options;
    await this.start();
    if (this.#before.some(({ containers }) => containers)) await clock.sleep(SHORTEST_WINDOW_MS, signal);
    return this.stop('idle');
  }

  /** What was taken since `start`. */
  async stop(moment: Moment): Promise<readonly ClusterUsage[]> {
    return this.#usage(moment, await this.#readFresh());
  }

  /** Nothing of what came before this moment, and nothing missing of it. */
  async #readFresh(): Promise<readonly Reading[]> {
    const { clock, signal } = this.#options;
    const [since, began] = [clock.now(), clock.monotonic()];
    for (;;) {
      const readings = await this.#read();
      const fresh = readings.every(({ containers = [] }) => areSince(containers, since));
      if (fresh || clock.monotonic() - began >= LONGEST_LOOK_MS) return readings;
      await clock.sleep(ASK_AGAIN_MS, signal);
    }
  }

  #read(): Promise<readonly Reading[]> {
    const { fleet, profile, clock, signal } = this.#options;
    return Promise.all(
      fleet.clusters.map(async (cluster): Promise<Reading> => {
        const reason = whyUnreadable(cluster, profile);
        const takenAt = clock.monotonic();
        if (reason !== undefined) return { cluster, takenAt, reason };
        try {
          const containers = await withinSignal((cluster as KubernetesCluster).containerReadings(), signal);
          return { cluster, takenAt, containers };
        } catch (error) {
          signal.throwIfAborted();
          return { cluster, takenAt, reason: messageOf(error) };
        }
      }),
    );
  }

  #usage(moment: Moment, after: readonly Reading[]): ClusterUsage[] {
    return after.map((reading, index): ClusterUsage => {
      const before = this.#before[index];
      const reason = before?.reason ?? reading.reason;
      const facts = { cluster: reading.cluster.name, moment };
      const windowMs = Math.round(reading.takenAt - (before?.takenAt ?? reading.takenAt));
      if (reason !== undefined) return { ...facts, windowMs, containers: [], reason };
      const partOf = partsOf(reading.cluster, this.#options.profile);
      return {
        ...facts,
        windowMs,
        containers: usageBetween(before?.containers ?? [], reading.containers ?? [], partOf),
      };
    });
  }
}

/** In clusters of others, what the technology takes there it takes for others as well. */
function whyUnreadable(cluster: Cluster, profile: Profile): string | undefined {
  if (cluster.kind !== 'kubernetes') return 'clusters of the lab have no containers';
  if (!(cluster as KubernetesCluster).own) return 'these clusters serve others as well';
  return profile.planeOf
    ? undefined
    : `the profile ${profile.name} does not say which containers are its own`;
}

/** The technology says what is its own; of the rest, what runs in namespaces of this run is its workloads. */
function partsOf(cluster: Cluster, profile: Profile): (name: ContainerName) => Part {
  const kubernetes = cluster as KubernetesCluster;
  const namespaces = new Set(cluster.workloads.map(({ spec }) => kubernetes.namespaceOf(spec.namespace)));
  return (name) => profile.planeOf?.(name) ?? (namespaces.has(name.namespace) ? 'workloads' : 'kubernetes');
}

/** Runs cases, and tells what containers take while those run that load data planes. */
export class LoadWatch {
  readonly #meter: UsageMeter | undefined;
  readonly #tell: (usage: ClusterUsage) => void;
  #left: number;
  #starting: Promise<void> | undefined;
  #told = false;

  /** Without a meter it only runs them. */
  constructor(
    meter: UsageMeter | undefined,
    cases: readonly PlannedCase[],
    tell: (usage: ClusterUsage) => void,
  ) {
    this.#meter = meter;
    this.#tell = tell;
    this.#left = cases.filter(({ suite }) => suite === LOADING_SUITE).length;
  }

  async run<T>(planned: PlannedCase, action: () => Promise<T>): Promise<T> {
    if (!this.#meter || planned.suite !== LOADING_SUITE) return action();
    // Only the end of the run can keep it from reading, and that the cases tell themselves.
    await (this.#starting ??= this.#meter.start().catch(() => undefined));
    const result = await action();
    this.#left--;
    if (this.#left === 0) await this.finish().catch(() => undefined);
    return result;
  }

  /** Where some of them were settled without running, the last one that ran did not know. */
  async finish(): Promise<void> {
    if (!this.#meter || !this.#starting || this.#told) return;
    this.#told = true;
    for (const usage of await this.#meter.stop('load')) this.#tell(usage);
  }
}
