/** Steps, what each needs, and which of them have to run: data and pure functions. */
import { type Inputs, hashOf } from './inputs.ts';
import type { Job } from './job.ts';

/** What a step waits for most of its time; as many run at once as `run.ts` says for their lane. */
export type Lane = 'network' | 'compile' | 'engine';

export interface Step {
  /** Also the name of its stamp and log: letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  readonly lane: Lane;
  readonly needs: readonly string[];
  /** What the result depends on, besides the inputs of the steps that it needs. */
  readonly inputs: Inputs;
  /** Files that it makes, absolute; they are there after it has run. */
  readonly files?: readonly string[];
  /** Image that it makes in the engine; it carries the hash as a label. */
  readonly image?: string;
  run(job: Job): Promise<void>;
}

/** Hash of every step, which changes with anything that it or a step before it is made from. */
export function hashesOf(steps: readonly Step[]): Map<string, string> {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const hashes = new Map<string, string>();
  const visit = (id: string, under: readonly string[]): string => {
    const known = hashes.get(id);
    if (known !== undefined) return known;
    const step = byId.get(id);
    if (!step) throw new Error(`${under.at(-1) ?? 'a part'} needs ${id}, which is no step`);
    if (under.includes(id)) throw new Error(`steps need each other: ${[...under, id].join(', ')}`);
    const needed = Object.fromEntries(step.needs.map((need) => [need, visit(need, [...under, id])]));
    const hash = hashOf({ id, ...step.inputs }, needed);
    hashes.set(id, hash);
    return hash;
  };
  for (const { id } of steps) visit(id, []);
  return hashes;
}

export interface Decision {
  readonly step: Step;
  readonly hash: string;
  readonly run: boolean;
}

/**
 * From the wanted steps down: one that is up to date stays, and what only it needs is not looked at, so that
 * intermediate results may be missing. @returns needed steps first
 */
export async function decide(
  steps: readonly Step[],
  wanted: readonly string[],
  isUpToDate: (step: Step, hash: string) => Promise<boolean>,
): Promise<Decision[]> {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const hashes = hashesOf(steps);
  const decisions = new Map<string, Decision>();
  const visit = async (id: string): Promise<void> => {
    if (decisions.has(id)) return;
    const step = byId.get(id);
    const hash = hashes.get(id);
    if (!step || hash === undefined) throw new Error(`${id} is no step`);
    const run = !(await isUpToDate(step, hash));
    if (run) for (const need of step.needs) await visit(need);
    decisions.set(id, { step, hash, run });
  };
  for (const id of wanted) await visit(id);
  return [...decisions.values()];
}
