/** A run from its specification to its end: everything that is created is undone, whatever happens. */
import path from 'node:path';
import type { Budget } from '../model/budgets.ts';
import type { AnyCheck, Suite } from '../model/check.ts';
import type {
  Cluster,
  Feature,
  Fleet,
  KubernetesCluster,
  Profile,
  Provider,
  Requirements,
  Resource,
  Underlay,
} from '../model/cluster.ts';
import { InterruptedError, UserError, messageOf } from '../model/errors.ts';
import { clusterOf } from '../model/injection.ts';
import { newRunId } from '../model/ids.ts';
import type { PlannedCase, RecordBody, RunSubject } from '../model/record.ts';
import type { RunObserver, RunResults } from '../model/results.ts';
import type { RunSpec } from '../model/spec.ts';
import { type Figures, type Verdict, inconclusive, skipped } from '../model/verdict.ts';
import { keyOf } from '../model/workload.ts';
import { type Clock, randomBelow } from '../system/clock.ts';
import { quoteCommand } from '../system/commands.ts';
import { writeAtomically } from '../system/files.ts';
import { type AppendableFile, openAppendable } from '../system/storage.ts';
import { type Deadline, deadlineAfter } from './deadline.ts';
import { DROPS_LIMIT_MS, endpointsOf, withDrops as dropsWithin } from './drops.ts';
import { type Fixtures, mergeFixtures } from './fixtures.ts';
import { inexpressible } from './handlers.ts';
import { Journal } from './journal.ts';
import { thisProcess } from './output.ts';
import { type Plan, declaredBudgets, planCases, withBudgets } from './plan.ts';
import { RecordWriter } from './record.ts';
import { Redactor } from './redact.ts';
import { type CheckRegistry, registryOf } from './registry.ts';
import { assertServes, mergeRequirements } from './requirements.ts';
import { resultsOf } from './results.ts';
import { type CaseRunner, runCase, unfinished } from './runCase.ts';
import { besideEachOther, dependencyFailed, inStartOrder, mayRepeat, runSchedule } from './schedule.ts';
import { type SetUp, setUp } from './setUp.ts';
import { type RunState, EXPIRY_MS, StateFile, attachedSpecOf, loadAttachable } from './state.ts';
import { type CaseToolkit, type World, planToolkit, toolkitFor } from './toolkit.ts';
import { type Undoer, undoAll } from './undoAll.ts';
import { LoadWatch, UsageMeter } from './usage.ts';
import { withinSignal } from '../system/withinSignal.ts';

const VERSIONS_LIMIT_MS = 10_000;
const DIAGNOSE_LIMIT_MS = 15_000;
/** Cases per `plan` line: a hundred clusters have tens of thousands, too many for one line. */
const CASES_PER_LINE = 1_000;

/** The parts of a run that its specification names. */
export interface RunParts {
  readonly provider: Provider;
  readonly underlay: Underlay;
  readonly profile: Profile;
  readonly suites: readonly Suite[];
}

export interface RunDependencies extends RunParts {
  readonly clock: Clock;
  readonly observers: readonly RunObserver[];
  /** Aborted with an InterruptedError on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly stateFolder: string;
  /** Name and version of this program, for the record. */
  readonly tool: string;
  readonly redactor?: Redactor;
  readonly concurrency?: number;
  /** Replaced in tests. */
  readonly undoer?: Undoer;
  readonly openRecord?: () => Promise<AppendableFile>;
}

export interface RunOutcome {
  readonly results: RunResults;
  /** That of the results. */
  readonly exitCode: number;
  /** Why the record is incomplete (a full disk): the verdict then belongs on standard error. */
  readonly recordFailure?: string;
}

export interface RunPlan extends Plan {
  readonly requirements: Requirements;
  readonly fixtures: Fixtures;
}

