/** What a check gets: probes that are recorded, intents and faults that are undone when its case ends. */
import { isDeepStrictEqual } from 'node:util';
import type { AddressPlan } from '../model/addressing.ts';
import { CONVERGENCE_MS } from '../model/budgets.ts';
import type { ClusterView, Converged, ConvergeOptions, Site, Toolkit } from '../model/check.ts';
import type { PerFamily } from '../model/cidr.ts';
import type {
  Cluster,
  Fleet,
  Gateway,
  KubernetesCluster,
  Ledger,
  Profile,
  Provider,
  Underlay,
  Workload,
} from '../model/cluster.ts';
import { InternalError, NotApplicableError, messageOf } from '../model/errors.ts';
import type { Disturbance, FaultSpec } from '../model/fault.ts';
import { clusterOf } from '../model/injection.ts';
import type { Intent } from '../model/intent.ts';
import type { Probe } from '../model/probe.ts';
import type { PlannedCase, RecordBody } from '../model/record.ts';
import { type Topology, pathBetween } from '../model/topology.ts';
import { type ServiceSpec, type WorkloadSpec, keyOf } from '../model/workload.ts';
import { type Clock, randomHex } from '../system/clock.ts';
import { takingBack } from '../system/takingBack.ts';
import type { Member, SharedDisturbance } from './company.ts';
import { deadlineAfter } from './deadline.ts';
import { digest } from './digest.ts';
import { standingIn } from './fixtures.ts';
import {
  handlerFor,
  identityRefusalOf,
  inexpressible,
  policySemanticsOf,
  sharedAddress,
} from './handlers.ts';
import { identitiesOf, joinTokensOf, movableCluster, technologyOf } from './technology.ts';
import { withinSignal } from '../system/withinSignal.ts';

/** Everything a toolkit stands on. */
export interface World {
  readonly fleet: Fleet;
  readonly provider: Provider;
  readonly underlay: Underlay;
  readonly profile: Profile;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly configuredPathMtu: number | undefined;
  /** Those of the fixtures, for what starts later. */
  readonly services: readonly ServiceSpec[];
  readonly intents: readonly Intent[];
  /** From when on traffic must obey them, monotonic milliseconds; 0 where they stood before. */
  readonly intentsDue: number;
  readonly record: (body: RecordBody) => void;
}

/** An intent was applied, but the system never said that it is in force. */
export class NotSettledError extends Error {
  override readonly name = 'NotSettledError';
}

/** Own deadlines for taking back what a case put in place: one thing, and all of it. */
const UNDO_ONE_LIMIT_MS = 5_000;
const UNDO_LIMIT_MS = 15_000;
/** A workload has half a minute to end by itself (Kubernetes: terminationGracePeriodSeconds), then it is killed. */
const STOP_WORKLOAD_LIMIT_MS = 45_000;
/** Control planes that have lost each other try again after 2, 4, 8 … s. */
const SETTLE_LIMIT_MS = 60_000;
/** Waits between looks, growing: quick where things settle at once, easy on control planes that take long. */
const POLL_MS = [20, 50, 100, 250, 500, 1_000] as const;
const CONVERGE_INTERVAL_MS = 200;
/** Steps of a case that shares a fault with others. */
const AWAIT_CONTROLS = 'controls of the cases that share the fault';
const AWAIT_OTHERS = 'cases that share the fault have seen enough';

export interface CaseToolkit {
  readonly toolkit: Toolkit;
  readonly view: (cluster: string) => ClusterView;
  /** What was being waited for, for the words of a time-out. */
  pending(): readonly string[];
  /** Takes everything back, newest first, under its own deadline. Never rejects. @returns what could not be undone */
  undo(): Promise<readonly string[]>;
}

interface Undoable {
  readonly what: string;
  /** Where it takes longer than the rest. */
  readonly limitMs?: number;
  undo(): Promise<void>;
}

/** What must be taken back. It may still be coming into being when the case ends, so entries wait for it. */
class UndoStack {
  readonly #entries: Undoable[] = [];

  push(entry: Undoable): Undoable {
    this.#entries.push(entry);
    return entry;
  }

  /** It has been taken back otherwise. */
  forget(entry: Undoable | undefined): void {
    const index = entry ? this.#entries.indexOf(entry) : -1;
    if (index !== -1) this.#entries.splice(index, 1);
  }

