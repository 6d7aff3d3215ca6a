import { BACKENDS, backends } from '../fixtures/backends.ts';
import { type Sharing, sharingFixtures, sharingService } from '../fixtures/sharing.ts';
import { CLIENT, client } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS } from '../lib/model/budgets.ts';
import { type ClusterView, type PairContext, type Suite, defineCheck } from '../lib/model/check.ts';
import { type BrokenLink, SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { FaultExpectation } from '../lib/model/fault.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { conflict } from './conflicts.ts';
import { mutualSharing } from './mutualSharing.ts';
import { PATIENT_TIMEOUT_MS, callCommand, countOutcomes, malformed } from './support/calls.ts';
import { told } from './support/links.ts';
import {
  CALLS_AT_ONCE,
  CALLS_TO_MEET_BOTH,
  answerers,
  sameCalls,
  untilKnownAtHome,
  wayOfBothDirections,
} from './support/services.ts';

/** Where backends run while the service is called, as callers see it. */
const PLACEMENTS = ['here and there', 'there only', 'here only', 'nowhere'] as const;
type Placement = (typeof PLACEMENTS)[number];

const placementOf = (from: string, running: readonly string[]): Placement => {
  if (running.length === 0) return 'nowhere';
  if (running.length > 1) return 'here and there';
  return running.includes(from) ? 'here only' : 'there only';
};

/** And more than a few that go where they should not. */
const CALLS = CALLS_TO_MEET_BOTH;
const CALL_TIMEOUT_MS = 1_000;
/**
 * Whether a look is worth its calls, for each cluster that should answer: several tables are filled at once, and each call
 * is several where proxies retry. Looked at no more often than this, where nothing has settled.
 */
const FEW_CALLS = 3;
const LOOK_MS = 500;
/** After a placement that did not settle, by which the table has failed: the others are only looked at. */
const AFTER_FAILURE_MS = 5_000;

interface Row {
  readonly placement: Placement;
  readonly exchanges: readonly Exchange[];
  /** Until they were answered by whom they should be. */
  readonly elapsedMs: number;
}

interface TruthTable {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly port: number;
  readonly rows: readonly Row[];
  /** Where a cluster was missing. */
  readonly links: readonly BrokenLink[];
}

/** Clusters that must answer callers of `from`, and nobody else: the truth table itself. */
export function expectedAnswerers(
  sharing: Sharing,
  placement: Placement,
  { from, to }: Pick<TruthTable, 'from' | 'to'>,
): string[] {
  const here = ['here and there', 'here only'].includes(placement) ? [from] : [];
  const there = ['here and there', 'there only'].includes(placement) ? [to] : [];
  switch (sharing) {
    case 'spread':
      return [...here, ...there].toSorted();
    case 'prefer-local':
      return here.length > 0 ? here : there;
    case 'prefer-remote':
      return there.length > 0 ? there : here;
    case 'not-offered':
      return here;
  }
}

const shown = (names: readonly string[]): string => names.join(', ') || 'nobody';

/** Of one alone in each cluster a single failure would make proxies prefer the other. */
async function place(cluster: ClusterView, port: number, running: boolean): Promise<void> {
  await Promise.all(
    BACKENDS.map((key) => {
      const site = cluster.site(key);
      return running ? site.startBackend({ port, inAgent: true }) : site.stopBackend(port);
    }),
  );
}

async function observeTable(context: PairContext, sharing: Sharing, budgetMs: number): Promise<TruthTable> {
  const { from, to, family } = context;
  const service = sharingService(sharing, wayOfBothDirections(context));
  const port = service.healthPort;
  const address = from.sharedService(service).addresses[family] ?? '';
  const facts = { from: from.name, to: to.name, address, port };
  const oneCall = { protocol: 'http' as const, address, port };
  const calls = sameCalls(oneCall, CALLS, CALL_TIMEOUT_MS);
  const patient = sameCalls(oneCall, CALLS, PATIENT_TIMEOUT_MS);
  let rowBudgetMs = budgetMs;
  const look = async (placement: Placement): Promise<Row> => {
    const expected = expectedAnswerers(sharing, placement, facts);
    const nobody = expected.length === 0;
    // Backends that were stopped a moment ago refuse until everybody has heard of it.
    const settled = (exchanges: readonly Exchange[]): boolean =>
      answerers(exchanges).join() === expected.join() &&
      (nobody || exchanges.every(({ outcome }) => outcome === 'answered'));
    // Where nobody runs, calls may be met by silence: all of them wait at once, for as long as few would.
    const concurrency = nobody ? CALLS : CALLS_AT_ONCE;
    const call = (some: typeof calls) => from.site(CLIENT).exchange(some, { concurrency });
    const { last, elapsedMs } = await context.converge(
      async () => {
        const few = await call(calls.slice(0, FEW_CALLS * Math.max(1, expected.length)));
        return settled(few) ? call(calls) : few;
      },
      // A few and then all of them have settled: that is twice in a row.
      { succeeded: settled, budgetMs: rowBudgetMs, successes: 1, intervalMs: LOOK_MS },
    );
    // Judged is a whole look; what is only late is no loss.
    const exchanges = last.length < CALLS || !settled(last) ? await call(patient) : last;
    if (!settled(exchanges)) rowBudgetMs = Math.min(rowBudgetMs, AFTER_FAILURE_MS);
    return { placement, exchanges, elapsedMs };
  };
  const rows: Row[] = [];
  const isCalledThere = expectedAnswerers(sharing, 'here and there', {
    from: to.name,
    to: from.name,
  }).includes(to.name);
  const lookWhile = async (
    running: readonly ClusterView[],
    change: () => Promise<unknown>,
  ): Promise<void> => {
    const names = running.map(({ name }) => name);
    await context.inStep(`backends in ${shown(names)}`, async () => void (await change()));
    if (rows.length === 0 && isCalledThere) await untilKnownAtHome(context, to, service);
    rows.push(await look(placementOf(from.name, names)));
  };
  // Both directions look at the same backends, so both go through the placements in the same order.
  const [one, other] = [from, to].toSorted((a, b) => a.name.localeCompare(b.name)) as [
    ClusterView,
    ClusterView,
  ];
  const start = (cluster: ClusterView) => place(cluster, port, true);
  const stop = (cluster: ClusterView) => place(cluster, port, false);
  await lookWhile([one, other], () => Promise.all([start(one), start(other)]));
  await lookWhile([other], () => stop(one));
  await lookWhile([one], () => Promise.all([start(one), stop(other)]));
  await lookWhile([], () => stop(one));
  const lacking = rows.some(({ placement, exchanges }) =>
    expectedAnswerers(sharing, placement, facts).some((name) => !answerers(exchanges).includes(name)),
  );
  return { ...facts, rows, links: lacking ? await context.brokenLinks(from.name, to.name) : [] };
}

function judgeTable(sharing: Sharing, { from, to, address, port, rows, links }: TruthTable): Verdict {
  if (!address) return inconclusive('control-failed', 'Sharing the service gave its callers no address');
  if (PLACEMENTS.some((placement) => !rows.some((row) => row.placement === placement))) {
    return inconclusive('probe-failed', 'Not every row of the truth table was observed');
  }
  const broken = rows.map(({ exchanges }) => malformed(exchanges, CALLS)).find(Boolean);
  if (broken) return broken;
  if (!rows.some(({ exchanges }) => answerers(exchanges).length > 0)) {
    return inconclusive(
      'control-failed',
      'Nobody answered wherever backends ran, so nothing is known of who must not',
    );
  }
  const figures = Object.fromEntries(
    rows.map(({ placement, elapsedMs }) => [`settled, ${placement}`, { value: elapsedMs, unit: 'ms' }]),
  );
  const everAnswering = new Set(rows.flatMap(({ exchanges }) => answerers(exchanges)));
  for (const { placement, exchanges } of rows) {
    const expected = expectedAnswerers(sharing, placement, { from, to });
    const seen = answerers(exchanges);
    const extra = seen.filter((name) => !expected.includes(name));
    const missing = expected.filter((name) => !seen.includes(name));
    const lost = exchanges.filter(({ outcome }) => outcome !== 'answered');
    const details = {
      expected: `backends ${placement}: answered by ${shown(expected)}`,
      seen: `answered by ${shown(seen)}${lost.length > 0 ? `, ${countOutcomes(lost)}` : ''}`,
      figures,
      reproduce: { at: `${from}/${CLIENT}`, command: callCommand('http', address, port) },
    };
    if (extra.length > 0 && placement === 'nowhere') {
      return failed('withdrawal-slow', `${shown(extra)} still answers, though no backend runs`, details);
    }
    // Who answers in the place of a cluster that never does was not preferred to it.
    const replacing = missing.length > 0 && missing.every((name) => !everAnswering.has(name));
    if (extra.length > 0 && !replacing) {
      return sharing === 'not-offered'
        ? failed(
            'not-shared-but-answered',
            `${shown(extra)} answers, which does not offer the service`,
            details,
          )
        : failed('preference-ignored', `${shown(extra)} answers though others are preferred`, details);
    }
    if (missing.length > 0) {
      const [likeliest] = told(links);
      return failed(
        likeliest?.cause ?? (seen.join() === from ? 'local-endpoints-only' : 'remote-endpoints-missing'),
        likeliest?.what ?? `${shown(missing)} never answered`,
        details,
      );
    }
    if (lost.length > 0 && expected.length > 0) {
      return failed('packets-lost', `${lost.length} of ${exchanges.length} calls were lost`, details);
    }
  }
  return passed(`answered as it is shared, wherever its backends run`, figures);
}

/** What callers see of a cluster that does not share, where it should be among those that answer or the only one; or does. */
const FAULTS: Readonly<Record<Sharing, FaultExpectation>> = {
  spread: { kind: 'service-not-shared', cause: 'local-endpoints-only' },
  'prefer-local': { kind: 'service-not-shared', cause: 'remote-endpoints-missing' },
  'prefer-remote': { kind: 'service-not-shared', cause: 'local-endpoints-only' },
  'not-offered': { kind: 'everything-exported', cause: 'not-shared-but-answered' },
};

interface Table {
  readonly sharing: Sharing;
  readonly title: string;
  readonly level: 'core' | 'extended';
}

const tableCheck = ({ sharing, title, level }: Table) =>
  defineCheck({
    id: `sharing.${sharing}`,
    title,
    level,
    scope: 'pair',
    classes: SERVICE_CLASSES,
    requires: ['share-service', 'l7.service'],
    dependsOn: ['reachability.http', 'discovery.answers'],
    uses: [client, backends, ...sharingFixtures(sharing)],
    budgets: { convergence: CONVERGENCE_MS },
    oneAtATime: 'both ways',
    mostlyWaits: true,
    faults: [FAULTS[sharing]],
    hint: 'Compare the endpoints that callers are given with how the service is shared in each cluster',
    reference: 'https://docs.cilium.io/en/stable/network/clustermesh/affinity/',
    judgeVersion: 3,
    timeoutMs: 180_000,
    observe: (context, { convergence }) => observeTable(context, sharing, convergence),
    judge: (observed) => judgeTable(sharing, observed),
  });

export const spread = tableCheck({
  sharing: 'spread',
  title: 'A service that is spread is answered by every cluster that has backends, and by no other',
  level: 'core',
});
export const preferLocal = tableCheck({
  sharing: 'prefer-local',
  title: 'A service that prefers local backends leaves its cluster only when it has none',
  level: 'core',
});
export const preferRemote = tableCheck({
  sharing: 'prefer-remote',
  title: 'A service that prefers remote backends stays in its cluster only when there are no others',
  level: 'extended',
});
export const notOffered = tableCheck({
  sharing: 'not-offered',
  title: 'Backends that a cluster does not offer answer its own callers only',
  level: 'extended',
});

export const sharing: Suite = {
  id: 'sharing',
  title: 'Callers are led to the backends that the way of sharing says, wherever they run',
  checks: [spread, preferLocal, preferRemote, notOffered, mutualSharing, conflict],
};
