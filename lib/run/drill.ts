/** One fault while clients run: what they see of it, a drill for those who operate the clusters. */
import { FAILBACK_MS } from '../model/budgets.ts';
import {
  type AnyCheck,
  type ClusterView,
  type Fixture,
  type Site,
  type Toolkit,
  defineCheck,
} from '../model/check.ts';
import type { ClientKind, DrillClient, DrillObservation, DrillResults, DrillSample } from '../model/drill.ts';
import { UserError } from '../model/errors.ts';
import type { FaultKind, FaultSpec } from '../model/fault.ts';
import { CLUSTER_NAME } from '../model/ids.ts';
import { ADDRESS_RECORD, type Sample, type SampleRequest } from '../model/probe.ts';
import type { RunSpec } from '../model/spec.ts';
import { type Topology, directedPairs } from '../model/topology.ts';
import { suggest } from '../config/nearest.ts';
import { CALM_MS, judgeDrill, summarise } from './drillJudge.ts';
import { type RunDependencies, type RunParts, executeRun } from './execute.ts';
import { assertMayBreak, overheadOf } from './prove.ts';
import { faultsFor } from './proveFaults.ts';
import { mergeRequirements } from './requirements.ts';
import { loadAttachable } from './state.ts';

/** Before the fault, so that there is something to compare with. */
const STEADY_MS = 3_000;
const RATE_PER_SECOND = 10;
const REQUEST_TIMEOUT_MS = 1_000;
const NAMES_INTERVAL_MS = 200;
/** Callers and called clusters of a large fleet; those that the fault strikes come first. */
const PAIRS_AT_MOST = 6;
/** The longest that an agent samples without being told to stop. */
const SAMPLING_LIMIT_MS = 60 * 60 * 1_000;
/** Leaves the samplers time to see how it is mended. */
export const LONGEST_FAULT_MS = SAMPLING_LIMIT_MS / 2;
/** Set-up of a drill's clients, and what taking back needs. */
const MARGIN_MS = 60_000;

/** Who calls whom: workloads and a service that stand in every cluster. */
export interface DrillTraffic {
  readonly fixtures: readonly Fixture[];
  /** `namespace/name` of the workload that calls, and of the one that is called. */
  readonly caller: string;
  readonly target: string;
  readonly service: { readonly namespace: string; readonly name: string };
  readonly port: number;
}

export interface DrillOptions {
  /** `<kind>`, or `<kind>[east->west]`. */
  readonly fault: string;
  readonly forMs: number;
  readonly traffic: DrillTraffic;
}

/** @throws UserError when there is no such fault; what goes wrong later is in the results */
export async function drill(
  asked: RunSpec,
  options: DrillOptions,
  dependencies: RunDependencies,
): Promise<DrillResults> {
  assertMayBreak(asked);
  const attached =
    asked.attach === undefined ? undefined : await loadAttachable(dependencies.stateFolder, asked.attach);
  const spec: RunSpec = attached ? { ...asked, ...attached.spec } : asked;
  const { traffic } = options;
  const { kind, focus } = parseFault(options.fault, drillable(dependencies), spec.topology);
  const pathMtu = mergeRequirements(dependencies.underlay, dependencies.profile, spec.families).nodeMtu;
  const [sized] = faultsFor(
    { kind, cause: 'no-failover' },
    { uses: traffic.fixtures },
    { subject: { scope: 'pair', ...focus } },
    { topology: spec.topology, pathMtu, overhead: overheadOf(dependencies.underlay, spec), focus },
  );
  const fault = sized?.faults[0];
  if (!fault) throw new UserError(`A drill has nothing that ${kind} could strike`, { where: options.fault });
  let observation: DrillObservation | undefined;
  const check: AnyCheck = defineCheck({
    id: `drill.${kind}`,
    title: `What clients see of ${kind}`,
    level: 'core',
    scope: 'fleet',
    exclusive: 'fleet',
    uses: traffic.fixtures,
    timeoutMs: options.forMs + STEADY_MS + FAILBACK_MS.value + MARGIN_MS,
    withoutFaults: 'It injects the one that it is about',
    hint: 'The time line shows which clients lost requests, and when',
    observe: async (toolkit: Toolkit): Promise<DrillObservation> => {
      observation = await observeDrill(toolkit, fault, focus, options);
      return observation;
    },
    judge: judgeDrill,
  });
  const everything = { level: 'all', suites: [], checks: [], skips: [] } as const;
  const suite = { id: 'drill', title: 'A failover drill', checks: [check] };
  const { results } = await executeRun({ ...asked, ...everything }, { ...dependencies, suites: [suite] });
  const seen = observation;
  return {
    run: results,
    verdict: results.cases[0]!.verdict,
    ...(seen && { observation: seen }),
    summaries: seen ? seen.clients.map((client) => summarise(client, seen)) : [],
  };
}