  /** Only once; a case that ends meanwhile undoes it again, which is no error. */
  async undo(entry: Undoable): Promise<void> {
    if (!this.#entries.includes(entry)) return;
    await takingBack(() => entry.undo());
    this.forget(entry);
  }

  /** One that hangs or fails stops no other. */
  async undoAll(clock: Clock): Promise<string[]> {
    const failures: string[] = [];
    if (this.#entries.length === 0) return failures;
    const longest = Math.max(UNDO_LIMIT_MS, ...this.#entries.map(({ limitMs = 0 }) => limitMs));
    const whole = deadlineAfter(clock, longest, notUndoneWithin(longest));
    for (let entry = this.#entries.pop(); entry; entry = this.#entries.pop()) {
      const { limitMs = UNDO_ONE_LIMIT_MS } = entry;
      const limit = deadlineAfter(clock, limitMs, notUndoneWithin(limitMs), whole.signal);
      try {
        await withinSignal(
          takingBack(() => entry.undo()),
          limit.signal,
        );
      } catch (error) {
        failures.push(`${entry.what}: ${messageOf(error)}`);
      } finally {
        limit.clear();
      }
    }
    whole.clear();
    return failures;
  }
}

const notUndoneWithin = (milliseconds: number) => (): Error =>
  new Error(`not undone within ${milliseconds} ms`);

/** @param company the case's place among those that run together with it, when there are others */
export function toolkitFor(
  world: World,
  planned: PlannedCase,
  signal: AbortSignal,
  company?: Member,
): CaseToolkit {
  const { fleet, clock } = world;
  const { family } = planned.expectation;
  const stack = new UndoStack();
  const pending = new Set<string>();

  /** Runs one recorded step; rejects as soon as the case is over, whatever the step does. */
  const step = async <T>(name: string, request: unknown, action: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const began = clock.monotonic();
    const write = (outcome: Record<string, unknown>): void =>
      world.record({
        type: 'step',
        case: planned.id,
        step: name,
        durationMs: Math.round(clock.monotonic() - began),
        detail: { ...(request !== undefined && { request: digest(request) }), ...outcome },
      });
    pending.add(name);
    try {
      const result = await withinSignal(action(), signal);
      pending.delete(name);
      write(result === undefined ? {} : { result: digest(result) });
      return result;
    } catch (error) {
      // What was waited for when the time was over stays in the list.
      if (!signal.aborted) pending.delete(name);
      write({ error: messageOf(error) });
      throw error;
    }
  };

  const site = (
    cluster: Cluster,
    key: string,
    at: Pick<Workload, 'probe' | 'addresses' | 'node'>,
    spec?: WorkloadSpec,
  ): Site => ({
    ...recordedProbe(at.probe, `${cluster.name}/${key}`, step, stack),
    cluster: cluster.name,
    key,
    ...(spec && { spec }),
    ...(at.node !== undefined && { node: at.node }),
    addresses: at.addresses,
    address: inFamily(at.addresses, family, `${cluster.name}/${key}`),
  });

  /** Views of a large fleet are many, and a case looks at few sites: each is made when it is first asked for. */
  const makeView = (cluster: Cluster): ClusterView => {
    const { gateway } = cluster;
    const made = new Map<string, Site>();
    const siteOf = ({ spec, ...at }: Workload): Site => {
      const key = keyOf(spec);
      const found = made.get(key) ?? site(cluster, key, at, spec);
      made.set(key, found);
      return found;
    };
    const atGateway = memo(() => ({
      ...site(cluster, 'gateway', { probe: gateway.probe, addresses: gateway.nodeAddresses }),
      wanInterface: gateway.wanInterface,
      clusterInterface: gateway.clusterInterface,
      wanAddresses: gateway.wanAddresses,
    }));
    return {
      name: cluster.name,
      ranges: cluster.ranges,
      get dns() {
        // Kubernetes gives its DNS server one family, also where pods have both.
        const { ipv4, ipv6 } = cluster.dns;
        return (
          cluster.dns[family] ?? ipv4 ?? ipv6 ?? inFamily({}, family, `the DNS server of ${cluster.name}`)
        );
      },
      get sites() {
        return cluster.workloads.map(siteOf);
      },
      site: (key) => {
        const found = cluster.workloads.find(({ spec }) => keyOf(spec) === key);
        if (!found)
          throw new InternalError(`${cluster.name} has no workload ${key}: does the check use its fixture?`);
        return siteOf(found);
      },
      // Not every cluster has one; checks that need it say so.
      get gateway() {
        return atGateway();
      },
      service: (service) => cluster.serviceAddress(service),
      sharedService: (service) => sharedAddress(world, cluster, service),
      capture: (request) => capture(gateway, request),
    };
  };

  const capture: (
    gateway: Gateway,
    request: Parameters<Gateway['startCapture']>[0],
  ) => ReturnType<Gateway['startCapture']> = async (gateway, request) => {
    const where = `${gateway.cluster}/gateway`;
    const starting = { current: undefined as ReturnType<Gateway['startCapture']> | undefined };
    const entry = stack.push({
      what: `capture at ${where}`,
      undo: async () => void (await (await settledOr(starting.current))?.stop()),
    });
    const running = await step(
      `${where} capture`,
      request,
      () => (starting.current = gateway.startCapture(request)),
    );
    return {
      stop: () =>
        step(`${where} capture stop`, undefined, async () => {
          const summary = await running.stop();
          stack.forget(entry);
          return summary;
        }),
    };
  };

  const views = new Map<string, ClusterView>();
  const view = (name: string): ClusterView => {
    const known = views.get(name);
    if (known) return known;
    const made = makeView(clusterOf(fleet, name));
    views.set(name, made);
    return made;
  };

  const applied: { intent: Intent; cluster: string; entry: Undoable }[] = [];
  const apply = async (intent: Intent, name: string): Promise<void> => {
    const cluster = clusterOf(fleet, name);
    const handler = handlerFor(world, intent);
    if (!handler) throw new NotApplicableError(inexpressible(world, intent) ?? 'no handler');
    const what = `${intent.kind} in ${name} by ${handler.name}`;
    await step(`apply ${what}`, intent, async () => {
      signal.throwIfAborted();
      const applying = handler.apply(intent, cluster);
      const entry = stack.push({ what, undo: async () => (await settledOr(applying))?.undo() });
      applied.push({ intent, cluster: name, entry });
      const inPlace = await applying;
      await untilSettled(() => inPlace.settled(), what, clock, signal);
      return { rendered: inPlace.rendered };
    });
  };
  const withdraw = async (intent: Intent, name: string): Promise<void> => {
    const index = applied.findLastIndex(
      (one) => one.cluster === name && isDeepStrictEqual(one.intent, intent),
    );
    const [found] = index === -1 ? [] : applied.splice(index, 1);
    if (!found)
      throw new InternalError(`the ${intent.kind} to withdraw in ${name} was not applied by this case`);
    await step(`withdraw ${found.entry.what}`, undefined, () => stack.undo(found.entry));
  };

  let lastInjection: Promise<unknown> = Promise.resolve();
  /** Faults of one kind may stand in one object of the technology's. */
  const inTurn = <T>(inject: () => Promise<T>): Promise<T> => {
    const injection = lastInjection.then(inject);
    lastInjection = injection.catch(() => undefined);
    return injection;
  };
  const disturb: Toolkit['disturb'] = async (fault) => {
    const injector = injectorFor(world, fault);
    if (!injector) throw new NotApplicableError(`nothing here can inject ${fault.kind}`);
    const foreign = injector.reach === 'cluster' ? fleet.clusters.filter(isForeign) : [];
    if (foreign.length > 0) {
      throw new NotApplicableError(
        `${fault.kind} changes more than this run's namespaces, and ${foreign.map(({ name }) => name).join(', ')} existed before it`,
      );
    }
    const note = (event: 'injected' | 'held' | 'did-not-hold' | 'mended'): void =>
      world.record({ type: 'fault', case: planned.id, fault, event });
    if (company) await step(AWAIT_CONTROLS, undefined, () => company.readyForFault());
    const inject = (): Promise<Disturbance> => injector.inject(fault, fleet, world.ledger);
    const injectShared = (): Promise<SharedDisturbance> =>
      company
        ? company.inject(fault, { inject, ...(injector.isSame && { isSame: injector.isSame }) })
        : inject().then(unshared);
    const starting = { current: undefined as Promise<SharedDisturbance> | undefined };
    const settling = stack.push({
      what: `what fault ${fault.kind} left behind`,
      limitMs: SETTLE_LIMIT_MS,
      undo: async () => (await settledOr(starting.current))?.settle(),
    });
    const entry = stack.push({
      what: `fault ${fault.kind}`,
      undo: async () => {
        const disturbance = await settledOr(starting.current);
        if (!disturbance) return;
        if (await disturbance.mend()) note('mended');
      },
    });
    const disturbance = await inTurn(() =>
      step(`inject ${fault.kind}`, fault, () => (starting.current = injectShared())),
    );
    note('injected');
    const held = await step(`${fault.kind} took hold`, undefined, () => disturbance.tookHold());
    note(held ? 'held' : 'did-not-hold');
    return {
      held,
      async mend() {
        if (company) await step(AWAIT_OTHERS, undefined, () => company.seenEnough());
        const began = clock.monotonic();
        await step(`mend ${fault.kind}`, undefined, () => stack.undo(entry));
        return began;
      },
      settle: () => step(`settle ${fault.kind}`, undefined, () => stack.undo(settling)),
    };
  };

  const exposeService: Toolkit['exposeService'] = async (spec, name) => {
    const cluster = clusterOf(fleet, name);
    const usual = standingIn(world, name).services.find((service) => keyOf(service) === keyOf(spec));
    if (!usual) throw new InternalError(`no fixture of ${planned.check} has a service ${keyOf(spec)}`);
    const expose = (service: ServiceSpec): Promise<void> =>
      cluster.exposeService(world.profile.decorateService?.(service) ?? service);
    const what = `service ${keyOf(spec)} in ${name}`;
    stack.push({ what, undo: () => expose(usual) });
    await step(`expose ${what}`, spec, () => expose(spec));
  };
  const started = new Map<Site, { entry: Undoable }>();
  const startWorkload: Toolkit['startWorkload'] = async (spec, name, giveUp) => {
    const cluster = movableCluster(world, name);
    const what = `workload ${keyOf(spec)} in ${name}`;
    const starting = { current: undefined as Promise<Workload> | undefined };
    const entry = stack.push({
      what,
      limitMs: STOP_WORKLOAD_LIMIT_MS,
      undo: async () => {
        if (!starting.current) return;
        // What never became ready stands there all the same, and would when nobody counts on it any more.
        await cluster.stopWorkload((await settledOr(starting.current)) ?? { spec });
      },
    });
    const workload = await step(`start ${what}`, spec, () => {
      const { services, intents } = standingIn(world, name);
      return (starting.current = cluster.startWorkload(
        world.profile.decorate(spec, name, services, intents),
        giveUp,
      ));
    });
    const made = site(cluster, keyOf(spec), workload, spec);
    started.set(made, { entry });
    return made;
  };
  const stopWorkload: Toolkit['stopWorkload'] = async (which) => {
    const found = started.get(which);
    if (!found) throw new InternalError(`${which.cluster}/${which.key} was not started by this case`);
    await step(`stop workload ${which.key} in ${which.cluster}`, undefined, () => stack.undo(found.entry));
  };

  const toolkit: Toolkit = {
    run: fleet.run,
    family,
    plan: fleet.plan,
    get clusters() {
      return fleet.clusters.map(({ name }) => view(name));
    },
    signal,
    pathBetween: (from, to) => pathBetween(fleet.topology, from, to),
    configuredPathMtu: world.configuredPathMtu,
    tunnelFilter: world.underlay.wire?.tunnelFilter,
    handshakes: (name) => {
      const { wire } = world.underlay;
      if (!wire) {
        return Promise.reject(
          new NotApplicableError(`the underlay ${world.underlay.name} has no handshakes`),
        );
      }
      return step(`${name} handshakes`, undefined, () =>
        wire.handshakes(clusterOf(fleet, name).gateway, fleet),
      );
    },
    policySemantics: policySemanticsOf(world),
    identityRefusal: identityRefusalOf(world),
    standingPolicies: world.intents.filter((intent) => intent.kind === 'policy'),
    standingDue: world.intentsDue,
    elapsed: () => clock.monotonic(),
    now: () => clock.now(),
    sleep: (milliseconds) => withinSignal(clock.sleep(milliseconds, signal), signal),
    nonce: () => randomHex(8),
    apply,
    withdraw,
    exposeService,
    startWorkload,
    stopWorkload,
    nodes: (name) =>
      step(`nodes of ${name}`, undefined, async () =>
        (await movableCluster(world, name).nodes())
          .filter(({ takesWorkloads }) => takesWorkloads)
          .map((node) => node.name),
      ),
    identities: identitiesOf(world, step),
    ...technologyOf(world, step),
    ...joinTokensOf(world, step, (what, undo) => void stack.push({ what, undo })),
    disturb,
    inStep: (what, change) =>
      company ? step(`in step: ${what}`, undefined, () => company.inStep(what, change)) : change(),
    converge: (attempt, options) => converge(attempt, options, clock, signal),
    note: (text) =>
      world.record({ type: 'step', case: planned.id, step: 'note', durationMs: 0, detail: text }),
  };

  return {
    toolkit,
    view,
    pending: () => [...pending],
    undo: () => {
      company?.leave();
      return stack.undoAll(clock);
    },
  };
}

/** For checks that read only the address plan: there are no clusters yet, only their names and ranges. */
export function planToolkit(
  plan: AddressPlan,
  facts: { run: string; topology: Topology; planned: PlannedCase; clock: Clock; signal: AbortSignal },
): Pick<CaseToolkit, 'toolkit' | 'view'> {
  const { run, topology, planned, clock, signal } = facts;
  const absent = (): never => {
    throw new InternalError(`${planned.check} says that it reads only the address plan, but asks for more`);
  };
  const view = (name: string): ClusterView => ({
    name,
    ranges: plan.clusters[name] ?? absent(),
    site: absent,
    service: absent,
    sharedService: absent,
    capture: absent,
    get dns() {
      return absent();
    },
    get sites() {
      return absent();
    },
    get gateway() {
      return absent();
    },
  });
  const toolkit: Toolkit = {
    run,
    family: planned.expectation.family,
    plan,
    clusters: topology.members.map(({ name }) => view(name)),
    signal,
    pathBetween: (from, to) => pathBetween(topology, from, to),
    configuredPathMtu: planned.expectation.configuredPathMtu,
    tunnelFilter: undefined,
    handshakes: absent,
    get policySemantics() {
      return absent();
    },
    get identityRefusal() {
      return absent();
    },
    standingPolicies: [],
    standingDue: 0,
    elapsed: () => clock.monotonic(),
    now: () => clock.now(),
    sleep: (milliseconds) => clock.sleep(milliseconds, signal),
    nonce: () => randomHex(8),
    apply: absent,
    withdraw: absent,
    exposeService: absent,
    startWorkload: absent,
    nodes: absent,
    stopWorkload: absent,
    identities: undefined,
    peerNames: undefined,
    makeJoinToken: absent,
    isJoined: absent,
    brokenLinks: absent,
    keepsLost: absent,
    nodeHealth: absent,
    controlPlaneCertificates: absent,
    exportState: absent,
    components: absent,
    disturb: absent,
    inStep: absent,
    converge: (attempt, options) => converge(attempt, options, clock, signal),
    note: () => undefined,
  };
  return { toolkit, view };
}

function inFamily(addresses: PerFamily<string>, family: 'ipv4' | 'ipv6', whose: string): string {
  const address = addresses[family];
  if (address === undefined) throw new InternalError(`${whose} has no ${family} address`);
  return address;
}

function memo<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** The value once it is there; undefined when it never came to be. */
async function settledOr<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await promise;
  } catch {
    return undefined;
  }
}

const unshared = (disturbance: Disturbance): SharedDisturbance => ({
  tookHold: () => disturbance.tookHold(),
  mend: async () => {
    await disturbance.mend();
    return true;
  },
  settle: async () => disturbance.settle?.(),
});

const isForeign = (cluster: Cluster): boolean =>
  cluster.kind === 'kubernetes' && !(cluster as KubernetesCluster).own;

/** The profile's before the underlay's before the provider's: the most specific knows best how it breaks. */
function injectorFor(world: World, fault: FaultSpec) {
  return [world.profile, world.underlay, world.provider]
    .flatMap(({ injectors }) => injectors)
    .find(({ kinds }) => kinds.includes(fault.kind));
}

/** @throws NotSettledError after the convergence budget */
export async function untilSettled(
  settled: () => Promise<boolean | string>,
  what: string,
  clock: Clock,
  signal: AbortSignal,
  limitMs: number = CONVERGENCE_MS.value,
): Promise<void> {
  const end = clock.monotonic() + limitMs;
  for (let look = 0; ; look++) {
    const answer = await withinSignal(settled(), signal);
    if (answer === true) return;
    if (clock.monotonic() >= end) {
      const missing = answer === false ? '' : `: ${answer}`;
      throw new NotSettledError(`${what} was not in force within ${limitMs} ms${missing}`);
    }
    await clock.sleep(POLL_MS[Math.min(look, POLL_MS.length - 1)] as number, signal);
  }
}

/** A row that began within the budget may finish after it: its first success is what counts. */
async function converge<T>(
  attempt: () => Promise<T>,
  { succeeded, budgetMs, successes, intervalMs = CONVERGE_INTERVAL_MS }: ConvergeOptions<T>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Converged<T>> {
  const began = clock.monotonic();
  let row = 0;
  let rowBegan = 0;
  for (let attempts = 1; ; attempts++) {
    const before = clock.monotonic() - began;
    const last = await withinSignal(attempt(), signal);
    if (succeeded(last)) {
      if (row === 0) rowBegan = clock.monotonic() - began;
      row++;
    } else {
      row = 0;
    }
    const elapsed = clock.monotonic() - began;
    if (row >= successes) return { converged: true, attempts, elapsedMs: Math.round(rowBegan), last };
    if (row === 0 && elapsed >= budgetMs) {
      return { converged: false, attempts, elapsedMs: Math.round(elapsed), last };
    }
    await clock.sleep(Math.max(0, intervalMs - (elapsed - before)), signal);
  }
}

type Step = <T>(name: string, request: unknown, action: () => Promise<T>) => Promise<T>;

/** Every question of the probe port; a record, so that the compiler misses none. */
const QUESTIONS: Readonly<Record<keyof Probe, true>> = {
  facts: true,
  exchange: true,
  handshake: true,
  received: true,
  ping: true,
  sweepPathMtu: true,
  transfer: true,
  resolve: true,
  startSampling: true,
  stopSampling: true,
  serveThroughput: true,
  throughput: true,
  burst: true,
  trace: true,
  startBackend: true,
  disturbBackend: true,
  stopBackend: true,
  forgetPathMtu: true,
  setMtuProbing: true,
};

/** The probe with each call recorded; samplers and backends that a check leaves running are stopped with its case. */
function recordedProbe(probe: Probe, where: string, step: Step, stack: UndoStack): Probe {
  const ask = (question: keyof Probe, ...args: readonly unknown[]): Promise<unknown> =>
    step(`${where} ${question}`, args.length > 1 ? args : args[0], () =>
      (probe[question] as (...args: unknown[]) => Promise<unknown>).apply(probe, [...args]),
    );
  const plain = Object.fromEntries(
    (Object.keys(QUESTIONS) as (keyof Probe)[]).map((question) => [
      question,
      (...args: readonly unknown[]) => ask(question, ...args),
    ]),
  ) as unknown as Probe;

  const samplers = new Map<string, Undoable>();
  const backends = new Map<number, Undoable>();
  let mtuProbing: Undoable | undefined;
  return {
    ...plain,
    startSampling: (request) =>
      step(`${where} startSampling`, request, async () => {
        const starting = probe.startSampling(request);
        const entry = stack.push({
          what: `sampler at ${where}`,
          undo: async () => {
            const id = await settledOr(starting);
            if (id !== undefined) await probe.stopSampling(id);
          },
        });
        const id = await starting;
        samplers.set(id, entry);
        return id;
      }),
    stopSampling: async (id) => {
      const sampling = await plain.stopSampling(id);
      stack.forget(samplers.get(id));
      return sampling;
    },
    startBackend: (request) => {
      backends.set(
        request.port,
        stack.push({
          what: `backend ${request.port} at ${where}`,
          undo: () => probe.stopBackend(request.port),
        }),
      );
      return plain.startBackend(request);
    },
    stopBackend: async (port) => {
      await plain.stopBackend(port);
      stack.forget(backends.get(port));
    },
    setMtuProbing: async (mode) => {
      stack.forget(mtuProbing);
      mtuProbing = stack.push({ what: `MTU probing at ${where}`, undo: () => probe.setMtuProbing(0) });
      await plain.setMtuProbing(mode);
      if (mode === 0) stack.forget(mtuProbing);
    },
  };
}
