/**
 * Shows that checks can fail: each is run on the healthy system, under every fault that it names, and once more when
 * that is mended. To the run around it the whole proof is one case, so set-up, record, signals and clean-up are those
 * of every run, and faults are undone as those of any check.
 */
import path from 'node:path';
import { type AnyCheck, type Toolkit, defineCheck } from '../model/check.ts';
import type { Fleet, Ledger, Provider, Underlay } from '../model/cluster.ts';
import { InternalError, NotApplicableError, UserError, messageOf } from '../model/errors.ts';
import {
  type Batch,
  type BatchObservation,
  type ProofObservation,
  type ProveResults,
  type Sighting,
  describeFaults,
} from '../model/prove.ts';
import type { PlannedCase } from '../model/record.ts';
import type { RunResults } from '../model/results.ts';
import type { RunSpec } from '../model/spec.ts';
import type { Verdict } from '../model/verdict.ts';
import { openAppendable } from '../system/storage.ts';
import { type RunDependencies, executeRun, planRun } from './execute.ts';
import { mergeFixtures } from './fixtures.ts';
import { Journal } from './journal.ts';
import { findingsOf, verdictOfProof } from './proveJudge.ts';
import { sizedBy } from './proveFaults.ts';
import { type ProofPlan, planProof } from './provePlan.ts';
import { RecordWriter } from './record.ts';
import { Redactor } from './redact.ts';
import { type CheckRegistry, registryOf } from './registry.ts';
import { runCase } from './runCase.ts';
import { besideEachOther, inStartOrder, mayRepeat, runSchedule } from './schedule.ts';
import { loadAttachable } from './state.ts';
import { type World, toolkitFor } from './toolkit.ts';

/** A verdict that a busy machine spoils is asked for again, at most this often in all. */
const ATTEMPTS = 3;
/** Caches, sessions and health checks need a moment after mending. */
const PAUSE_MS = 1_000;
/** Headers that WireGuard puts around a packet, with those of UDP and of IP. */
const WIREGUARD_OVERHEAD = { ipv4: 60, ipv6: 80 } as const;
/** Only `--deadline` limits a proof: how long it takes depends on how many cases there are. */
const UNLIMITED_MS = 24 * 60 * 60 * 1_000;

export interface ProveOptions {
  /** Globs over kinds of faults; with none of them all that the selected checks name. */
  readonly faults: readonly string[];
  /** Every size of each fault; else the largest. */
  readonly graded: boolean;
  /** Run the other cases under each fault too. */
  readonly blastRadius: boolean;
  /** Runs on the healthy system before the first fault. */
  readonly repeat: number;
}

export interface ProveDependencies extends RunDependencies {
  readonly progress: (text: string) => void;
}

/** @throws UserError when the proof cannot be planned; what goes wrong later is in the results */
export async function prove(
  asked: RunSpec,
  options: ProveOptions,
  dependencies: ProveDependencies,
): Promise<ProveResults> {
  assertMayBreak(asked);
  const attached =
    asked.attach === undefined ? undefined : await loadAttachable(dependencies.stateFolder, asked.attach);
  const spec: RunSpec = attached ? { ...asked, ...attached.spec } : asked;
  const registry = registryOf(dependencies.suites);
  const { cases, requirements } = planRun(spec, dependencies);
  const plan = planProof(cases, {
    spec,
    registry,
    pathMtu: requirements.nodeMtu,
    overhead: overheadOf(dependencies.underlay, spec),
    ...options,
  });
  if (plan.batches.length === 0) {
    throw new UserError('None of the selected checks names a fault', {
      where: '--level, --suite, --check, --skip',
      remedy: '`mcnet-conformance list faults` shows which checks do',
    });
  }
  const redactor = dependencies.redactor ?? new Redactor();
  const proving = new Proving({ plan, options, registry, spec, redactor, dependencies });
  const capture = capturing(dependencies.provider);
  const standing = mergeFixtures(plan.cases, registry, spec.topology.members.length);
  let conducting: Promise<unknown> = Promise.resolve();
  const suite = proofSuite(plan, registry, (toolkit) => {
    const { fleet, ledger } = capture.made();
    const world = {
      ...dependencies,
      fleet,
      ledger,
      configuredPathMtu: requirements.pathMtu,
      services: standing.services,
      intents: standing.intents,
      intentsDue: toolkit.standingDue,
    };
    const result = proving.conduct(toolkit, world);
    conducting = result.catch(() => undefined);
    return result;
  });
  const everything = { level: 'all', suites: [], checks: [], skips: [] } as const;
  const { results } = await executeRun(
    { ...asked, ...everything },
    { ...dependencies, provider: capture.provider, suites: [suite], redactor },
  );
  // An interrupted run does not wait for its case; what the case still takes back must not be cut off.
  await conducting;
  return resultsOfProof(results, proving.observation);
}

