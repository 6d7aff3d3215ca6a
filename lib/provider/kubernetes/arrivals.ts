/** Waits for pods: one list of all pods of the run answers everybody who waits, however many they are. */
import type { KubernetesObject, ObjectReference } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { systemClock } from '../../system/clock.ts';
import { runSelector } from './names.ts';
import type { ClusterObjects } from './objects.ts';
import { type PodState, nodeOf, nodeProblem, podState } from './podState.ts';

/** Until a pod is ready: its image may have to be pulled, and many start at once on few processors. */
const READY_MS = 180_000;
/** A scheduler's first refusal is often its last, but nodes also come. */
const UNSCHEDULABLE_MS = 20_000;
const GONE_MS = 60_000;
const LOOK_MS = 500;

type Pods = ReadonlyMap<string, KubernetesObject>;

const keyOf = ({ metadata }: ObjectReference): string => `${metadata.namespace}/${metadata.name}`;

export class Arrivals {
  readonly #cluster: string;
  readonly #run: string;
  readonly #objects: ClusterObjects;
  #look: Promise<Pods> | undefined;

  constructor(cluster: string, run: string, objects: ClusterObjects) {
    this.#cluster = cluster;
    this.#run = run;
    this.#objects = objects;
  }

  /** @returns the pod as it is when ready @throws UserError saying what keeps it */
  async ready(pod: ObjectReference): Promise<KubernetesObject> {
    const began = systemClock.monotonic();
    for (;;) {
      const found = (await this.#pods()).get(keyOf(pod));
      const waited = systemClock.monotonic() - began;
      if (found) {
        const state = podState(found);
        if (state.state === 'ready') return found;
        const limit =
          state.state === 'settled' ? 0 : state.state === 'unschedulable' ? UNSCHEDULABLE_MS : READY_MS;
        if (waited >= limit) throw await this.#notReady(found, state);
      } else if (waited >= READY_MS) {
        throw new UserError(`pod ${keyOf(pod)} is gone`, { where: `cluster ${this.#cluster}` });
      }
    }
  }

  async gone(pod: ObjectReference): Promise<void> {
    const began = systemClock.monotonic();
    while ((await this.#pods()).has(keyOf(pod))) {
      if (systemClock.monotonic() - began > GONE_MS) {
        throw new UserError(`pod ${keyOf(pod)} was deleted ${GONE_MS / 1_000} s ago and is still there`, {
          where: `cluster ${this.#cluster}`,
          remedy: 'Look whether its node is ready',
        });
      }
    }
  }

  /** The next look at all pods, shared by whoever asks meanwhile. */
  #pods(): Promise<Pods> {
    this.#look ??= systemClock
      .sleep(LOOK_MS)
      .then(() => {
        // Whoever asks from here on wants to know what is true later.
        this.#look = undefined;
        return this.#objects.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: runSelector(this.#run) });
      })
      .then((pods) => new Map(pods.map((pod) => [keyOf(pod), pod] as const)));
    return this.#look;
  }

  async #notReady(pod: KubernetesObject, state: Exclude<PodState, { state: 'ready' }>): Promise<UserError> {
    const node = nodeOf(pod);
    const broken = node === undefined ? undefined : await this.#nodeProblem(node);
    return new UserError(
      `pod ${keyOf(pod)} does not become ready: ${[broken, state.why].filter((part) => part !== undefined).join('; ')}`,
      {
        where: `cluster ${this.#cluster}${node === undefined ? '' : `, node ${node}`}`,
        remedy:
          broken === undefined
            ? (state.remedy ?? 'Look at its events: `kubectl describe pod`')
            : 'Mend the node, or choose others with --node-selector',
      },
    );
  }

  /** Not everybody may read nodes; then the pod's own words must do. */
  async #nodeProblem(name: string): Promise<string | undefined> {
    try {
      const node = await this.#objects.read({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
      return node && nodeProblem(node);
    } catch {
      return undefined;
    }
  }
}