/** What a run would do; creates nothing. @throws UserError for selections and parts that do not fit */
export function planRun(spec: RunSpec, parts: RunParts): RunPlan {
  const { provider, underlay, profile, suites } = parts;
  assertServes(profile, spec.topology);
  const requirements = mergeRequirements(underlay, profile, spec.families);
  const features: Feature[] = [...new Set([provider, underlay, profile].flatMap((part) => part.features))];
  const plan = planCases({
    suites,
    spec,
    class: profile.conformanceClass,
    features,
    ...(profile.budgets && { budgets: profile.budgets }),
    ...(requirements.pathMtu !== undefined && { configuredPathMtu: requirements.pathMtu }),
    inexpressible: (intent) => inexpressible(parts, intent),
  });
  return {
    ...plan,
    requirements,
    fixtures: mergeFixtures(plan.cases, registryOf(suites), spec.topology.members.length),
  };
}

/**
 * Resolves when everything is over, with results whatever happened after the plan was made.
 * @throws UserError when the run cannot be planned, or the run to attach to is not there or still lives
 */
export async function executeRun(asked: RunSpec, dependencies: RunDependencies): Promise<RunOutcome> {
  const attached =
    asked.attach === undefined ? undefined : await loadAttachable(dependencies.stateFolder, asked.attach);
  const spec = attached ? { ...asked, ...attached.spec } : asked;
  return new Run(spec, dependencies, planRun(spec, dependencies), attached).execute();
}

type Ended = Exclude<RunResults['ended'], 'unfinished'>;

class Run {
  readonly #spec: RunSpec;
  readonly #with: RunDependencies;
  #plan: RunPlan;
  readonly #attached: RunState | undefined;
  readonly #run: string;
  readonly #registry: CheckRegistry;
  readonly #redactor: Redactor;
  readonly #writer: RecordWriter;
  readonly #journal: Journal;
  readonly #deadline: Deadline;
  readonly #leftovers: string[] = [];
  #state: StateFile | undefined;
  #settingUp: Promise<SetUp> | undefined;
  #fleet: Fleet | undefined;
  #subject: RunSubject;
  #ended: Ended = 'completed';
  #error: string | undefined;
  #teardown: RunResults['teardown'] = 'clean';

