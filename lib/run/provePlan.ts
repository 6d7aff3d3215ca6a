/** What a proof runs: one case of every check (or all), and which faults stand together. Pure. */
import { createHash } from 'node:crypto';
import { suggest } from '../config/nearest.ts';
import type { AnyCheck } from '../model/check.ts';
import { UserError } from '../model/errors.ts';
import type { FaultExpectation, FaultSpec } from '../model/fault.ts';
import { matchesGlob, subjectName } from '../model/ids.ts';
import type { Aim, Batch, ProofObservation } from '../model/prove.ts';
import type { PlannedCase } from '../model/record.ts';
import type { RunSpec } from '../model/spec.ts';
import { type AimContext, faultsFor } from './proveFaults.ts';
import type { CheckRegistry } from './registry.ts';

export interface ProofPlan {
  /** Without what they would depend on: under a fault each speaks for itself. */
  readonly cases: readonly PlannedCase[];
  readonly batches: readonly Batch[];
  readonly withoutFaults: ProofObservation['withoutFaults'];
}

export interface ProofPlanOptions {
  readonly spec: Pick<RunSpec, 'pairs' | 'seed' | 'topology'>;
  readonly registry: CheckRegistry;
  readonly pathMtu: number | undefined;
  readonly overhead: number;
  /** Every size of each fault; else the largest. */
  readonly graded: boolean;
  /** Globs over kinds of faults; with none of them all that the cases name. */
  readonly faults: readonly string[];
  /** Cases that name none of these faults are wanted as well. */
  readonly blastRadius: boolean;
}

/** @throws UserError for the first glob that matches no fault which a case names, with the nearest that one does */
export function planProof(planned: readonly PlannedCase[], options: ProofPlanOptions): ProofPlan {
  const { spec, registry } = options;
  const runnable = planned.filter(({ skip }) => skip === undefined);
  const focus = focusOf(runnable, spec);
  const cases = sample(runnable, focus, spec).map((one) => ({ ...one, dependsOn: [] }));
  const context: AimContext = { ...options, topology: spec.topology, focus };
  const aims = cases.flatMap((one) => aimsOf(one, registry.get(one.check)!, context, options.graded));
  if (options.faults.length === 0) {
    return { cases, batches: batchesOf(aims), withoutFaults: withoutFaults(cases, registry) };
  }
  assertFaultsAreNamed(
    options.faults,
    aims.map(({ kind }) => kind),
  );
  const wanted = aims.filter(({ kind }) => options.faults.some((glob) => matchesGlob(glob, kind)));
  const concerned = new Set(wanted.map((aim) => aim.case));
  return {
    cases: options.blastRadius ? cases : cases.filter(({ id }) => concerned.has(id)),
    batches: batchesOf(wanted),
    withoutFaults: [],
  };
}

function assertFaultsAreNamed(globs: readonly string[], kinds: readonly string[]): void {
  const lost = globs.find((glob) => !kinds.some((kind) => matchesGlob(glob, kind)));
  if (lost === undefined) return;
  throw new UserError(`None of the selected checks names a fault "${lost}"`, {
    where: '--fault',
    remedy: `${suggest(lost, [...new Set(kinds)])}; \`--level all\` adds extended checks, \`mcnet-conformance list faults\` shows all`,
  });
}

type Focus = AimContext['focus'];

const rankOf = (seed: string, subject: string): string =>
  createHash('sha256').update(`${seed} ${subject}`).digest('hex');

/** The pair that wins the draw of the seed: where most cases meet, so that they share faults. */
function focusOf(cases: readonly PlannedCase[], { seed, topology }: ProofPlanOptions['spec']): Focus {
  const pairs = cases.flatMap(({ subject, expectation }) =>
    subject.scope === 'pair' && expectation.path?.kind !== 'forbidden' ? [subject] : [],
  );
  const [first] = pairs.toSorted((a, b) =>
    rankOf(seed, subjectName(a)) < rankOf(seed, subjectName(b)) ? -1 : 1,
  );
  const [one, other] = topology.members.map(({ name }) => name);
  return first ?? { from: one as string, to: other ?? (one as string) };
}

/** One case of each check, that of the focus where there is one; `sample:<n>`: n of each; all when asked for. */
function sample(
  cases: readonly PlannedCase[],
  focus: Focus,
  { pairs, seed }: ProofPlanOptions['spec'],
): PlannedCase[] {
  if (pairs.kind === 'all' && pairs.explicit) return [...cases];
  const count = pairs.kind === 'sample' ? pairs.count : 1;
  const closeness = ({ subject }: PlannedCase): number => {
    if (subject.scope === 'fleet') return 0;
    if (subject.scope === 'cluster') return subject.cluster === focus.to ? 0 : 1;
    return subject.from === focus.from && subject.to === focus.to ? 0 : 1;
  };
  const order = (a: PlannedCase, b: PlannedCase): number =>
    closeness(a) - closeness(b) || (rankOf(seed, a.id) < rankOf(seed, b.id) ? -1 : 1);
  const chosen = new Set(
    [...Map.groupBy(cases, ({ check }) => check).values()].flatMap((own) =>
      own
        .toSorted(order)
        .slice(0, count)
        .map(({ id }) => id),
    ),
  );
  return cases.filter(({ id }) => chosen.has(id));
}

function aimsOf(planned: PlannedCase, check: AnyCheck, context: AimContext, graded: boolean): Aim[] {
  return expectationsOf(check).flatMap(({ kind, cause }) =>
    faultsFor({ kind, cause }, check, planned, context)
      .slice(0, graded ? Infinity : 1)
      .map((sized, index) => ({
        case: planned.id,
        check: check.id,
        kind,
        cause,
        ...sized,
        gross: index === 0,
      })),
  );
}

const expectationsOf = (check: AnyCheck): readonly FaultExpectation[] => check.faults ?? [];

/** Aims of the same faults; services that are not shared are independent of each other, so all of a cluster go together. */
export function batchesOf(aims: readonly Aim[]): Batch[] {
  const groups = Map.groupBy(aims, ({ faults, relativeTo, ...aim }) =>
    JSON.stringify([
      faults.map((fault) =>
        fault.kind === 'service-not-shared' ? { kind: fault.kind, cluster: fault.cluster } : fault,
      )[0],
      // What another case measured makes another fault.
      relativeTo && { ...relativeTo, case: aim.case },
    ]),
  );
  return [...groups.values()].map((own) => ({
    faults: distinct(own.flatMap(({ faults }) => faults)),
    aims: own,
  }));
}

const distinct = (faults: readonly FaultSpec[]): FaultSpec[] => [
  ...new Map(faults.map((fault) => [JSON.stringify(fault), fault])).values(),
];

function withoutFaults(cases: readonly PlannedCase[], registry: CheckRegistry): ProofPlan['withoutFaults'] {
  return [...new Set(cases.map(({ check }) => check))].flatMap((id) => {
    const check = registry.get(id)!;
    if (expectationsOf(check).length > 0) return [];
    return [{ check: id, reason: check.withoutFaults ?? 'it names no fault and no reason' }];
  });
}
