/** Who answers for a service while not every cluster shares it. */
import { keptIntent, mutual, mutualIntent, mutualService } from '../fixtures/sharing.ts';
import { CLIENT, client } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS, DENY_HOLDS_MS } from '../lib/model/budgets.ts';
import { defineCheck } from '../lib/model/check.ts';
import { type BrokenLink, SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { PATIENT_TIMEOUT_MS, callCommand, countOutcomes, malformed } from './support/calls.ts';
import { told } from './support/links.ts';
import { CALLS_AT_ONCE, CALLS_TO_MEET_BOTH, answerers, sameCalls } from './support/services.ts';

/**
 * Who shares the service, in the order in which callers see it: what one alone says comes before both have agreed, and after.
 * Between, both share it, and one of them offers its own backends to nobody else.
 */
const SHARERS = [
  'nobody',
  'the caller’s cluster only',
  'both',
  'both, of which the other cluster keeps its backends to itself',
  'both, of which the caller’s cluster keeps its backends to itself',
  'the other cluster only',
] as const;
type Sharers = (typeof SHARERS)[number];

const LOOK_MS = 500;

interface Row {
  readonly sharers: Sharers;
  /** While it was as it should be, or at the last look. */
  readonly exchanges: readonly Exchange[];
  /** Until it was answered by whom it should be. */
  readonly elapsedMs: number;
}

interface Agreement {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly rows: readonly Row[];
  /** Where the other cluster was missing. */
  readonly links: readonly BrokenLink[];
}

/** Those with whose backends callers are served by both: what their own cluster keeps to itself is theirs all the same. */
const ANSWERED_BY_BOTH: readonly Sharers[] = [
  'both',
  'both, of which the caller’s cluster keeps its backends to itself',
];

const expectedOf = (sharers: Sharers, { from, to }: Pick<Agreement, 'from' | 'to'>): string[] =>
  ANSWERED_BY_BOTH.includes(sharers) ? [from, to].toSorted() : [from];

export const mutualSharing = defineCheck({
  id: 'sharing.mutual',
  title:
    'A service is answered by another cluster only while both the caller’s and that one share it, and that one offers its backends',
  level: 'extended',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['share-service', 'l7.service', 'mutual-sharing'],
  dependsOn: ['discovery.answers'],
  uses: [client, mutual],
  oneAtATime: 'of all',
  mostlyWaits: true,
  budgets: { convergence: CONVERGENCE_MS, holds: DENY_HOLDS_MS },
  faults: [{ kind: 'everything-exported', cause: 'not-shared-but-answered' }],
  hint: 'Compare what each cluster says of sharing at its own service of this name, and whether a default of the namespace or the cluster shares it',
  reference: 'https://docs.cilium.io/en/stable/network/clustermesh/services/',
  judgeVersion: 2,
  timeoutMs: 240_000,

  async observe(context, { convergence, holds }): Promise<Agreement> {
    const { from, to, family } = context;
    const address = from.sharedService(mutualService).addresses[family] ?? '';
    const facts = { from: from.name, to: to.name, address };
    const calls = sameCalls(
      { protocol: 'http', address, port: PORTS.service },
      CALLS_TO_MEET_BOTH,
      PATIENT_TIMEOUT_MS,
    );
    const call = () => from.site(CLIENT).exchange(calls, { concurrency: CALLS_AT_ONCE });
    const look = async (sharers: Sharers): Promise<Row> => {
      const expected = expectedOf(sharers, facts).join();
      const { last, elapsedMs } = await context.converge(call, {
        succeeded: (exchanges) => answerers(exchanges).join() === expected,
        budgetMs: convergence,
        successes: 1,
        intervalMs: LOOK_MS,
      });
      return { sharers, exchanges: last, elapsedMs };
    };
    /** What one of them alone says may only be on its way. */
    const watch = async (sharers: Sharers): Promise<Row> => {
      const { exchanges, elapsedMs } = await look(sharers);
      const all = [...exchanges];
      const until = context.elapsed() + holds;
      while (context.elapsed() < until) {
        await context.sleep(LOOK_MS);
        all.push(...(await call()));
      }
      return { sharers, exchanges: all, elapsedMs };
    };
    const rows = [await look('nobody')];
    await context.apply(mutualIntent, from.name);
    rows.push(await watch('the caller’s cluster only'));
    await context.apply(mutualIntent, to.name);
    const links: BrokenLink[] = [];
    /** Where the other cluster should be among those who answer, links are looked at while it is not. */
    const lookAtBoth = async (sharers: Sharers): Promise<void> => {
      const row = await look(sharers);
      rows.push(row);
      if (!answerers(row.exchanges).includes(to.name))
        links.push(...(await context.brokenLinks(from.name, to.name)));
    };
    await lookAtBoth('both');
    const change = async (cluster: string, before: typeof mutualIntent, after: typeof mutualIntent) => {
      await context.withdraw(before, cluster);
      await context.apply(after, cluster);
    };
    await change(to.name, mutualIntent, keptIntent);
    rows.push(await watch('both, of which the other cluster keeps its backends to itself'));
    await change(to.name, keptIntent, mutualIntent);
    await change(from.name, mutualIntent, keptIntent);
    await lookAtBoth('both, of which the caller’s cluster keeps its backends to itself');
    await context.withdraw(keptIntent, from.name);
    rows.push(await watch('the other cluster only'));
    return { ...facts, rows, links };
  },

  judge({ from, to, address, rows, links }) {
    if (!address) return inconclusive('control-failed', 'The service has no address that could be called');
    if (SHARERS.some((sharers) => !rows.some((row) => row.sharers === sharers))) {
      return inconclusive('probe-failed', 'Not every row of the truth table was observed');
    }
    const broken = rows
      .map(({ exchanges }) => malformed(exchanges, Math.max(CALLS_TO_MEET_BOTH, exchanges.length)))
      .find(Boolean);
    if (broken) return broken;
    const figures = Object.fromEntries(
      rows.map(({ sharers, elapsedMs }) => [
        `settled, shared by ${sharers}`,
        { value: elapsedMs, unit: 'ms' },
      ]),
    );
    for (const { sharers, exchanges } of rows) {
      const expected = expectedOf(sharers, { from, to });
      const seen = answerers(exchanges);
      const lost = exchanges.filter(({ outcome }) => outcome !== 'answered');
      const details = {
        expected: `shared by ${sharers}: answered by ${expected.join(', ')}`,
        seen: `answered by ${seen.join(', ') || 'nobody'}${lost.length > 0 ? `, ${countOutcomes(lost)}` : ''}`,
        figures,
        reproduce: { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) },
      };
      const extra = seen.filter((name) => !expected.includes(name));
      if (extra.length > 0) {
        return failed(
          'not-shared-but-answered',
          `${extra.join(', ')} answers for a service that is shared by ${sharers}`,
          details,
        );
      }
      const missing = expected.filter((name) => !seen.includes(name));
      if (missing.includes(from)) {
        return inconclusive('control-failed', `${from} itself does not answer: ${details.seen}`);
      }
      if (missing.length > 0) {
        const [likeliest] = told(links);
        return failed(
          likeliest?.cause ?? 'local-endpoints-only',
          likeliest?.what ?? `${missing.join(', ')} never answered, though both clusters share the service`,
          details,
        );
      }
      if (lost.length > 0) {
        return failed('packets-lost', `${lost.length} of ${exchanges.length} calls were lost`, details);
      }
    }
    return passed(
      `${to} answered callers of ${from} only while both shared the service and it offered its backends`,
      figures,
    );
  },
});
