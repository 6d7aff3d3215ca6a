/** Cells of a policy's truth table: probed all at once, compared with what the intents make of them. */
import type { ClusterView, Site, Toolkit } from '../../lib/model/check.ts';
import { type CellExpectation, type PolicyPeer, expectedOfPolicy } from '../../lib/model/intent.ts';
import type { Exchange, Outcome } from '../../lib/model/probe.ts';
import type { Protocol } from '../../lib/model/workload.ts';
import { GOVERNED_KEYS, GOVERNED_PORTS } from '../../fixtures/policy.ts';
import { PATIENT_TIMEOUT_MS, callCommand, isOutcome } from './calls.ts';

/** One flow of the table, and how it ended each time it was tried. */
export interface Cell {
  /** `namespace/name` */
  readonly source: string;
  readonly target: string;
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly expected: CellExpectation;
  readonly outcomes: readonly Outcome[];
  /** Whether the target received a request, answered or not. */
  readonly arrived: boolean;
  /** Set when somebody else than the target answered. */
  readonly stranger?: string;
}

/** All cells from the governed workloads of one cluster to those of another, or of the same. */
export interface Table {
  readonly from: string;
  readonly to: string;
  readonly cells: readonly Cell[];
  /** Cells within the target's cluster, where the technology cannot let single workloads of another one in. */
  readonly controls?: readonly Cell[];
}

export type Effect = 'allowed' | 'refused';

/** Long enough on a busy machine for what is allowed; every refused cell costs it once, all at the same time. */
export const CELL_TIMEOUT_MS = 1_000;

/** How many cells a table of this shape has: a workload's own address is none of them. */
export function cellCount(sameCluster: boolean): number {
  const targets = GOVERNED_KEYS.length - (sameCluster ? 1 : 0);
  return GOVERNED_KEYS.length * targets * GOVERNED_PORTS.length * 2;
}

/** The table is whole: every cell once, each tried, and what came back is no failure of the probe. */
export function isWhole({ from, to, cells }: Table): boolean {
  const flows = new Set(cells.filter(isTried).map(shownFlow));
  return cells.length === flows.size && flows.size === cellCount(from === to);
}

const isTried = ({ source, target, port, arrived, outcomes }: Cell): boolean =>
  [source, target].every((key) => GOVERNED_KEYS.includes(key)) &&
  GOVERNED_PORTS.includes(port) &&
  typeof arrived === 'boolean' &&
  outcomes.length > 0 &&
  outcomes.every((outcome) => isOutcome(outcome) && outcome !== 'error');

/** Something answered or arrived even once: early refusals or lost packets make no policy. */
export function effectOf(cell: Cell): Effect {
  return cell.arrived || cell.outcomes.includes('answered') ? 'allowed' : 'refused';
}

export const expectedEffect = (cell: Cell): Effect | undefined =>
  cell.expected === 'inexpressible' ? undefined : cell.expected === 'allow' ? 'allowed' : 'refused';

export const peerOf = (site: Site): PolicyPeer => ({
  cluster: site.cluster,
  namespace: site.spec?.namespace ?? '',
  labels: site.spec?.labels ?? {},
});

export interface Flow {
  readonly source: Site;
  readonly target: Site;
  readonly port: number;
  readonly protocol: Protocol;
}

export function flowsBetween(from: ClusterView, to: ClusterView): Flow[] {
  const sites = (view: ClusterView) => GOVERNED_KEYS.map((key) => view.site(key));
  return sites(from).flatMap((source) =>
    sites(to)
      .filter((target) => target.cluster !== source.cluster || target.key !== source.key)
      .flatMap((target) =>
        GOVERNED_PORTS.flatMap((port) =>
          (['tcp', 'udp'] as const).map((protocol) => ({ source, target, port, protocol })),
        ),
      ),
  );
}

/** What the policies that stand say of a flow. */
export const expectedOfFlow = (
  { source, target, port, protocol }: Flow,
  { standingPolicies, policySemantics }: Pick<Toolkit, 'standingPolicies' | 'policySemantics'>,
): CellExpectation =>
  expectedOfPolicy(standingPolicies, policySemantics, {
    from: peerOf(source),
    to: peerOf(target),
    port,
    protocol,
  });

/** Tries flows from fresh sockets: one request per source, all at once unless limited. In the order of the flows. */
export async function tryFlows(
  flows: readonly Flow[],
  toolkit: Pick<Toolkit, 'nonce'>,
  timeoutMs: number = CELL_TIMEOUT_MS,
  limits?: Parameters<Site['exchange']>[1],
): Promise<Exchange[]> {
  const bySource = Map.groupBy(flows, ({ source }) => `${source.cluster}/${source.key}`);
  const results = new Map<Flow, Exchange>();
  await Promise.all(
    [...bySource.values()].map(async (group) => {
      const exchanges = await (group[0] as Flow).source.exchange(
        group.map(({ target, port, protocol }) => ({
          protocol,
          address: target.address,
          port,
          nonce: toolkit.nonce(),
          timeoutMs,
        })),
        limits,
      );
      group.forEach((flow, index) => {
        const exchange = exchanges[index];
        if (exchange) results.set(flow, exchange);
      });
    }),
  );
  return flows.map((flow) => {
    const exchange = results.get(flow);
    if (!exchange) throw new TypeError('the probe reported fewer exchanges than it was asked for');
    return exchange;
  });
}

