/** Brings up what the cases need: clusters, tunnels, technology, workloads, services, standing intents. */
import { CONVERGENCE_MS } from '../model/budgets.ts';
import type {
  AppliedIntent,
  Cluster,
  Fleet,
  Profile,
  Provider,
  Requirements,
  Underlay,
} from '../model/cluster.ts';
import { InternalError } from '../model/errors.ts';
import { allEnded } from '../model/promises.ts';
import type { RunSpec } from '../model/spec.ts';
import type { Step } from '../model/steps.ts';
import { type WorkloadSpec, keyOf } from '../model/workload.ts';
import type { Clock } from '../system/clock.ts';
import { type Fixtures, existsIn, intentKey, standingIn } from './fixtures.ts';
import { handlerFor } from './handlers.ts';
import type { Journal } from './journal.ts';
import type { StateFile } from './state.ts';
import { untilSettled } from './toolkit.ts';

/** Workloads that start at once; more only queue for the CPUs. */
const STARTS_AT_ONCE = 8;
/** Requests at once to the control plane of each cluster. */
const REQUESTS_AT_ONCE = 8;
/** Control planes that tell each other of their services take longer the more of them there are. */
const SETTLING_PER_CLUSTER_MS = 1_000;

export interface SetUpOptions {
  readonly spec: RunSpec;
  readonly provider: Provider;
  readonly underlay: Underlay;
  readonly profile: Profile;
  readonly requirements: Requirements;
  readonly fixtures: Fixtures;
  readonly run: string;
  readonly state: StateFile;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Take over what a kept run left, and start only what is missing: people break things there on purpose. */
  readonly attach: boolean;
}

export interface SetUp {
  readonly fleet: Fleet;
  /** From when on traffic must obey the standing intents, monotonic milliseconds; 0 where they stood before. */
  readonly intentsDue: number;
}

/** When it rejects, nothing of it is still going on; an abort takes effect between its steps. */
export async function setUp(options: SetUpOptions): Promise<SetUp> {
  const { spec, provider, underlay, profile, run, state, journal, signal, attach } = options;
  const phase = <T>(name: string, action: (step: Step) => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    return journal.phase(name, action);
  };
  const providerOptions = {
    run,
    names: spec.topology.members.map(({ name }) => name),
    topology: spec.topology,
    plan: spec.plan,
    families: spec.families,
    requirements: options.requirements,
    ledger: state,
    signal,
  };
  const fleet = await phase(attach ? 'attach' : 'create', (step) =>
    attach
      ? provider.attach(run, { ...providerOptions, step })
      : provider.create({ ...providerOptions, step }),
  );
  const join = async (): Promise<void> => {
    if (attach) {
      await profile.recall?.(fleet);
      return;
    }
    await phase('join', (step) => underlay.join(fleet, state, step));
    // What runs in clusters of somebody else was installed by them.
    await (spec.provider === 'contexts'
      ? phase('adopt', async () => profile.adopt?.(fleet))
      : phase('install', (step) => profile.install(fleet, state, step)));
  };
  const missing = missingWorkloads(fleet, options);
  const [carried = [], plain = []] = [true, false].map((yes) =>
    missing.filter(({ decorated }) => decorated === yes),
  );
  const populate = async (): Promise<void> => {
    if (plain.length > 0 || carried.length === 0)
      await phase('workloads', (step) => startWorkloads(plain, signal, step));
    await phase('services', (step) => exposeServices(fleet, options, step));
  };
  await allEnded([join(), populate()]);
  // What the technology adds to a workload must be there before the workload is.
  if (carried.length > 0) await phase('workloads', (step) => startWorkloads(carried, signal, step));
  const intentsDue = await phase('intents', (step) => applyIntents(fleet, options, step));
  await state.update({ standing: union(state.standing, options.fixtures) });
  return { fleet, intentsDue };
}

async function eachLimited<T>(
  items: readonly T[],
  width: number,
  signal: AbortSignal,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      signal.throwIfAborted();
      await action(item);
    }
  };
  await allEnded(Array.from({ length: width }, worker));
}

interface MissingWorkload {
  readonly cluster: Cluster;
  readonly spec: WorkloadSpec;
  /** The profile added something to it. */
  readonly decorated: boolean;
}