/** Kinds that something in this run can inject, in the order in which they are looked for. */
export const drillable = ({ profile, underlay, provider }: Omit<RunParts, 'suites'>): FaultKind[] => [
  ...new Set(
    [profile, underlay, provider].flatMap(({ injectors }) => injectors).flatMap(({ kinds }) => kinds),
  ),
];

/** @throws UserError with the nearest known name */
export function parseFault(
  text: string,
  kinds: readonly FaultKind[],
  topology: Topology,
): { kind: FaultKind; focus: { from: string; to: string } } {
  const [, name = text, from, to] = /^([^[]+)\[(.+)->(.+)\]$/.exec(text) ?? [];
  const kind = kinds.find((known) => known === name);
  if (!kind) {
    throw new UserError(`Nothing here can inject "${name}"`, {
      where: name,
      remedy: `${suggest(name, kinds)}; \`mcnet-conformance list faults\` shows all`,
    });
  }
  const names = topology.members.map((member) => member.name);
  const pair = { from: from ?? names[0] ?? '', to: to ?? names[1] ?? '' };
  const lost = [pair.from, pair.to].find((cluster) => !names.includes(cluster));
  if (lost !== undefined || pair.from === pair.to) {
    throw new UserError(`There is no pair ${pair.from}->${pair.to}`, {
      where: text,
      remedy: suggest(lost !== undefined && CLUSTER_NAME.test(lost) ? lost : pair.to, names),
    });
  }
  return { kind, focus: pair };
}

/** A client that samples; `stop` gives what it saw, on the drill's clock. */
interface Sampler {
  readonly client: Omit<DrillClient, 'samples'>;
  stop(): Promise<DrillSample[]>;
}

async function observeDrill(
  toolkit: Toolkit,
  fault: FaultSpec,
  focus: { readonly from: string; readonly to: string },
  { forMs, traffic }: DrillOptions,
): Promise<DrillObservation> {
  const began = toolkit.elapsed();
  const now = (): number => toolkit.elapsed() - began;
  const pairs = samplePairs(toolkit, focus);
  const callers = [...new Set(pairs.map(({ from }) => from))];
  const samplers = await Promise.all([
    ...pairs.flatMap(({ from, to }) => {
      const address = to.site(traffic.target).address;
      return requestSamplers(from, to.name, address, traffic, now);
    }),
    ...callers.flatMap((from) => {
      const shared = from.sharedService(traffic.service);
      const address = shared.addresses[toolkit.family] ?? '';
      return [
        ...requestSamplers(from, traffic.service.name, address, traffic, now),
        namesSampler(from, shared.name, traffic, toolkit, now),
      ];
    }),
  ]);
  await toolkit.sleep(STEADY_MS);
  const faultAt = now();
  const disturbance = await toolkit.disturb(fault);
  if (disturbance.held) await toolkit.sleep(forMs);
  const mendAt = now();
  await disturbance.mend();
  await awaitAnswers(pairs, traffic, toolkit);
  await toolkit.sleep(CALM_MS + REQUEST_TIMEOUT_MS);
  const endedAt = now();
  const clients = await Promise.all(
    samplers.map(async (sampler): Promise<DrillClient> => ({
      ...sampler.client,
      samples: await sampler.stop(),
    })),
  );
  return { fault, held: disturbance.held, faultAt, mendAt, endedAt, clients };
}

interface PairOfViews {
  readonly from: ClusterView;
  readonly to: ClusterView;
}

function samplePairs(toolkit: Toolkit, focus: { readonly from: string; readonly to: string }): PairOfViews[] {
  const { clusters } = toolkit;
  const distance = ({ from, to }: { from: string; to: string }): number =>
    [from, to].filter((name) => name !== focus.from && name !== focus.to).length;
  const view = (name: string): ClusterView => clusters.find((one) => one.name === name)!;
  return directedPairs(clusters.map(({ name }) => name))
    .filter(({ from, to }) => toolkit.pathBetween(from, to).kind !== 'forbidden')
    .toSorted((a, b) => distance(a) - distance(b))
    .slice(0, PAIRS_AT_MOST)
    .map(({ from, to }) => ({ from: view(from), to: view(to) }));
}

const CONNECTIONS: readonly SampleRequest['connections'][] = ['new', 'keep-alive', 'stream'];

function requestSamplers(
  from: ClusterView,
  to: string,
  address: string,
  { caller, port }: DrillTraffic,
  now: () => number,
): Promise<Sampler>[] {
  const site = from.site(caller);
  return CONNECTIONS.map(async (connections) => {
    const id = await site.startSampling({
      address,
      port,
      connections,
      ratePerSecond: RATE_PER_SECOND,
      timeoutMs: REQUEST_TIMEOUT_MS,
      durationMs: SAMPLING_LIMIT_MS,
    });
    const startedAt = now();
    return {
      client: { from: from.name, to, kind: connections },
      stop: async () => (await site.stopSampling(id)).samples.map((sample) => drillSample(sample, startedAt)),
    };
  });
}

const drillSample = ({ at, latencyMs, outcome, cluster }: Sample, startedAt: number): DrillSample => {
  const ok = outcome === 'answered';
  return {
    at: Math.round(startedAt + at),
    latencyMs: Math.round(latencyMs),
    ok,
    ...(!ok && { outcome }),
    ...(cluster !== undefined && { cluster }),
  };
};

/** Asks one question after the other; a slow answer delays the next one. */
function namesSampler(
  from: ClusterView,
  name: string,
  { caller, service }: DrillTraffic,
  toolkit: Toolkit,
  now: () => number,
): Promise<Sampler> {
  const samples: DrillSample[] = [];
  const kind: ClientKind = 'names';
  const site = from.site(caller);
  const stopping = new AbortController();
  const ask = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      samples.push(await lookUp(site, from.dns, name, toolkit, now));
      await toolkit.sleep(NAMES_INTERVAL_MS);
    }
  };
  const asking = ask();
  // What ends it, ends the drill too, and is told there.
  asking.catch(() => undefined);
  return Promise.resolve({
    client: { from: from.name, to: service.name, kind },
    stop: async () => {
      stopping.abort();
      await asking;
      return samples;
    },
  });
}

