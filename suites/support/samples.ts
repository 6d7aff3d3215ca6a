/** What samples of a client tell, taken one after the other. Pure. */
import type { Sample } from '../../lib/model/probe.ts';

/** No failure for this long counts as recovered, in milliseconds. */
export const CALM_MS = 500;

export const isGood = (sample: Sample): boolean => sample.outcome === 'answered';

/** Clusters that answered between two moments: what was under way at either of them belongs to neither side. */
export function answeringClusters(samples: readonly Sample[], from: number, until: number): string[] {
  const names = samples
    .filter((sample) => isGood(sample) && sample.at >= from && sample.at + sample.latencyMs < until)
    .map((sample) => sample.cluster ?? 'unknown');
  return [...new Set(names)].toSorted();
}

/** From this share of failing requests after it, a calm was none. */
const RELAPSED_SHARE = 1 / 3;

/**
 * Milliseconds from `since` until requests succeeded again: until the end of the failure after which none began for
 * CALM_MS, or none at all; 0 when none failed. Undefined when there was no such calm that lasted.
 */
export function recoveryTime(samples: readonly Sample[], since: number, until: number): number | undefined {
  const window = samples.filter((sample) => sample.at >= since && sample.at < until);
  const failures = window.filter((sample) => !isGood(sample));
  if (window.length === 0) return undefined;
  const calms = [undefined, ...failures].flatMap((failure, index) =>
    (failures[index]?.at ?? until) - (failure?.at ?? since) > CALM_MS ? [index] : [],
  );
  const endsGood = isGood(window.at(-1) as Sample);
  // Where every other request fails, some calm comes by chance: the first that lasts counts.
  for (const recovered of calms.length > 0 ? calms : endsGood ? [failures.length] : []) {
    const lastFailure = failures[recovered - 1];
    const rest = window.filter(({ at }) => at > (lastFailure?.at ?? Number.NEGATIVE_INFINITY));
    if ((failures.length - recovered) / rest.length >= RELAPSED_SHARE) continue;
    return lastFailure ? lastFailure.at + lastFailure.latencyMs - since : 0;
  }
  return undefined;
}