  constructor(spec: RunSpec, dependencies: RunDependencies, plan: RunPlan, attached: RunState | undefined) {
    this.#spec = spec;
    this.#with = dependencies;
    this.#plan = plan;
    this.#attached = attached;
    this.#run = attached?.run ?? newRunId(randomBelow);
    this.#registry = registryOf(dependencies.suites);
    this.#redactor = dependencies.redactor ?? new Redactor();
    const { clock, signal } = dependencies;
    this.#writer = new RecordWriter({
      run: this.#run,
      clock,
      redactor: this.#redactor,
      open: dependencies.openRecord ?? (() => openAppendable(path.join(spec.out, 'record.ndjson'))),
    });
    this.#journal = new Journal(this.#writer, dependencies.observers);
    this.#deadline =
      spec.deadlineMs === undefined
        ? { signal, clear: () => undefined }
        : deadlineAfter(
            clock,
            spec.deadlineMs,
            () => new InterruptedError('the deadline of the run was reached', 'deadline'),
            signal,
          );
    this.#subject = subjectOf(spec, dependencies, plan.cases, this.#registry);
  }

  get #signal(): AbortSignal {
    return this.#deadline.signal;
  }

  get #open(): PlannedCase[] {
    return this.#plan.cases.filter(({ id }) => !this.#journal.outcomes.has(id));
  }

  async execute(): Promise<RunOutcome> {
    const { cases } = this.#plan;
    this.#journal.announce({ type: 'run.began', run: this.#run, spec: this.#spec, cases });
    try {
      await this.#perform();
    } catch (error) {
      this.#died(error);
    }
    this.#begin();
    this.#settleRest();
    if (this.#fleet && !this.#with.signal.aborted) await this.#diagnose(this.#fleet);
    await this.#tearDown();
    this.#deadline.clear();
    return this.#end();
  }

  async #perform(): Promise<void> {
    for (const planned of this.#plan.cases) {
      if (planned.skip !== undefined) this.#journal.settle(planned, skipped(planned.skip));
    }
    await this.#journal.phase('machine', () => withinSignal(this.#checkMachine(), this.#signal));
    if (!(await this.#judgePlan()) || this.#open.length === 0) return;
    const { fleet, intentsDue } = await this.#bringUp();
    this.#fleet = fleet;
    this.#heedConfiguration();
    await this.#journal.phase('versions', async () => {
      this.#subject = { ...this.#subject, ...(await this.#observeSubject(fleet)) };
    });
    this.#begin();
    const meter = this.#spec.measureUsage && this.#meterOf(fleet);
    if (meter) {
      const usage = await this.#journal.phase('usage', () => meter.idle());
      for (const one of usage) this.#journal.use(one);
    }
    await this.#journal.phase('cases', () => this.#runCases({ fleet, intentsDue }, meter));
  }

  async #checkMachine(): Promise<void> {
    const problems = await this.#with.provider.check(this.#plan.requirements);
    if (problems.length === 0) return;
    throw new UserError(problems.map(({ what }) => what).join('; '), {
      where: 'this machine',
      remedy: problems.map(({ remedy }) => remedy).join('; '),
    });
  }

  /** Cases that read only the address plan. @returns whether anything may be created */
  async #judgePlan(): Promise<boolean> {
    const early = this.#open.filter(({ check }) => this.#registry.get(check)?.planOnly);
    if (early.length === 0) return true;
    await this.#journal.phase('addressing', async () => {
      for (const planned of early) await this.#judgeEarly(planned);
    });
    const failed = early.find(({ id }) => this.#verdictOf(id)?.status === 'failed');
    if (!failed) return true;
    const verdict = dependencyFailed(failed.id, this.#verdictOf(failed.id) as Verdict);
    for (const planned of this.#open) this.#journal.settle(planned, verdict);
    return false;
  }

  async #judgeEarly(planned: PlannedCase): Promise<void> {
    const { topology, plan } = this.#spec;
    const facts = { run: this.#run, topology, planned, clock: this.#with.clock };
    const check = this.#registry.get(planned.check)!;
    const toolkit = (signal: AbortSignal): CaseToolkit => ({
      ...planToolkit(plan, { ...facts, signal }),
      pending: () => [],
      undo: () => Promise.resolve([]),
    });
    await runCase(planned, check, toolkit, this.#runner);
  }

  #verdictOf(id: string): Verdict | undefined {
    return this.#journal.outcomes.get(id)?.verdict;
  }

  get #runner(): CaseRunner {
    return {
      clock: this.#with.clock,
      journal: this.#journal,
      redactor: this.#redactor,
      signal: this.#signal,
      onLeftover: (what) => this.#leftovers.push(what),
    };
  }

  async #bringUp(): Promise<SetUp> {
    this.#signal.throwIfAborted();
    const { clock, stateFolder } = this.#with;
    const owner = await thisProcess();
    const now = clock.now();
    this.#state = this.#attached
      ? await StateFile.takeOver(stateFolder, this.#attached, owner, now)
      : await StateFile.create(stateFolder, { run: this.#run, owner, spec: attachedSpecOf(this.#spec), now });
    const { setUpMs, setUpPerClusterMs } = this.#with.provider.limits;
    const limitMs = setUpMs + setUpPerClusterMs * this.#subject.clusters.length;
    const limit = deadlineAfter(
      clock,
      limitMs,
      () => new Error(`the set-up did not finish within ${limitMs / 1000} s`),
      this.#signal,
    );
    this.#settingUp = setUp({
      ...this.#with,
      spec: this.#spec,
      requirements: this.#plan.requirements,
      fixtures: this.#plan.fixtures,
      run: this.#run,
      state: this.#state,
      journal: this.#journal,
      signal: limit.signal,
      attach: this.#attached !== undefined,
    });
    return withinSignal(this.#settingUp, limit.signal).finally(limit.clear);
  }

  /** Budgets and remarks as the technology is configured, which is known once it is there. */
  #heedConfiguration(): void {
    const { budgets, remarks = [] } = this.#with.profile;
    if (remarks.length > 0) this.#subject = { ...this.#subject, remarks };
    if (!budgets) return;
    const checkOf = (id: string): AnyCheck => this.#registry.get(id)!;
    const cases = withBudgets(this.#plan.cases, checkOf, this.#spec.budgets, budgets);
    this.#plan = { ...this.#plan, cases };
    this.#subject = { ...this.#subject, ...budgetsOf(this.#spec, budgets, cases, this.#registry) };
  }

  /** A broken part that cannot say its version must not end the run: what is broken is for the cases to find. */
  async #observeSubject(fleet: Fleet): Promise<Pick<RunSubject, 'versions' | 'build'>> {
    const { provider, underlay, profile, clock } = this.#with;
    const limit = deadlineAfter(clock, VERSIONS_LIMIT_MS, () => new Error('no answer in time'), this.#signal);
    const sources = [
      { name: `provider ${provider.name}`, ask: () => provider.observedVersions(fleet) },
      { name: `underlay ${underlay.name}`, ask: () => underlay.observedVersions(fleet) },
      { name: `profile ${profile.name}`, ask: () => profile.observedVersions(fleet) },
    ];
    const asked = sources.map(async ({ name, ask }): Promise<Readonly<Record<string, string>>> => {
      try {
        return await withinSignal(ask(), limit.signal);
      } catch (error) {
        return { [name]: `not observed: ${messageOf(error)}` };
      }
    });
    // What runs in clusters of somebody else was not made of the images that this machine has.
    const parts = this.#spec.provider === 'contexts' ? [provider] : [provider, profile];
    const builds = parts.map(async (part): Promise<readonly string[]> => {
      try {
        return await withinSignal(part.localBuilds?.(fleet) ?? Promise.resolve([]), limit.signal);
      } catch (error) {
        // Whoever cannot say where it comes from is not taken for the vendor's.
        return [`${part.name}: not observed: ${messageOf(error)}`];
      }
    });
    const versions = Object.assign({}, ...(await Promise.all(asked))) as Record<string, string>;
    const differs = [...new Set((await Promise.all(builds)).flat())];
    limit.clear();
    return {
      versions,
      build: differs.length === 0 ? { kind: 'vendor' } : { kind: 'local', differs: differs.join('; ') },
    };
  }

  /** Writes who was tested and what was planned; once. */
  #begin(): void {
    if (this.#writer.begun) return;
    const { cases, unselected } = this.#plan;
    const shells = this.#shells;
    const plans: Extract<RecordBody, { type: 'plan' }>[] = [];
    for (let from = 0; from < cases.length; from += CASES_PER_LINE) {
      const part = cases.slice(from, from + CASES_PER_LINE);
      plans.push(
        from === 0
          ? { type: 'plan', cases: part, shells, unselected }
          : { type: 'plan', cases: part, shells: {} },
      );
    }
    const { tool } = this.#with;
    const start = { type: 'run.start', tool, subject: this.#subject, addressing: this.#spec.plan } as const;
    this.#journal.begin([start, ...plans]);
  }

  get #figures(): { figures?: Figures } {
    const entries = (this.#fleet?.clusters ?? []).flatMap((cluster) =>
      Object.entries(cluster.figures?.() ?? {}).map(([name, figure]) => [
        `${name} of ${cluster.name}`,
        figure,
      ]),
    );
    return entries.length === 0 ? {} : { figures: Object.fromEntries(entries) as Figures };
  }

  get #shells(): Record<string, string> {
    return Object.fromEntries(
      (this.#fleet?.clusters ?? []).flatMap((cluster) => [
        ...kubectlOf(cluster),
        ...(cluster.gateway.shell === ''
          ? []
          : [[`${cluster.name}/gateway`, cluster.gateway.shell] as const]),
        ...cluster.workloads.map(({ spec, shell }) => [`${cluster.name}/${keyOf(spec)}`, shell] as const),
      ]),
    );
  }

  #meterOf(fleet: Fleet): UsageMeter {
    const { profile, clock } = this.#with;
    return new UsageMeter({ fleet, profile, clock, signal: this.#signal });
  }

  async #runCases({ fleet, intentsDue }: SetUp, meter: UsageMeter | undefined): Promise<void> {
    const { topology, bail } = this.#spec;
    const world: World = {
      ...this.#with,
      fleet,
      ledger: this.#state as StateFile,
      configuredPathMtu: this.#plan.requirements.pathMtu,
      services: this.#plan.fixtures.services,
      intents: this.#plan.fixtures.intents,
      intentsDue,
      record: (body) => this.#journal.record(body),
    };
    const { limits } = this.#with.provider;
    const checkOf = ({ check }: PlannedCase): AnyCheck => this.#registry.get(check)!;
    const withDrops: CaseRunner['withDrops'] = (verdict, planned, since) => {
      const note = (detail: string): void => {
        const step = { step: 'drops not told', durationMs: 0, detail };
        this.#journal.record({ type: 'step', case: planned.id, ...step });
      };
      const { clock, profile } = this.#with;
      const limit = deadlineAfter(clock, DROPS_LIMIT_MS, () => new Error('no answer in time'), this.#signal);
      const endpoints = () => endpointsOf(world, world.services);
      const asked = { fleet, profile, endpoints, note, signal: limit.signal };
      return dropsWithin(verdict, planned, since, asked).finally(limit.clear);
    };
    const known = new Map([...this.#journal.outcomes].map(([id, { verdict }]) => [id, verdict]));
    const watch = new LoadWatch(meter, this.#open, (usage) => this.#journal.use(usage));
    const unstarted = await runSchedule({
      ...besideEachOther({ checkOf, topology, limits, concurrency: this.#with.concurrency }),
      cases: inStartOrder(this.#open, checkOf, limits),
      known,
      execute: (planned, member) =>
        watch.run(planned, () =>
          runCase(planned, checkOf(planned), (signal) => toolkitFor(world, planned, signal, member), {
            ...this.#runner,
            withDrops,
            mayRepeat: mayRepeat(checkOf(planned), member),
          }),
        ),
      settle: (planned, verdict) => this.#journal.settle(planned, verdict),
      signal: this.#signal,
      ...(bail && { stopAfter: ({ status }: Verdict) => status === 'failed' }),
    });
    if (this.#signal.aborted) throw this.#signal.reason;
    await watch.finish();
    if (unstarted.length === 0) return;
    this.#ended = 'bail';
    for (const planned of unstarted) {
      this.#journal.settle(planned, skipped('not executed: --bail ended the run at the first failure'));
    }
  }

  #died(error: unknown): void {
    if (this.#signal.aborted) {
      this.#ended = isDeadline(this.#signal.reason) ? 'deadline' : 'interrupted';
      return;
    }
    this.#ended = 'set-up-failed';
    const remedy = error instanceof UserError && error.remedy !== undefined ? ` (${error.remedy})` : '';
    this.#error = this.#redactor.text(`${messageOf(error)}${remedy}`);
  }

  /** Whatever has no verdict yet gets one that says why. */
  #settleRest(): void {
    for (const planned of this.#open) {
      const verdict = this.#signal.aborted
        ? unfinished(this.#signal, false)
        : inconclusive('set-up-failed', `The set-up died: ${this.#error ?? 'unknown'}`);
      this.#journal.settle(planned, verdict);
    }
  }

  /** Looks at every cluster that a failed case is about, once. */
  async #diagnose(fleet: Fleet): Promise<void> {
    const failed = this.#plan.cases.filter(({ id }) => this.#verdictOf(id)?.status === 'failed');
    const names = new Set(failed.flatMap(({ subject }) => clustersOf(subject, this.#subject.clusters)));
    if (names.size === 0) return;
    const { clock } = this.#with;
    const limit = deadlineAfter(
      clock,
      DIAGNOSE_LIMIT_MS,
      () => new Error('no answer in time'),
      this.#with.signal,
    );
    await this.#journal.phase('diagnostics', async () => {
      await Promise.all([...names].map((name) => this.#diagnoseCluster(fleet, name, limit.signal)));
    });
    limit.clear();
  }

  async #diagnoseCluster(fleet: Fleet, name: string, signal: AbortSignal): Promise<void> {
    const cluster = clusterOf(fleet, name);
    const ask = async (what: string, question: () => Promise<Readonly<Record<string, string>>>) => {
      try {
        return await withinSignal(question(), signal);
      } catch (error) {
        return { [`${what}-error.txt`]: messageOf(error) };
      }
    };
    const found = {
      ...(await ask('cluster', () => cluster.diagnose())),
      ...(await ask('profile', async () => (await this.#with.profile.diagnose?.(cluster)) ?? {})),
      ...(await ask('underlay', () => this.#with.underlay.diagnose(cluster.gateway))),
    };
    const files: string[] = [];
    try {
      for (const [file, content] of Object.entries(found)) {
        const relative = path.join('diagnostics', name, file.replaceAll(/[^\w.-]+/g, '-'));
        await writeAtomically(path.join(this.#spec.out, relative), this.#redactor.text(content));
        files.push(relative);
      }
    } catch {
      // A disk that takes no diagnostics takes no record either, and that ends the run with its own words.
    }
    this.#journal.diagnose(name, files);
  }

  async #tearDown(): Promise<void> {
    const state = this.#state;
    if (!state) return;
    state.close();
    const keep =
      this.#attached !== undefined || (this.#spec.keep && this.#fleet && this.#ended !== 'interrupted');
    if (keep) {
      this.#teardown = 'kept';
      await this.#remember(state);
      return;
    }
    const { clock, undoer, provider } = this.#with;
    await this.#journal.phase('teardown', async () => {
      await this.#awaitSetUp();
      const { teardownMs, teardownPerClusterMs } = provider.limits;
      const limitMs = teardownMs + teardownPerClusterMs * this.#subject.clusters.length;
      const limit = deadlineAfter(clock, limitMs, () => new Error(`not removed within ${limitMs / 1000} s`));
      const undone = await undoAll(state.resources, { signal: limit.signal, ...(undoer && { undoer }) });
      limit.clear();
      const left = undone.filter(({ outcome }) => outcome === 'failed');
      this.#leftovers.push(...left.map(({ resource, error }) => `${resource.description}: ${error}`));
      await this.#forget(state, left.map(({ resource }) => resource).toReversed());
    });
    if (this.#leftovers.length > 0) this.#teardown = 'failed';
  }

  async #remember(state: StateFile): Promise<void> {
    const expiresAt = new Date(this.#with.clock.now() + EXPIRY_MS).toISOString();
    try {
      await state.update({ kept: true, expiresAt });
    } catch (error) {
      this.#leftovers.push(`state file: ${messageOf(error)}`);
      this.#teardown = 'failed';
    }
    if (this.#leftovers.length > 0) this.#teardown = 'failed';
  }

  async #forget(state: StateFile, left: readonly Resource[]): Promise<void> {
    try {
      await state.settle(left);
    } catch (error) {
      this.#leftovers.push(`state file: ${messageOf(error)}`);
    }
  }

  /** The ledger is closed: a provider that goes on creating is refused, and ends. */
  async #awaitSetUp(): Promise<void> {
    const { clock, provider } = this.#with;
    const limit = deadlineAfter(clock, provider.limits.graceMs, () => new Error('set-up does not end'));
    await withinSignal(Promise.resolve(this.#settingUp), limit.signal).catch(() => undefined);
    limit.clear();
  }

  async #end(): Promise<RunOutcome> {
    const interruptedBy = interrupterOf(this.#with.signal);
    if (interruptedBy) this.#ended = 'interrupted';
    const { exitCode } = this.#results(interruptedBy);
    this.#journal.record({
      type: 'run.end',
      exitCode,
      ended: this.#ended,
      teardown: this.#teardown as 'clean' | 'kept' | 'failed',
      ...(this.#error !== undefined && { error: this.#error }),
      ...(this.#leftovers.length > 0 && { leftovers: this.#leftovers }),
      ...this.#figures,
    });
    await this.#writer.close();
    const results = this.#results(interruptedBy);
    const { failure } = this.#writer;
    return { results, exitCode: results.exitCode, ...(failure !== undefined && { recordFailure: failure }) };
  }

  #results(interruptedBy: 'SIGINT' | 'SIGTERM' | undefined): RunResults {
    const { failure } = this.#writer;
    return resultsOf({
      about: {
        subject: this.#subject,
        run: this.#run,
        startedAt: this.#writer.startedAt,
        durationMs: this.#writer.elapsed(),
        ended: this.#ended,
        phases: this.#journal.phases,
        teardown: this.#teardown,
        leftovers: this.#leftovers,
        ...this.#figures,
        ...(this.#journal.usage.length > 0 && { usage: this.#journal.usage }),
        diagnostics: this.#journal.diagnostics,
        recordProblems: failure === undefined ? [] : [`the record could not be written: ${failure}`],
        ...(this.#error !== undefined && { error: this.#error }),
      },
      planned: this.#plan.cases,
      outcomes: this.#journal.outcomes,
      shells: this.#shells,
      unselected: this.#plan.unselected,
      ...(interruptedBy && { interruptedBy }),
      recordBroken: failure !== undefined,
    });
  }
}

/** What asks the API server of a cluster that has one, by the name of the cluster itself. */
function kubectlOf(cluster: Cluster): (readonly [string, string])[] {
  if (cluster.kind !== 'kubernetes') return [];
  const { kubeconfig, context } = cluster as KubernetesCluster;
  return [[cluster.name, quoteCommand(['kubectl', '--kubeconfig', kubeconfig, '--context', context])]];
}

const isDeadline = (reason: unknown): boolean =>
  reason instanceof InterruptedError && reason.by === 'deadline';

function interrupterOf(signal: AbortSignal): 'SIGINT' | 'SIGTERM' | undefined {
  if (!signal.aborted) return undefined;
  const reason: unknown = signal.reason;
  return reason instanceof InterruptedError && reason.by === 'SIGTERM' ? 'SIGTERM' : 'SIGINT';
}

function clustersOf(subject: PlannedCase['subject'], all: readonly string[]): readonly string[] {
  switch (subject.scope) {
    case 'fleet':
      return all;
    case 'cluster':
      return [subject.cluster];
    case 'pair':
      return [subject.from, subject.to];
  }
}

/** Everything but the versions, which only what exists can tell. */
function subjectOf(
  spec: RunSpec,
  { provider, underlay, profile }: RunParts,
  cases: readonly PlannedCase[],
  registry: CheckRegistry,
): RunSubject {
  return {
    provider: provider.name,
    underlay: underlay.name,
    profile: profile.name,
    class: profile.conformanceClass,
    topology: spec.topology.kind,
    hub: spec.topology.hub,
    clusters: spec.topology.members.map(({ name }) => name),
    ipFamilies: spec.families,
    versions: {},
    build: { kind: 'vendor' },
    tuning: spec.tuning,
    seed: spec.seed,
    configuration: spec.configuration,
    ...budgetsOf(spec, profile.budgets, cases, registry),
  };
}

function budgetsOf(
  spec: RunSpec,
  ofProfile: Profile['budgets'],
  cases: readonly PlannedCase[],
  registry: CheckRegistry,
): Pick<RunSubject, 'budgets' | 'changedBudgets'> {
  const budgets: Record<string, Budget> = {};
  const changedBudgets: string[] = [];
  for (const id of new Set(cases.map(({ check }) => check))) {
    for (const [name, budget] of Object.entries(declaredBudgets(registry.get(id)!, ofProfile))) {
      const key = `${id}.${name}`;
      const value = spec.budgets[key] ?? budget.value;
      budgets[key] = { ...budget, value };
      if (value !== budget.value) changedBudgets.push(key);
    }
  }
  return { budgets, changedBudgets };
}