async function lookUp(
  site: Site,
  server: string,
  name: string,
  { family }: Toolkit,
  now: () => number,
): Promise<DrillSample> {
  const at = Math.round(now());
  const [resolution] = await site.resolve([
    { server, name, type: ADDRESS_RECORD[family], timeoutMs: REQUEST_TIMEOUT_MS },
  ]);
  const ok = resolution?.rcode === 'NOERROR' && resolution.addresses.length > 0;
  const outcome = resolution?.rcode ?? resolution?.outcome ?? 'error';
  return { at, latencyMs: Math.round(now() - at), ok, ...(!ok && { outcome }) };
}

/** Until every pair is answered again, or the budget is over: the samplers show the rest. */
async function awaitAnswers(
  pairs: readonly PairOfViews[],
  { caller, target, port }: DrillTraffic,
  toolkit: Toolkit,
): Promise<void> {
  await Promise.all(
    pairs.map(({ from, to }) =>
      toolkit.converge(
        () =>
          from
            .site(caller)
            .exchange([
              { protocol: 'http', address: to.site(target).address, port, timeoutMs: REQUEST_TIMEOUT_MS },
            ]),
        {
          succeeded: ([exchange]) => exchange?.outcome === 'answered',
          budgetMs: FAILBACK_MS.value,
          successes: Math.ceil(CALM_MS / 200),
        },
      ),
    ),
  );
}