/** Which of these unanswered requests the targets received nevertheless. */
async function arrivals(tried: readonly (readonly [Flow, Exchange])[]): Promise<Set<string>> {
  const unanswered = tried.filter(([, { outcome }]) => outcome !== 'answered');
  const byTarget = Map.groupBy(unanswered, ([{ target }]) => `${target.cluster}/${target.key}`);
  const receipts = await Promise.all(
    [...byTarget.values()].map((group) =>
      (group[0] as (typeof group)[number])[0].target.received(group.map(([, { nonce }]) => nonce)),
    ),
  );
  return new Set(receipts.flat().map(({ nonce }) => nonce));
}

/**
 * Tries every cell of these tables, and the unanswered ones again at the end of the window: a refusal must hold, and a
 * packet lost once is no refusal. What ought to pass is tried a last time with patience, before it is called refused.
 * What passes although it is forbidden is tried anew while its policy may still be on the way to those who enforce it.
 */
export async function probeTables(
  pairs: readonly (readonly [ClusterView, ClusterView])[],
  toolkit: Toolkit,
  holdsMs: number,
): Promise<Table[]> {
  const expectedOf = (flow: Flow): CellExpectation => expectedOfFlow(flow, toolkit);
  const flows = pairs.map(([from, to]) => flowsBetween(from, to));
  let began = 0;
  const tryEach = () => {
    began = toolkit.elapsed();
    return tryAll(flows.flat());
  };
  const { last: first } = await toolkit.converge(tryEach, {
    succeeded: (tried) => !hasLeak(tried),
    budgetMs: Math.max(0, toolkit.standingDue - toolkit.elapsed()),
    successes: 1,
  });
  const open = flows.flat().filter((flow) => first.get(flow)?.outcome !== 'answered');
  await toolkit.sleep(Math.max(0, holdsMs - (toolkit.elapsed() - began)));
  const second = await tryAll(open);
  const owed = open.filter(
    (flow) => second.get(flow)?.outcome !== 'answered' && expectedOf(flow) === 'allow',
  );
  const last = await tryAll(owed, PATIENT_TIMEOUT_MS);
  const arrived = await arrivals([...first, ...second, ...last]);

  return pairs.map(([from, to], index) => ({
    from: from.name,
    to: to.name,
    cells: (flows[index] ?? []).map((flow): Cell => {
      const exchanges = [first, second, last].flatMap((tries) => tries.get(flow) ?? []);
      const stranger = exchanges.map((exchange) => strangerOf(exchange, flow.target)).find(Boolean);
      return {
        source: flow.source.key,
        target: flow.target.key,
        address: flow.target.address,
        port: flow.port,
        protocol: flow.protocol,
        expected: expectedOf(flow),
        outcomes: exchanges.map(({ outcome }) => outcome),
        arrived: exchanges.some(({ nonce }) => arrived.has(nonce)),
        ...(stranger && { stranger }),
      };
    }),
  }));

  function hasLeak(tried: ReadonlyMap<Flow, Exchange>): boolean {
    return [...tried].some(([flow, { outcome }]) => outcome === 'answered' && expectedOf(flow) === 'deny');
  }

  async function tryAll(
    wanted: readonly Flow[],
    timeoutMs: number = CELL_TIMEOUT_MS,
  ): Promise<Map<Flow, Exchange>> {
    const exchanges = await tryFlows(wanted, toolkit, timeoutMs);
    return new Map(wanted.map((flow, index) => [flow, exchanges[index] as Exchange]));
  }
}

function strangerOf({ answeredBy }: Exchange, target: Site): string | undefined {
  if (!answeredBy) return undefined;
  const key = `${answeredBy.namespace}/${answeredBy.workload}`;
  return answeredBy.cluster === target.cluster && key === target.key
    ? undefined
    : `${answeredBy.cluster}/${key}`;
}

/** `mcnet-policy-x/a → mcnet-policy-x/b TCP 7000` */
export const shownFlow = (cell: Cell): string => `${endsOf(cell)} ${portOf(cell)}`;

/** The same of many cells, those between the same ends together: `… TCP 7000, TCP 7001; …` */
export function shownFlows(cells: readonly Cell[]): string {
  const groups = [...Map.groupBy(cells, endsOf)];
  return groups.map(([ends, group]) => `${ends} ${group.map(portOf).join(', ')}`).join('; ');
}

const endsOf = ({ source, target }: Cell): string => `${source} → ${target}`;
const portOf = ({ port, protocol }: Cell): string => `${protocol.toUpperCase()} ${port}`;

/** The flow with its clusters, `reproduce` at its source. */
export const reproduceCell = (from: string, { source, address, port, protocol }: Cell) => ({
  at: `${from}/${source}`,
  command: callCommand(protocol, address, port),
});