/** @throws UserError */
export function assertMayBreak({ provider, kubernetes }: Pick<RunSpec, 'provider' | 'kubernetes'>): void {
  if (provider !== 'contexts' || kubernetes.allowFaults) return;
  throw new UserError('These clusters were not created by this tool, so it breaks nothing in them', {
    where: '--context',
    remedy: 'Give --allow-faults if they may be broken, within the namespaces of this tool',
  });
}

/** Bytes that the underlay puts around a packet on the wan. */
export function overheadOf(underlay: Underlay, { families }: Pick<RunSpec, 'families'>): number {
  if (underlay.name !== 'wireguard') return 0;
  return WIREGUARD_OVERHEAD[families.includes('ipv4') ? 'ipv4' : 'ipv6'];
}

/** The same provider, whose fleet and ledger can be asked for afterwards. */
export function capturing(provider: Provider): {
  readonly provider: Provider;
  readonly made: () => { fleet: Fleet; ledger: Ledger };
} {
  let made: { fleet: Fleet; ledger: Ledger } | undefined;
  return {
    provider: {
      ...provider,
      create: async (options) => {
        const fleet = await provider.create(options);
        made = { fleet, ledger: options.ledger };
        return fleet;
      },
      attach: async (run, options) => {
        const fleet = await provider.attach(run, options);
        made = { fleet, ledger: options.ledger };
        return fleet;
      },
    },
    made: () => {
      if (!made) throw new InternalError('there is no fleet yet');
      return made;
    },
  };
}

function proofSuite(
  plan: ProofPlan,
  registry: CheckRegistry,
  conduct: (toolkit: Toolkit) => Promise<ProofObservation>,
) {
  const checks = [...new Set(plan.cases.map(({ check }) => check))].map((id): AnyCheck => registry.get(id)!);
  const proof = defineCheck({
    id: 'prove.faults',
    title: 'Every check notices the faults that it names, and no others',
    level: 'core',
    scope: 'fleet',
    exclusive: 'fleet',
    uses: checks.flatMap((check) => check.uses ?? []),
    timeoutMs: UNLIMITED_MS,
    withoutFaults: 'It injects those of all other checks',
    hint: 'Run the check that missed with --attach while its fault stands',
    observe: conduct,
    judge: (observation: ProofObservation): Verdict => verdictOfProof(findingsOf(observation)),
  });
  return { id: 'prove', title: 'Checks are shown able to fail', checks: [proof] };
}

export function resultsOfProof(results: RunResults, observation: ProofObservation): ProveResults {
  const findings = findingsOf(observation);
  return { ...findings, run: results, verdict: results.cases[0]?.verdict ?? verdictOfProof(findings) };
}

interface ProvingOptions {
  readonly plan: ProofPlan;
  readonly options: ProveOptions;
  readonly registry: CheckRegistry;
  readonly spec: RunSpec;
  readonly redactor: Redactor;
  readonly dependencies: ProveDependencies;
}

/** The proof while it goes on; what was seen so far is there even when it is interrupted. */
class Proving {
  readonly #with: ProvingOptions;
  readonly #healthy: Record<string, Sighting[]> = {};
  readonly #batches: BatchObservation[] = [];
  readonly #leftovers: string[] = [];
  readonly #journal: Journal;
  readonly #writer: RecordWriter;
  #runs = 0;

