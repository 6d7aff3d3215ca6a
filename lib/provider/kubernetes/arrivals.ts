/** Waits for pods: few are read one by one; one list of all pods of the run answers everybody where many are waited for. */
import type { KubernetesObject, ObjectReference } from '../../model/cluster.ts';
import { UserError } from '../../model/errors.ts';
import { type Clock, systemClock } from '../../system/clock.ts';
import { runSelector } from './names.ts';
import type { ClusterObjects } from './objects.ts';
import { type PodState, nodeOf, nodeProblem, podState } from './podState.ts';
import { Waits } from './waits.ts';

/** Until a pod is ready: its image may have to be pulled, and many start at once on few processors. */
const READY_MS = 180_000;
/** Where every node is there and none takes a pod, none will. */
const UNSCHEDULABLE_MS = 20_000;
const GONE_MS = 60_000;
const LOOK_MS = 250;
/** Of pods that are waited for: a list has all of the run, with some 25 kB each, and is compressed. */
const FEW = 4;
const LIST_MS = 500;

type Pods = ReadonlyMap<string, KubernetesObject>;

export interface Arrival {
  /** As it is when ready. */
  readonly pod: KubernetesObject;
  /** What it said of why it was not ready yet, and for how long. */
  readonly waited?: string;
}

const keyOf = ({ metadata }: ObjectReference): string => `${metadata.namespace}/${metadata.name}`;

export class Arrivals {
  readonly #cluster: string;
  readonly #run: string;
  readonly #objects: Pick<ClusterObjects, 'list' | 'read'>;
  readonly #clock: Clock;
  #look: { readonly wanted: Map<string, ObjectReference>; readonly pods: Promise<Pods> } | undefined;
  #lookAtNodes: Promise<boolean> | undefined;

  constructor(
    cluster: string,
    run: string,
    objects: Pick<ClusterObjects, 'list' | 'read'>,
    clock: Clock = systemClock,
  ) {
    this.#cluster = cluster;
    this.#run = run;
    this.#objects = objects;
    this.#clock = clock;
  }

  /** @throws UserError saying what keeps it, or why it is not waited for any longer */
  async ready(pod: ObjectReference, giveUp?: AbortSignal): Promise<Arrival> {
    const began = this.#clock.monotonic();
    /** Since when every node is there. */
    let complete = began;
    const waits = new Waits(began);
    for (;;) {
      const found = (await this.#pods(pod)).get(keyOf(pod));
      const now = this.#clock.monotonic();
      const isLate = giveUp?.aborted === true || now - began >= READY_MS;
      if (!found) {
        if (!isLate) continue;
        throw new UserError(`pod ${keyOf(pod)} is gone`, { where: `cluster ${this.#cluster}` });
      }
      const state = podState(found);
      if (state.state === 'ready') return { pod: found, ...waits.ended(now) };
      waits.saw(state.why, now);
      if (state.state === 'settled' || isLate) throw await this.#notReady(found, state);
      if (state.state !== 'unschedulable') continue;
      if (await this.#someNodeIsComing()) complete = now;
      else if (now - complete >= UNSCHEDULABLE_MS) throw await this.#notReady(found, state);
    }
  }

  async gone(pod: ObjectReference): Promise<void> {
    const began = this.#clock.monotonic();
    while ((await this.#pods(pod)).has(keyOf(pod))) {
      if (this.#clock.monotonic() - began > GONE_MS) {
        throw new UserError(`pod ${keyOf(pod)} was deleted ${GONE_MS / 1_000} s ago and is still there`, {
          where: `cluster ${this.#cluster}`,
          remedy: 'Look whether its node is ready',
        });
      }
    }
  }

  /** The next look at pods, shared by whoever asks meanwhile. */
  #pods(pod: ObjectReference): Promise<Pods> {
    if (!this.#look) {
      const wanted = new Map<string, ObjectReference>();
      this.#look = { wanted, pods: this.#lookAt(wanted) };
    }
    this.#look.wanted.set(keyOf(pod), pod);
    return this.#look.pods;
  }

  async #lookAt(wanted: ReadonlyMap<string, ObjectReference>): Promise<Pods> {
    await this.#clock.sleep(LOOK_MS);
    if (wanted.size > FEW) await this.#clock.sleep(LIST_MS - LOOK_MS);
    // Whoever asks from here on wants to know what is true later.
    this.#look = undefined;
    const pods =
      wanted.size > FEW
        ? await this.#objects.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: runSelector(this.#run) })
        : await Promise.all([...wanted.values()].map((pod) => this.#objects.read(pod)));
    return new Map(pods.flatMap((pod) => (pod ? [[keyOf(pod), pod] as const] : [])));
  }

  /** Whether some node is not ready: one that has just come up takes no pod before its network stands. Shared like pods. */
  #someNodeIsComing(): Promise<boolean> {
    this.#lookAtNodes ??= this.#objects
      .list({ apiVersion: 'v1', kind: 'Node' })
      .then((nodes) => nodes.some((node) => nodeProblem(node) !== undefined))
      // Not everybody may read nodes.
      .catch(() => false)
      .finally(() => (this.#lookAtNodes = undefined));
    return this.#lookAtNodes;
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