function missingWorkloads(fleet: Fleet, { fixtures, profile }: SetUpOptions): MissingWorkload[] {
  return fleet.clusters.flatMap((cluster) => {
    const running = new Set(cluster.workloads.map(({ spec }) => keyOf(spec)));
    const { services, intents } = standingIn(fixtures, cluster.name);
    return fixtures.workloads
      .filter((spec) => !running.has(keyOf(spec)))
      .map((wanted) => {
        const spec = profile.decorate(wanted, cluster.name, services, intents);
        return { cluster, spec, decorated: spec !== wanted };
      });
  });
}

async function startWorkloads(
  missing: readonly MissingWorkload[],
  signal: AbortSignal,
  step: Step,
): Promise<void> {
  await eachLimited(missing, STARTS_AT_ONCE, signal, ({ cluster, spec }) =>
    step({ what: `workload ${keyOf(spec)}`, cluster: cluster.name }, async (note) => {
      const { waited } = await cluster.startWorkload(spec);
      note(waited);
    }),
  );
}

async function exposeServices(
  fleet: Fleet,
  { fixtures, profile, state, signal }: SetUpOptions,
  step: Step,
): Promise<void> {
  const standing = new Set(state.standing.services.map(keyOf));
  const missing = fixtures.services.filter((service) => !standing.has(keyOf(service)));
  const wanted = fleet.clusters.flatMap((cluster) =>
    missing.filter((service) => existsIn(service, cluster.name)).map((service) => ({ cluster, service })),
  );
  const width = REQUESTS_AT_ONCE * fleet.clusters.length;
  await eachLimited(wanted, width, signal, ({ cluster, service }) =>
    step({ what: `service ${keyOf(service)}`, cluster: cluster.name }, () =>
      cluster.exposeService(profile.decorateService?.(service) ?? service),
    ),
  );
}

/** @returns from when on traffic must obey what was applied, monotonic milliseconds */
async function applyIntents(fleet: Fleet, options: SetUpOptions, step: Step): Promise<number> {
  const { fixtures, state, signal } = options;
  const standing = new Set(state.standing.intents.map(intentKey));
  const missing = fixtures.intents.filter((intent) => !standing.has(intentKey(intent)));
  const wanted = fleet.clusters.flatMap((cluster) =>
    standingIn({ services: fixtures.services, intents: missing }, cluster.name).intents.map((intent) => ({
      cluster,
      intent,
    })),
  );
  const inPlace: { intent: string; cluster: string; handler: string; applied: AppliedIntent }[] = [];
  const width = REQUESTS_AT_ONCE * fleet.clusters.length;
  await eachLimited(wanted, width, signal, async ({ cluster, intent }) => {
    const handler = handlerFor(options, intent);
    // Cases whose fixtures cannot be expressed were skipped when the run was planned.
    if (!handler) throw new InternalError(`nothing can express ${intentKey(intent)}`);
    const place = { intent: intentKey(intent), cluster: cluster.name };
    const applied = await step({ what: `${place.intent} applied`, cluster: place.cluster }, () =>
      handler.apply(intent, cluster),
    );
    inPlace.push({ ...place, handler: handler.name, applied });
  });
  // All are in place before the first is waited for: they settle beside each other.
  const limitMs = CONVERGENCE_MS.value + SETTLING_PER_CLUSTER_MS * fleet.clusters.length;
  await eachLimited(inPlace, width, signal, ({ intent, cluster, handler, applied }) =>
    step({ what: `${intent} in force`, cluster }, (note) => {
      const settled = async (): Promise<boolean | string> => {
        const answer = await applied.settled();
        if (typeof answer === 'string') note(answer);
        return answer;
      };
      const what = `${intent} in ${cluster} by ${handler}`;
      return untilSettled(settled, what, options.clock, signal, limitMs);
    }),
  );
  const isLater = inPlace.some(({ applied }) => applied.obeyedLater);
  return isLater ? options.clock.monotonic() + CONVERGENCE_MS.value : 0;
}

function union(a: Fixtures, b: Fixtures): Fixtures {
  const merge = <T>(known: readonly T[], more: readonly T[], key: (item: T) => string): T[] => [
    ...new Map([...known, ...more].map((item) => [key(item), item])).values(),
  ];
  return {
    workloads: merge(a.workloads, b.workloads, keyOf),
    services: merge(a.services, b.services, keyOf),
    intents: merge(a.intents, b.intents, intentKey),
  };
}
