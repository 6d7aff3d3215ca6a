/** Runs what has to run: steps beside each other as far as their needs and lanes allow, stamped when they are done. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { $ } from 'zx';
import { writeAtomically } from '../../lib/system/files.ts';
import { LABEL } from './images.ts';
import { jobFor } from './job.ts';
import type { Places } from './places.ts';
import type { Decision, Lane, Step } from './steps.ts';

/** Compilers use all cores; two at once fill the gaps that linking leaves. Downloads hardly compute. */
const AT_ONCE: Readonly<Record<Lane, number>> = { network: 3, compile: 2, engine: 2 };

export interface Outcome {
  readonly step: Step;
  readonly built: boolean;
  readonly tookMs: number;
}

export interface Watcher {
  started(step: Step): void;
  ended(step: Step, tookMs: number): void;
}

const stampFile = (places: Places, step: Step): string => path.join(places.stamps, `${step.id}.json`);

/** Whether a step's results are there and were made from these inputs. */
export async function isUpToDate(places: Places, step: Step, hash: string): Promise<boolean> {
  if (step.image && (await inputsOfImage(step.image)) !== hash) return false;
  if (!step.files) return step.image !== undefined;
  if (!step.files.every((file) => existsSync(file))) return false;
  try {
    const stamp = JSON.parse(await readFile(stampFile(places, step), 'utf8')) as { hash: string };
    return stamp.hash === hash;
  } catch {
    // Without a readable stamp it was interrupted, or never run.
    return false;
  }
}

async function inputsOfImage(image: string): Promise<string | undefined> {
  const format = `{{index .Config.Labels "${LABEL.inputs}"}}`;
  const answer = await $({ nothrow: true, quiet: true })`docker image inspect --format ${format} ${image}`;
  return answer.exitCode === 0 ? answer.stdout.trim() : undefined;
}

/**
 * @returns what was done, in the order in which it ended
 * @throws the first failure, after what was under way beside it has been stopped
 */
export async function runSteps(
  decisions: readonly Decision[],
  places: Places,
  signal: AbortSignal,
  watcher: Watcher,
): Promise<Outcome[]> {
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const outcomes: Outcome[] = [];
  const running = new Map<string, Promise<void>>();
  const waiting: Record<Lane, (() => void)[]> = { network: [], compile: [], engine: [] };
  const free: Record<Lane, number> = { ...AT_ONCE };

  const enter = async (lane: Lane): Promise<void> => {
    if (free[lane] > 0) free[lane]--;
    else await new Promise<void>((resolve) => waiting[lane].push(resolve));
  };
  const leave = (lane: Lane): void => {
    const next = waiting[lane].shift();
    if (next) next();
    else free[lane]++;
  };

  const perform = async ({ step, hash, run }: Decision): Promise<void> => {
    if (!run) {
      outcomes.push({ step, built: false, tookMs: 0 });
      return;
    }
    for (const need of step.needs) await running.get(need);
    await enter(step.lane);
    try {
      stop.throwIfAborted();
      const began = performance.now();
      watcher.started(step);
      // Before anything changes, so that an interruption leaves no stamp behind.
      await rm(stampFile(places, step), { force: true });
      for (const file of step.files ?? []) await mkdir(path.dirname(file), { recursive: true });
      const job = jobFor(step.id, hash, places, stop);
      try {
        await step.run(job);
      } finally {
        job.close();
      }
      const tookMs = Math.round(performance.now() - began);
      const at = new Date().toISOString();
      await writeAtomically(stampFile(places, step), `${JSON.stringify({ hash, at, tookMs })}\n`);
      outcomes.push({ step, built: true, tookMs });
      watcher.ended(step, tookMs);
    } finally {
      leave(step.lane);
    }
  };

  let failure: unknown;
  for (const decision of decisions) {
    const performed = perform(decision);
    running.set(decision.step.id, performed);
    performed.catch((error: unknown) => {
      failure ??= error;
      failed.abort(error);
    });
  }
  await Promise.allSettled(running.values());
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  return outcomes;
}
