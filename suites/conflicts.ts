/** What becomes of a service that clusters export differently. */
import { contested, contestedIntent, contestedService, contestingService } from '../fixtures/sharing.ts';
import { CLIENT, client } from '../fixtures/workloads.ts';
import { CONVERGENCE_MS } from '../lib/model/budgets.ts';
import { type PairContext, defineCheck } from '../lib/model/check.ts';
import { type BrokenLink, type ExportState, SERVICE_CLASSES } from '../lib/model/cluster.ts';
import type { Exchange } from '../lib/model/probe.ts';
import { failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { callCommand, malformed } from './support/calls.ts';
import { told } from './support/links.ts';
import { answerers, sameCalls } from './support/services.ts';

/** Which of two exports is older is told by seconds (Kubernetes: creationTimestamp). */
const OLDER_BY_MS = 2_000;
const CALLS = 10;

/** How the service looks from one cluster. */
interface Look {
  readonly cluster: string;
  readonly address: string;
  readonly state: ExportState;
  /** At the port of the older export. */
  readonly exchanges: readonly Exchange[];
}

interface Contest {
  /** Exported first, and at this port. */
  readonly older: string;
  readonly newer: string;
  readonly port: number;
  /** While both export it. */
  readonly looks: readonly Look[];
  readonly elapsedMs: number;
  /** Of the older, when it alone exports it again. */
  readonly afterwards: ExportState;
  readonly links: readonly BrokenLink[];
}

const holdsOlder = ({ ports }: ExportState): boolean =>
  ports.length === 1 && ports[0]?.port === PORTS.service;

const isAnswered = ({ exchanges }: Look, older: string): boolean => answerers(exchanges).includes(older);

async function lookFrom(context: PairContext, cluster: PairContext['from']): Promise<Look> {
  const address = cluster.sharedService(contestedService).addresses[context.family] ?? '';
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  const [state, exchanges] = await Promise.all([
    context.exportState(contestedService, cluster.name),
    address ? cluster.site(CLIENT).exchange(sameCalls(call, CALLS)) : [],
  ]);
  return { cluster: cluster.name, address, state, exchanges };
}

const shownPorts = ({ ports }: ExportState): string =>
  ports.map(({ name, port, protocol }) => `${name} ${port}/${protocol}`).join(', ') || 'no port';

export const conflict = defineCheck({
  id: 'sharing.conflict',
  title: 'Where clusters export a service differently, all are told, and the oldest export holds in each',
  level: 'extended',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['share-service', 'export-conflicts', 'endpoint-discovery'],
  dependsOn: ['discovery.answers'],
  uses: [client, contested],
  oneAtATime: 'of all',
  budgets: { convergence: CONVERGENCE_MS },
  faults: [{ kind: 'control-plane-stopped', cause: 'control-plane-down' }],
  hint: 'Compare the exports of all clusters: their ports and types, how old they are, and what is said of each',
  reference: 'KEP-1645 (Multi-Cluster Services API), "Constraints and Conflict Resolution"',
  timeoutMs: 180_000,

  async observe(context, { convergence }): Promise<Contest> {
    const { from, to } = context;
    await context.apply(contestedIntent, from.name);
    await context.sleep(OLDER_BY_MS);
    await context.exposeService(contestingService, to.name);
    await context.apply(contestedIntent, to.name);
    const { last: looks, elapsedMs } = await context.converge(
      () => Promise.all([from, to].map((cluster) => lookFrom(context, cluster))),
      {
        succeeded: (all) =>
          all.every(
            (look) =>
              look.state.conflict !== undefined && holdsOlder(look.state) && isAnswered(look, from.name),
          ),
        budgetMs: convergence,
        successes: 1,
      },
    );
    const links = (
      await Promise.all([context.brokenLinks(from.name, to.name), context.brokenLinks(to.name, from.name)])
    ).flat();
    await context.withdraw(contestedIntent, to.name);
    const { last: afterwards } = await context.converge(
      () => context.exportState(contestedService, from.name),
      { succeeded: ({ conflict: words }) => words === undefined, budgetMs: convergence, successes: 1 },
    );
    return { older: from.name, newer: to.name, port: PORTS.service, looks, elapsedMs, afterwards, links };
  },

  judge({ older, newer, port, looks, elapsedMs, afterwards, links }) {
    if (looks.length < 2) return inconclusive('probe-failed', 'Not both clusters were looked at');
    const broken = looks
      .map(({ exchanges, address }) => (address ? malformed(exchanges, CALLS) : undefined))
      .find(Boolean);
    if (broken) return broken;
    const [likeliest] = told(links);
    const untold = looks.filter(({ state }) => state.conflict === undefined);
    const expected = `both are told of a conflict, and find the service at port ${port} of ${older}, which exported it first`;
    const seen = looks
      .map(
        ({ cluster, state, exchanges }) =>
          `${cluster}: ${state.conflict ?? 'no conflict'}; ${shownPorts(state)}; answered by ${answerers(exchanges).join(', ') || 'nobody'} in ${exchanges.length} calls`,
      )
      .join('; ');
    if (untold.length > 0) {
      return failed(
        likeliest?.cause ?? 'conflict-told-wrongly',
        likeliest?.what ?? `${untold.map(({ cluster }) => cluster).join(' and ')} is told of no conflict`,
        { expected, seen },
      );
    }
    const lost = looks.find((look) => !holdsOlder(look.state) || !isAnswered(look, older));
    if (lost) {
      return failed(
        likeliest?.cause ?? 'conflict-unresolved',
        likeliest?.what ?? `Callers of ${lost.cluster} do not find what ${older} exported before ${newer}`,
        {
          expected,
          seen,
          reproduce: { at: `${lost.cluster}/${CLIENT}`, command: callCommand('http', lost.address, port) },
        },
      );
    }
    if (afterwards.conflict !== undefined) {
      return failed('conflict-told-wrongly', `${older} is told of a conflict with nobody`, {
        expected: `no conflict once ${newer} has withdrawn its export`,
        seen: afterwards.conflict,
      });
    }
    return passed(`${older}, which exported first, holds; both are told`, {
      'told after': { value: elapsedMs, unit: 'ms' },
    });
  },
});
