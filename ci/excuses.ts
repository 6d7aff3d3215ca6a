/** What a machine may be to blame for, where real clusters are tested. Pure. */
import type { FalseAlarm, ProofFindings } from '../lib/model/prove.ts';
import { WITHOUT_FAULT } from '../lib/run/proveJudge.ts';

/** Nothing of the network was seen to be wrong: the machine had no time, or measured too unevenly. */
const EXCUSED: ReadonlySet<string> = new Set(['cpu-saturated', 'spread-too-wide']);

export const isExcused = (cause: string): boolean => EXCUSED.has(cause);

/** Of `prove.json`, what says why not everything could be proved. */
export type ProofReport = Pick<ProofFindings, 'proofs' | 'inconclusive' | 'leftovers'>;

const causeOf = ({ verdict }: FalseAlarm): string => verdict.cause ?? 'unknown';

/**
 * What of a proof without a verdict is more than a machine without time: a fault that did not take hold or that nobody could
 * inject, a case that came to no verdict for another cause, and whatever was not taken back.
 */
export function unexcusedIn({ proofs, inconclusive, leftovers }: ProofReport): string[] {
  const open = inconclusive.filter((one) => !isExcused(causeOf(one)));
  // Of a case that the machine kept from passing without the fault nothing could be proved with it.
  const hindered = new Set(
    inconclusive
      .filter((one) => one.afterFault === undefined && isExcused(causeOf(one)))
      .map(({ case: id }) => id),
  );
  const unproved = proofs.filter(
    (proof) =>
      proof.gross &&
      proof.outcome === 'not proved' &&
      !(hindered.has(proof.case) && proof.reason.startsWith(WITHOUT_FAULT)),
  );
  return [
    ...leftovers.map((left) => `not taken back: ${left}`),
    ...open.map((one) => `${one.case} came to no verdict: ${causeOf(one)}: ${one.verdict.reason}`),
    ...unproved.map((proof) => `${proof.case}, ${proof.kind}: ${proof.reason}`),
  ];
}
