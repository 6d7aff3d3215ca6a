/** From what was seen under each fault to what the checks are worth. Pure. */
import type {
  Aim,
  BatchObservation,
  BlastRadius,
  DetectionLimit,
  FalseAlarm,
  Proof,
  ProofFindings,
  ProofObservation,
  ProofOutcome,
  Rate,
  Sighting,
  Sightings,
} from '../model/prove.ts';
import { describeFaults } from '../model/prove.ts';
import { upperBoundOfRate } from '../model/statistics.ts';
import { type Verdict, failed, inconclusive, passed, skipped } from '../model/verdict.ts';

export function findingsOf(observation: ProofObservation): ProofFindings {
  const { batches, healthy, withoutFaults, leftovers } = observation;
  const proofs = batches.flatMap((batch) => batch.aims.map((aim) => proofOf(aim, batch, healthy)));
  const gross = proofs.filter((proof) => proof.gross && wasTried(proof));
  const rates = falseAlarmRates(observation);
  const all = Object.values(rates);
  return {
    proofs,
    falseAlarms: alarmsOf(observation, 'failed'),
    inconclusive: alarmsOf(observation, 'inconclusive'),
    falseAlarmRates: rates,
    falseAlarmRate: rateOf(sum(all.map(({ seen }) => seen)), sum(all.map(({ tries }) => tries))),
    missRate: rateOf(gross.filter(({ outcome }) => outcome === 'missed').length, gross.length),
    limits: limitsOf(proofs),
    blastRadii: batches.flatMap((batch) => blastRadiusOf(batch, healthy)),
    withoutFaults,
    leftovers,
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const rateOf = (seen: number, tries: number): Rate => ({
  seen,
  tries,
  upperBound: upperBoundOfRate(seen, tries),
});

const TRIED: ReadonlySet<ProofOutcome> = new Set(['caught', 'caught otherwise', 'missed']);
const wasTried = ({ outcome }: Proof): boolean => TRIED.has(outcome);

function proofOf(aim: Aim, batch: BatchObservation, healthy: Sightings): Proof {
  const during = batch.during[aim.case] ?? [];
  const after = batch.after[aim.case] ?? [];
  const seen = during.at(-1);
  const last = after.at(-1);
  return {
    ...aim,
    ...outcomeOf(aim, batch, seen, healthy[aim.case] ?? []),
    ...(seen && { verdict: seen.verdict }),
    durationMs: sum(during.map(({ durationMs }) => durationMs)),
    ...(last && { recovered: last.verdict.status === 'passed', attemptsToRecover: after.length }),
  };
}

/** So begins the reason of what a fault could not prove, whatever became of it. */
export const WITHOUT_FAULT = 'Without the fault it is';

function outcomeOf(
  { cause }: Aim,
  { injection }: BatchObservation,
  seen: Sighting | undefined,
  healthy: readonly Sighting[],
): Pick<Proof, 'outcome' | 'reason'> {
  if (injection.outcome === 'not applicable') return { outcome: 'not applicable', reason: injection.reason };
  const before = healthy.at(-1)?.verdict;
  if (before && before.status !== 'passed') {
    const why = `${before.status}${before.cause ? ` (${before.cause})` : ''}`;
    return { outcome: 'not proved', reason: `${WITHOUT_FAULT} ${why}` };
  }
  if (injection.outcome === 'failed') return { outcome: 'not proved', reason: injection.reason };
  if (injection.outcome === 'did not hold')
    return { outcome: 'not proved', reason: 'The fault did not take hold' };
  if (!before) return { outcome: 'not proved', reason: `${WITHOUT_FAULT} not run` };
  if (!seen) return { outcome: 'not proved', reason: 'It was not run under the fault' };
  const { verdict } = seen;
  const said = verdict.cause ? ` (${verdict.cause})` : '';
  switch (verdict.status) {
    case 'failed':
      return verdict.cause === cause
        ? { outcome: 'caught', reason: verdict.reason }
        : {
            outcome: 'caught otherwise',
            reason: `Expected ${cause}, got ${verdict.cause}: ${verdict.reason}`,
          };
    case 'skipped':
      return { outcome: 'not applicable', reason: verdict.reason };
    default:
      return { outcome: 'missed', reason: `It is ${verdict.status}${said}: ${verdict.reason}` };
  }
}

/** On the healthy system, and once a fault was mended: there the first attempts may still see it go. */
function alarmsOf({ healthy, batches }: ProofObservation, status: Verdict['status']): FalseAlarm[] {
  return [
    ...Object.entries(healthy).flatMap(([id, sightings]) =>
      sightings
        .filter(({ verdict }) => verdict.status === status)
        .map(({ verdict }) => ({ case: id, verdict })),
    ),
    ...batches.flatMap(({ faults, after }) =>
      Object.entries(after).flatMap(([id, sightings]) => {
        const verdict = sightings.at(-1)?.verdict;
        return verdict?.status === status ? [{ case: id, afterFault: describeFaults(faults), verdict }] : [];
      }),
    ),
  ];
}

function falseAlarmRates({ cases, healthy }: ProofObservation): Record<string, Rate> {
  const byCheck = Map.groupBy(cases, ({ check }) => check);
  return Object.fromEntries(
    [...byCheck].map(([check, own]) => {
      // What came to no verdict raised no alarm, but proves nothing either.
      const conclusive = own
        .flatMap(({ id }) => healthy[id] ?? [])
        .filter(({ verdict }) => verdict.status === 'passed' || verdict.status === 'failed');
      const alarms = conclusive.filter(({ verdict }) => verdict.status === 'failed');
      return [check, rateOf(alarms.length, conclusive.length)];
    }),
  );
}

/** Sizes come largest first. */
function limitsOf(proofs: readonly Proof[]): DetectionLimit[] {
  const sized = proofs.filter((proof) => proof.size !== undefined && wasTried(proof));
  const groups = Map.groupBy(sized, ({ case: id, kind, cause }) => JSON.stringify([id, kind, cause]));
  return [...groups.values()].map((grades) => {
    const { check, kind, cause } = grades[0] as Proof;
    const miss = grades.findIndex(({ outcome }) => outcome === 'missed');
    const caught = grades.slice(0, miss === -1 ? Infinity : miss).at(-1)?.size;
    const missed = miss === -1 ? undefined : grades[miss]?.size;
    return {
      check,
      kind,
      cause,
      ...(caught !== undefined && { caught }),
      ...(missed !== undefined && { missed }),
    };
  });
}

function blastRadiusOf({ faults, aims, during }: BatchObservation, healthy: Sightings): BlastRadius[] {
  const aimed = new Set(aims.map((aim) => aim.case));
  const others = Object.entries(during).filter(([id]) => !aimed.has(id));
  if (others.length === 0) return [];
  return [
    {
      fault: describeFaults(faults),
      noticedBy: others.flatMap(([id, sightings]) => {
        const verdict = sightings.at(-1)?.verdict;
        const passedBefore = healthy[id]?.at(-1)?.verdict.status === 'passed';
        if (!verdict || !passedBefore || verdict.status === 'passed' || verdict.status === 'skipped')
          return [];
        const { status, cause } = verdict;
        return [{ case: id, status, ...(cause && { cause }) }];
      }),
    },
  ];
}

/** Missed or a false alarm: failed. What could not be proved: inconclusive. No fault at all: nothing was executed. */
export function verdictOfProof(findings: ProofFindings): Verdict {
  const { proofs, falseAlarms, leftovers } = findings;
  const count = (outcome: ProofOutcome): number =>
    proofs.filter((proof) => proof.gross && proof.outcome === outcome).length;
  const figures = Object.fromEntries(
    (['caught', 'caught otherwise', 'missed', 'not applicable', 'not proved'] as const).map((outcome) => [
      outcome,
      { value: count(outcome), unit: 'faults' },
    ]),
  );
  const missed = count('missed');
  if (missed + falseAlarms.length > 0) {
    return failed(
      missed > 0 ? 'fault-missed' : 'false-alarm',
      `${missed} gross faults missed, ${falseAlarms.length} false alarms`,
      {
        expected: 'every gross fault caught, no false alarm',
        seen: [
          ...proofs
            .filter((proof) => proof.gross && proof.outcome === 'missed')
            .map(({ case: id, faults }) => `${id} misses ${describeFaults(faults)}`),
          ...falseAlarms.map(({ case: id, verdict }) => `${id}: ${verdict.cause ?? verdict.reason}`),
        ].join('; '),
        figures,
      },
    );
  }
  const unproved = count('not proved') + findings.inconclusive.length;
  if (unproved > 0 || leftovers.length > 0) {
    const first = proofs.find((proof) => proof.gross && proof.outcome === 'not proved');
    const reason =
      leftovers[0] ??
      (first ? `${first.case}: ${first.reason}` : `${findings.inconclusive[0]?.case} came to no verdict`);
    return inconclusive('control-failed', `Not everything could be proved: ${reason}`, { figures });
  }
  const caught = count('caught') + count('caught otherwise');
  return caught === 0
    ? skipped('no fault could be injected')
    : passed(`All ${caught} gross faults were caught, and there was no false alarm`, figures);
}