  constructor(given: ProvingOptions) {
    this.#with = given;
    const { dependencies, redactor, spec } = given;
    this.#writer = new RecordWriter({
      run: 'prove',
      clock: dependencies.clock,
      redactor,
      open: () => openAppendable(path.join(spec.out, 'prove-steps.ndjson')),
    });
    this.#journal = new Journal(this.#writer, []);
    // The record of the run says who was tested; here follows only what each case did.
    this.#writer.begin([]);
  }

  get observation(): ProofObservation {
    const { cases, withoutFaults, batches } = this.#with.plan;
    const unfinished = { outcome: 'failed', reason: 'Not executed: the proof ended before' } as const;
    const open = batches.slice(this.#batches.length);
    return {
      cases: cases.map(({ id, check }) => ({ id, check })),
      withoutFaults,
      healthy: this.#healthy,
      batches: [
        ...this.#batches,
        ...open.map((batch) => ({ ...batch, injection: unfinished, during: {}, after: {} })),
      ],
      leftovers: this.#leftovers,
    };
  }

  async conduct(toolkit: Toolkit, system: Omit<World, 'record'>): Promise<ProofObservation> {
    const world: World = { ...system, record: (body) => this.#journal.record(body) };
    try {
      await this.#runHealthy(world, toolkit);
      for (const batch of this.#with.plan.batches) {
        await this.#tryBatch(batch, world, toolkit);
        if (this.#leftovers.length > 0) break;
      }
      return this.observation;
    } finally {
      await this.#writer.close();
    }
  }

  async #runHealthy(world: World, { signal }: Toolkit): Promise<void> {
    const { plan, options, dependencies } = this.#with;
    const keep = (sightings: Record<string, Sighting>): void => {
      for (const [id, sighting] of Object.entries(sightings)) (this.#healthy[id] ??= []).push(sighting);
    };
    for (let round = 1; round <= options.repeat; round++) {
      keep(await this.#runAll(plan.cases, world, signal, isPassed));
      dependencies.progress(
        `healthy ${round}/${options.repeat}: ${plan.cases.filter(({ id }) => this.#isSound(id)).length} of ${plan.cases.length} cases pass`,
      );
    }
    for (let attempt = options.repeat + 1; attempt <= options.repeat + ATTEMPTS - 1; attempt++) {
      const open = plan.cases.filter(({ id }) => !this.#isSound(id));
      if (open.length === 0) return;
      keep(await this.#runAll(open, world, signal, isPassed));
    }
  }

  #isSound(id: string): boolean {
    return this.#healthy[id]?.at(-1)?.verdict.status === 'passed';
  }

  async #tryBatch(planned: Batch, world: World, toolkit: Toolkit): Promise<void> {
    const { plan, options } = this.#with;
    const batch = this.#sized(planned);
    const aimed = new Set(batch.aims.map((aim) => aim.case));
    const cases = plan.cases.filter(({ id }) => this.#isSound(id) && (aimed.has(id) || options.blastRadius));
    const during: Record<string, Sighting[]> = {};
    const after: Record<string, Sighting[]> = {};
    if (!cases.some(({ id }) => aimed.has(id))) {
      const reason = 'Not injected: none of its cases passes without it';
      return this.#keep({ ...batch, injection: { outcome: 'failed', reason }, during, after });
    }
    const { injection, mend } = await this.#inject(batch, toolkit);
    if (injection.outcome === 'held') {
      const { signal } = toolkit;
      await this.#runUntil(cases, during, {
        world,
        signal,
        isWanted: isFailed,
        isEnough: isConclusive,
        pauseMs: 0,
      });
    }
    try {
      await mend();
    } catch (error) {
      this.#leftovers.push(`${describeFaults(batch.faults)}: ${messageOf(error)}`);
    }
    const { signal } = toolkit;
    signal.throwIfAborted();
    if (injection.outcome === 'held' && this.#leftovers.length === 0) {
      await this.#runUntil(cases, after, {
        world,
        signal,
        isWanted: isPassed,
        isEnough: isPassed,
        pauseMs: PAUSE_MS,
      });
    }
    this.#keep({ ...batch, injection, during, after });
  }

  /** Sizes that are relative to what the healthy system can do are known by now, or never. */
  #sized(batch: Batch): Batch {
    const [aim] = batch.aims;
    if (!aim?.relativeTo) return batch;
    const figures = this.#healthy[aim.case]?.at(-1)?.verdict.figures;
    const faults = sizedBy(batch.faults, aim.relativeTo, figures);
    return faults ? { faults, aims: batch.aims.map((one) => ({ ...one, faults })) } : batch;
  }

  #keep(batch: BatchObservation): void {
    this.#batches.push(batch);
    const { plan, dependencies } = this.#with;
    const { proofs } = findingsOf({ ...this.observation, batches: [batch] });
    const counts = [...Map.groupBy(proofs, ({ outcome }) => outcome)].map(
      ([outcome, own]) => `${own.length} ${outcome}`,
    );
    dependencies.progress(
      `fault ${this.#batches.length}/${plan.batches.length}: ${describeFaults(batch.faults)}: ${counts.join(', ')}`,
    );
  }

  async #inject(
    batch: Batch,
    toolkit: Toolkit,
  ): Promise<{ injection: BatchObservation['injection']; mend: () => Promise<void> }> {
    // Injected one after another, waited for beside each other.
    const injections = await Promise.allSettled(batch.faults.map((fault) => toolkit.disturb(fault)));
    toolkit.signal.throwIfAborted();
    const injected = injections.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const mend = async (): Promise<void> => {
      for (const one of injected.toReversed()) await one.mend();
      for (const one of injected) await one.settle();
    };
    const refused = injections.find((one) => one.status === 'rejected');
    if (refused) {
      const outcome = refused.reason instanceof NotApplicableError ? 'not applicable' : 'failed';
      return { injection: { outcome, reason: messageOf(refused.reason) }, mend };
    }
    const held = injected.every((one) => one.held);
    return { injection: { outcome: held ? 'held' : 'did not hold' }, mend };
  }

  /** Runs the cases, and again those of which the last verdict is not enough. */
  async #runUntil(
    cases: readonly PlannedCase[],
    into: Record<string, Sighting[]>,
    how: {
      readonly world: World;
      readonly signal: AbortSignal;
      readonly isWanted: (verdict: Verdict) => boolean;
      readonly isEnough: (verdict: Verdict) => boolean;
      readonly pauseMs: number;
    },
  ): Promise<void> {
    const { clock } = this.#with.dependencies;
    let open = cases;
    for (let attempt = 1; attempt <= ATTEMPTS && open.length > 0; attempt++) {
      if (attempt > 1) await clock.sleep(how.pauseMs, how.signal);
      const sightings = await this.#runAll(open, how.world, how.signal, how.isWanted);
      for (const [id, sighting] of Object.entries(sightings)) (into[id] ??= []).push(sighting);
      open = open.filter(({ id }) => !how.isEnough(sightings[id]!.verdict));
    }
  }

  /** Each case once, beside each other as in a run. Rejects when the run ends meanwhile. */
  async #runAll(
    cases: readonly PlannedCase[],
    world: World,
    signal: AbortSignal,
    isWanted: (verdict: Verdict) => boolean,
  ): Promise<Record<string, Sighting>> {
    const { registry, dependencies, redactor } = this.#with;
    const { clock, concurrency } = dependencies;
    const { limits } = dependencies.provider;
    const { topology } = world.fleet;
    const checkOf = ({ check }: PlannedCase): AnyCheck => registry.get(check)!;
    const journal = this.#journal;
    const sightings: Record<string, Sighting> = {};
    const onLeftover = (what: string): void => void this.#leftovers.push(what);
    await runSchedule({
      ...besideEachOther({ checkOf, topology, limits, concurrency }),
      cases: inStartOrder(cases, checkOf, limits),
      known: new Map(),
      signal,
      settle: () => undefined,
      execute: async (planned, member) => {
        // Journals keep the first verdict of a case; here each run of it is one of its own.
        const id = `${planned.id}#${++this.#runs}`;
        const own = { ...planned, id };
        const check = checkOf(planned);
        const verdict = await runCase(own, check, (within) => toolkitFor(world, own, within, member), {
          clock,
          journal,
          redactor,
          signal,
          onLeftover,
          mayRepeat: mayRepeat(check, member),
        });
        const { durationMs = 0, observed } = journal.outcomes.get(id) ?? {};
        journal.outcomes.delete(id);
        const explains = !isWanted(verdict) && observed !== undefined;
        sightings[planned.id] = { verdict, durationMs, ...(explains && { observed }) };
        return verdict;
      },
    });
    signal.throwIfAborted();
    return sightings;
  }
}

const isPassed = ({ status }: Verdict): boolean => status === 'passed';
const isFailed = ({ status }: Verdict): boolean => status === 'failed';
const isConclusive = ({ status }: Verdict): boolean => status !== 'inconclusive';
