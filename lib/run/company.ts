/**
 * Cases that run together: each has its own controls and sees for itself, but what they inject stands for all of them. It
 * is injected once every one has had its controls, and mended once every one has seen enough; whoever ends early keeps
 * nobody waiting.
 */
import { isDeepStrictEqual } from 'node:util';
import type { FaultInjector } from '../model/cluster.ts';
import type { Disturbance, FaultSpec } from '../model/fault.ts';
import { allEnded } from '../model/promises.ts';

/** How far a member has come, in this order. */
const STAGES = ['controls', 'ready', 'watching', 'done'] as const;
type Stage = (typeof STAGES)[number];

/** A fault that others may need as well. */
export interface SharedDisturbance extends Pick<Disturbance, 'tookHold'> {
  /**
   * Lets go of it. Resolves once it is mended, for which all others have to let go too. @returns false for a case that has
   * left while others still need it
   */
  mend(): Promise<boolean>;
  /** Of all faults of the company, by the last to leave it: nobody watches then. */
  settle(): Promise<void>;
}

/** How a fault is injected, and which others are the same; default: equal ones. */
export interface SharedInjection {
  readonly inject: () => Promise<Disturbance>;
  readonly isSame?: FaultInjector['isSame'];
}

/** A case cannot go on, since another has ended that had something in common with it. */
export class CompanionLeftError extends Error {
  override readonly name = 'CompanionLeftError';
}

/** A change for which all must have come this far. */
interface SharedStep {
  readonly what: string;
  readonly ended: PromiseWithResolvers<void>;
  arrived: number;
}

interface SharedFault {
  readonly fault: FaultSpec;
  readonly disturbance: Promise<Disturbance>;
  readonly held: () => Promise<boolean>;
  readonly mended: PromiseWithResolvers<void>;
  users: number;
}

export class Company {
  readonly #members = new Set<Member>();
  readonly #waiting: { readonly stage: Stage; readonly go: () => void }[] = [];
  readonly #faults: SharedFault[] = [];
  readonly #steps: SharedStep[] = [];
  /** Members that ever joined: whoever has left is missed in every later step. */
  #size = 0;
  /** Steps that were taken by whoever left first. */
  #lastStep = Infinity;

  /** Before anybody has arrived anywhere. */
  join(): Member {
    const member = new Member(this);
    this.#members.add(member);
    this.#size++;
    return member;
  }

  /** Resolves once no member is before this stage any more. */
  async allAt(stage: Stage): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ stage, go: resolve });
    this.look();
    return promise;
  }

  look(): void {
    const slowest = Math.min(...[...this.#members].map(({ stage }) => STAGES.indexOf(stage)));
    const free = this.#waiting.filter(({ stage }) => STAGES.indexOf(stage) <= slowest);
    for (const one of free) {
      this.#waiting.splice(this.#waiting.indexOf(one), 1);
      one.go();
    }
  }

  forget(member: Member): void {
    this.#members.delete(member);
    this.#lastStep = Math.min(this.#lastStep, member.steps);
    for (const { what, ended } of this.#steps.slice(this.#lastStep)) ended.reject(leftBefore(what));
    this.look();
  }

  /** The last to come takes the step for all. */
  async inStep(index: number, what: string, change: () => Promise<void>): Promise<void> {
    if (index >= this.#lastStep) throw leftBefore(what);
    const step = (this.#steps[index] ??= { what, ended: Promise.withResolvers(), arrived: 0 });
    step.arrived++;
    if (step.arrived === this.#size) change().then(step.ended.resolve, step.ended.reject);
    return step.ended.promise;
  }

  async settle(): Promise<void> {
    if (this.#members.size > 0) return;
    await allEnded(
      this.#faults
        .splice(0)
        .map(async ({ disturbance }) => (await disturbance.catch(() => undefined))?.settle?.()),
    );
  }

  /** The same fault is injected once. */
  share(fault: FaultSpec, { inject, isSame = isDeepStrictEqual }: SharedInjection): SharedFault {
    const known = this.#faults.find((one) => one.users > 0 && isSame(one.fault, fault));
    if (known) {
      known.users++;
      return known;
    }
    const disturbance = inject();
    let held: Promise<boolean> | undefined;
    const shared: SharedFault = {
      fault,
      disturbance,
      held: () => (held ??= disturbance.then((one) => one.tookHold())),
      mended: Promise.withResolvers<void>(),
      users: 1,
    };
    // Whoever waits hears of it; when nobody does, it is nobody's failure.
    shared.mended.promise.catch(() => undefined);
    this.#faults.push(shared);
    return shared;
  }
}

const leftBefore = (what: string): CompanionLeftError =>
  new CompanionLeftError(`A case that runs together with it ended before this: ${what}`);

/** One case among those that run together. */
export class Member {
  readonly #company: Company;
  stage: Stage = 'controls';
  /** Steps in common that it has begun. */
  steps = 0;
  #left = false;

  constructor(company: Company) {
    this.#company = company;
  }

  /** The own controls have been had. Resolves once those of all others have, too. */
  readyForFault(): Promise<void> {
    return this.#arriveAt('ready');
  }

  /** Resolves once all others have seen enough, too. */
  seenEnough(): Promise<void> {
    return this.#arriveAt('done');
  }

  async #arriveAt(stage: Stage): Promise<void> {
    if (STAGES.indexOf(stage) > STAGES.indexOf(this.stage)) this.stage = stage;
    await this.#company.allAt(stage);
    if (this.stage === 'ready') this.stage = 'watching';
  }

  /** What all have in common is changed by one of them, once all have come this far. */
  inStep(what: string, change: () => Promise<void>): Promise<void> {
    return this.#company.inStep(this.steps++, what, change);
  }

  async inject(fault: FaultSpec, injection: SharedInjection): Promise<SharedDisturbance> {
    const shared = this.#company.share(fault, injection);
    let disturbance: Disturbance;
    try {
      disturbance = await shared.disturbance;
    } catch (error) {
      shared.users = 0;
      throw error;
    }
    let released = false;
    return {
      tookHold: shared.held,
      mend: async (): Promise<boolean> => {
        if (!released) {
          released = true;
          shared.users--;
          if (shared.users === 0) disturbance.mend().then(shared.mended.resolve, shared.mended.reject);
        }
        if (shared.users > 0 && this.#left) return false;
        await shared.mended.promise;
        return true;
      },
      settle: () => this.#company.settle(),
    };
  }

  /** It ends, or waits for nobody any more. */
  leave(): void {
    this.#left = true;
    this.#company.forget(this);
  }
}
