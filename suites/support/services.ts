/** Calls to a service that several clusters answer. */
import { CLIENT } from '../../fixtures/workloads.ts';
import { CONVERGENCE_MS } from '../../lib/model/budgets.ts';
import type { ClusterView, PairContext, Site, Toolkit } from '../../lib/model/check.ts';
import type { Exchange, ExchangeRequest } from '../../lib/model/probe.ts';
import { type Way, wayOf, wayOfBoth } from '../../lib/model/topology.ts';
import type { ServiceSpec } from '../../lib/model/workload.ts';

/** A proxy and another cluster may lie between: longer than any of them needs on a busy machine. */
export const SERVICE_TIMEOUT_MS = 3_000;

/** The callers of a large fleet together call every cluster at the same time: few at once of each, or they drown it. */
export const CALLS_AT_ONCE = 8;

/** Enough to meet both of two clusters that share calls evenly (odds of missing one: one in 10⁷). */
export const CALLS_TO_MEET_BOTH = 24;

/** Odds of one in a million that random balancing over `count` equals never picks one of them. */
export function callsToMeetAll(count: number): number {
  return Math.max(10, Math.ceil(count * Math.log(count / 1e-6)));
}

/** The clusters whose endpoints a caller in this cluster may be given. */
export function reachableFrom(
  cluster: string,
  toolkit: Pick<Toolkit, 'clusters' | 'pathBetween'>,
): ClusterView[] {
  return toolkit.clusters.filter(
    ({ name }) => name === cluster || toolkit.pathBetween(cluster, name).kind !== 'forbidden',
  );
}

/** Whose services a pair may use while pairs that go other ways use theirs. */
export const wayOfPair = ({ clusters, from, to }: Pick<PairContext, 'clusters' | 'from' | 'to'>): Way =>
  wayOf(
    clusters.map(({ name }) => name),
    { from: from.name, to: to.name },
  );

/** The same of both directions of a pair, where they use theirs together. */
export const wayOfBothDirections = ({
  clusters,
  from,
  to,
}: Pick<PairContext, 'clusters' | 'from' | 'to'>): Way =>
  wayOfBoth(
    clusters.map(({ name }) => name),
    { from: from.name, to: to.name },
  );

/** Clusters that answered, sorted. */
export function answerers(exchanges: readonly Exchange[]): string[] {
  const names = exchanges.flatMap(({ outcome, answeredBy }) =>
    outcome === 'answered' && answeredBy ? [answeredBy.cluster] : [],
  );
  return [...new Set(names)].toSorted();
}

export type Call = Omit<ExchangeRequest, 'timeoutMs'>;

export const sameCalls = (
  call: Call,
  count: number,
  timeoutMs: number = SERVICE_TIMEOUT_MS,
): ExchangeRequest[] => Array.from({ length: count }, () => ({ ...call, timeoutMs }));

/** Calls until all of these clusters have answered, or chance can no longer explain that one has not. */
export async function callUntilAllAnswer(
  caller: Site,
  call: Call,
  clusters: readonly string[],
): Promise<readonly Exchange[]> {
  const exchanges: Exchange[] = [];
  const missing = new Set(clusters);
  const limit = callsToMeetAll(clusters.length);
  while (missing.size > 0 && exchanges.length < limit) {
    const round = await caller.exchange(sameCalls(call, Math.max(10, clusters.length)), {
      concurrency: CALLS_AT_ONCE,
    });
    if (round.length === 0) break;
    exchanges.push(...round);
    for (const { answeredBy } of round) if (answeredBy) missing.delete(answeredBy.cluster);
  }
  return exchanges;
}

/**
 * Until backends that have just been started answer their own cluster: a caller elsewhere that comes too early may give up
 * that cluster as a whole, for as long as its proxy leaves alone what fails. Whether it did is for the calls to show.
 */
export async function untilKnownAtHome(
  { converge, family }: Pick<PairContext, 'converge' | 'family'>,
  cluster: ClusterView,
  service: ServiceSpec,
): Promise<void> {
  const address = cluster.sharedService(service).addresses[family] ?? '';
  const call = { protocol: 'http' as const, address, port: service.healthPort };
  await converge(() => callUntilAllAnswer(cluster.site(CLIENT), call, [cluster.name]), {
    succeeded: (exchanges) => answerers(exchanges).includes(cluster.name),
    budgetMs: CONVERGENCE_MS.value,
    successes: 1,
  });
}
