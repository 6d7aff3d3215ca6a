import { CANARY, CANARY_PEER, canaries, canaryDeny, governed } from '../fixtures/policy.ts';
import { CONVERGENCE_MS, CONVERGENCE_SUCCESSES, DENY_HOLDS_MS } from '../lib/model/budgets.ts';
import {
  type ClusterContext,
  type Converged,
  type Site,
  type Suite,
  defineCheck,
} from '../lib/model/check.ts';
import type { Feature } from '../lib/model/cluster.ts';
import type { PolicyIntent } from '../lib/model/intent.ts';
import type { Exchange, Outcome, Sampling } from '../lib/model/probe.ts';
import { type Verdict, failed, inconclusive, passed, skipped } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { byIdentity } from './policyByIdentity.ts';
import { defaultScope } from './policyScope.ts';
import { ofNewcomers } from './policyOfNewcomers.ts';
import { callCommand, countOutcomes, malformed, shownOutcome } from './support/calls.ts';
import {
  type Cell,
  type Effect,
  type Table,
  cellCount,
  effectOf,
  expectedEffect,
  isWhole,
  probeTables,
  reproduceCell,
  shownFlow,
  shownFlows,
} from './support/cells.ts';

const POLICY: readonly Feature[] = ['l3.pod', 'l4.udp', 'policy'];
const KUBERNETES = 'Kubernetes, Network Policies (networking.k8s.io/v1)';
/** A refusal proves something only where source and target are seen to be alive in other cells. */
function hasControls(cell: Cell, { cells, controls = [] }: Table): boolean {
  const isAlive = ({ outcomes }: Cell) => outcomes.includes('answered');
  return (
    cells.filter(isAlive).some(({ source }) => source === cell.source) &&
    [...cells, ...controls]
      .filter(isAlive)
      .some(
        ({ target, port, protocol }) =>
          target === cell.target && port === cell.port && protocol === cell.protocol,
      )
  );
}

function judgeTable(table: Table): Verdict {
  const { from, to, cells } = table;
  if (!isWhole(table)) {
    return inconclusive(
      'probe-failed',
      `Not all ${cellCount(from === to)} cells of the truth table were tried`,
    );
  }
  const judged = cells.filter((cell) => expectedEffect(cell) !== undefined);
  if (judged.length === 0) return skipped('No cell of the truth table can be expressed by this technology');
  const denied = judged.filter((cell) => expectedEffect(cell) === 'refused');
  if (denied.length === 0 || denied.length === judged.length) {
    return inconclusive(
      'control-failed',
      'The policies that stand allow or refuse everything, so they prove nothing',
    );
  }
  const figures = {
    cells: { value: judged.length, unit: 'cells' },
    refused: { value: denied.length, unit: 'cells' },
    'not expressible': { value: cells.length - judged.length, unit: 'cells' },
  };
  const where = from === to ? `within ${from}` : `from ${from} to ${to}`;
  /** Cells that have the same in common, as one text. */
  const grouped = (wrong: readonly Cell[], common: (cell: Cell) => string): string =>
    [...Map.groupBy(wrong, common)].map(([what, group]) => `${what}: ${shownFlows(group)}`).join('; ');
  const fail = (
    cause: 'wrong-answerer' | 'policy-not-enforced' | 'policy-too-strict',
    wrong: readonly Cell[],
    reason: string,
    seen: (cell: Cell) => string,
  ): Verdict =>
    failed(cause, reason, {
      expected: grouped(
        wrong,
        (cell) => `${where} ${expectedEffect(cell) ?? 'answered by the target, if at all'}`,
      ),
      seen: grouped(wrong, seen),
      figures: { ...figures, wrong: { value: wrong.length, unit: 'cells' } },
      reproduce: reproduceCell(from, wrong[0] as Cell),
    });

  const strange = cells.filter(({ stranger }) => stranger !== undefined);
  if (strange.length > 0) {
    return fail(
      'wrong-answerer',
      strange,
      'Somebody else than the target answers',
      ({ stranger }) => `answered by ${stranger}`,
    );
  }
  const open = denied.filter((cell) => effectOf(cell) === 'allowed');
  if (open.length > 0) {
    return fail(
      'policy-not-enforced',
      open,
      `${open.length} of ${denied.length} forbidden flows pass ${where}`,
      shownPassage,
    );
  }
  const shut = judged.filter(
    (cell) => expectedEffect(cell) === 'allowed' && !cell.outcomes.includes('answered'),
  );
  if (shut.length > 0) {
    return fail(
      'policy-too-strict',
      shut,
      `${shut.length} of ${judged.length - denied.length} allowed flows are refused ${where}`,
      ({ outcomes, arrived }) =>
        arrived ? 'arrived, but its answer did not' : shownOutcome(outcomes.at(-1) as Outcome),
    );
  }
  const unproven = denied.filter((cell) => !hasControls(cell, table));
  return unproven.length > 0
    ? inconclusive(
        'control-failed',
        `No allowed flow shows that these would be answered: ${shownFlows(unproven)}`,
      )
    : passed(`${judged.length} cells as the policies say, ${denied.length} of them refused`, figures);
}

const shownPassage = ({ outcomes }: Cell): string =>
  outcomes.includes('answered')
    ? outcomes[0] === 'answered'
      ? 'answered'
      : 'refused at first, answered later'
    : 'arrived, only its answer was stopped';

export const truthTable = defineCheck({
  id: 'policy.truth-table',
  title: 'Between two clusters passes what the policies allow, and nothing else',
  level: 'core',
  scope: 'pair',
  mostlyWaits: true,
  requires: POLICY,
  dependsOn: ['reachability.tcp', 'reachability.udp'],
  uses: [governed],
  budgets: { holds: DENY_HOLDS_MS },
  faults: [
    { kind: 'policy-flushed', cause: 'policy-not-enforced' },
    { kind: 'policy-ignored', cause: 'policy-not-enforced' },
    { kind: 'policy-added', cause: 'policy-too-strict' },
    { kind: 'policy-loosened', cause: 'policy-not-enforced' },
  ],
  hint: 'Compare the rendered rules of the two clusters, and whether sources keep their address on the way',
  reference: KUBERNETES,

  async observe(context, { holds }): Promise<Table> {
    const { from, to } = context;
    if (context.policySemantics.selectorsMatchRemote) {
      const [table] = await probeTables([[from, to]], context, holds);
      return table as Table;
    }
    // Who is in another cluster is let in by none or all: that a target is alive, its neighbours show.
    const tables = await probeTables(
      [
        [from, to],
        [to, to],
      ],
      context,
      holds,
    );
    const [table, within] = tables as [Table, Table];
    return { ...table, controls: within.cells };
  },

  judge: (table) => judgeTable(table),
});

export const localTable = defineCheck({
  id: 'policy.local-table',
  title: 'Inside a cluster passes what the policies allow, and nothing else',
  level: 'core',
  scope: 'cluster',
  staysInside: true,
  mostlyWaits: true,
  requires: POLICY,
  uses: [governed],
  budgets: { holds: DENY_HOLDS_MS },
  faults: [
    { kind: 'policy-flushed', cause: 'policy-not-enforced' },
    { kind: 'policy-ignored', cause: 'policy-not-enforced' },
    { kind: 'policy-added', cause: 'policy-too-strict' },
    { kind: 'policy-loosened', cause: 'policy-not-enforced' },
  ],
  hint: 'Look at the rendered rules of this cluster',
  reference: KUBERNETES,

  async observe(context, { holds }): Promise<Table> {
    const [table] = await probeTables([[context.cluster, context.cluster]], context, holds);
    return table as Table;
  },

  judge: (table) => judgeTable(table),
});

interface Fleet {
  readonly clusters: readonly string[];
  readonly tables: readonly Table[];
}

/** The same flow in different clusters, or between different pairs of them. */
interface LogicalCell {
  readonly relation: 'local' | 'remote';
  readonly members: readonly { readonly from: string; readonly to: string; readonly cell: Cell }[];
}

function logicalCells(tables: readonly Table[]): LogicalCell[] {
  const members = tables.flatMap(({ from, to, cells }) => cells.map((cell) => ({ from, to, cell })));
  const groups = Map.groupBy(members, ({ from, to, cell }) => {
    return `${from === to ? 'local' : 'remote'} ${shownFlow(cell)}`;
  });
  return [...groups.values()].map((group) => {
    const { from, to } = group[0] as (typeof group)[number];
    return { relation: from === to ? 'local' : 'remote', members: group };
  });
}

const placeOf = ({ from, to }: { from: string; to: string }): string =>
  from === to ? from : `${from}->${to}`;

/** Places named in one text; with ten clusters there are ninety. */
const SHOWN_PLACES = 6;

/** `remote, allowed east->west, refused west->east`; undefined when all have the same effect. */
function disagreement({ relation, members }: LogicalCell): string | undefined {
  const byEffect = Map.groupBy(members, ({ cell }) => effectOf(cell));
  if (byEffect.size < 2) return undefined;
  const places = (effect: Effect): string => {
    const all = (byEffect.get(effect) ?? []).map(placeOf);
    const more = all.length > SHOWN_PLACES ? ` and ${all.length - SHOWN_PLACES} more` : '';
    return `${effect} ${all.slice(0, SHOWN_PLACES).join(' ')}${more}`;
  };
  return `${relation}, ${places('allowed')}, ${places('refused')}`;
}

/** Every cell by name, those that differ in the same way together. */
function shownDisagreements(differing: readonly LogicalCell[]): string {
  return [...Map.groupBy(differing, disagreement)]
    .map(([how, group]) => `${how}: ${shownFlows(group.flatMap(({ members }) => members[0]?.cell ?? []))}`)
    .join('; ');
}

/** The cluster that stands in every place where the effect is not the expected one: the one to look at first. */
function suspect(cells: readonly LogicalCell[]): string | undefined {
  const wrong = cells
    .flatMap(({ members }) => members)
    .filter(({ cell }) => expectedEffect(cell) !== undefined && effectOf(cell) !== expectedEffect(cell));
  const first = wrong[0];
  return (
    first &&
    [first.to, first.from].find((name) => wrong.every(({ from, to }) => from === name || to === name))
  );
}

export const consistency = defineCheck({
  id: 'policy.consistency',
  title: 'The same policies have the same effect in every cluster',
  level: 'core',
  scope: 'fleet',
  mostlyWaits: true,
  requires: POLICY,
  dependsOn: ['reachability.tcp', 'reachability.udp'],
  uses: [governed],
  faults: [
    { kind: 'policy-flushed', cause: 'policy-differs' },
    { kind: 'policy-ignored', cause: 'policy-differs' },
    { kind: 'policy-added', cause: 'policy-differs' },
    { kind: 'policy-loosened', cause: 'policy-differs' },
  ],
  hint: 'Compare the rendered rules of the clusters named, cell by cell',
  reference: KUBERNETES,

  async observe(context): Promise<Fleet> {
    const { clusters } = context;
    const pairs = clusters.flatMap((from) =>
      clusters
        .filter((to) => to === from || context.pathBetween(from.name, to.name).kind !== 'forbidden')
        .map((to) => [from, to] as const),
    );
    // How long a refusal holds is the truth tables' business.
    return { clusters: clusters.map(({ name }) => name), tables: await probeTables(pairs, context, 0) };
  },

  judge({ clusters, tables }, _budgets, expectation) {
    const unseen = expectation.clusters.filter(
      (name) => !tables.some(({ from, to }) => from === name && to === name),
    );
    if (clusters.length < 2 || unseen.length > 0 || !tables.every(isWhole)) {
      return inconclusive(
        'probe-failed',
        'Not every cluster was observed in all cells, so there is nothing to compare',
      );
    }
    const isDead = ({ cells }: Table): boolean =>
      !cells.some(({ outcomes }) => outcomes.includes('answered'));
    // What answers others is alive, and the path to it is what this check depends on: then it is a policy that refuses all.
    const dead = tables.filter(
      (table) => isDead(table) && tables.every((other) => other.to !== table.to || isDead(other)),
    );
    if (dead.length > 0) {
      return inconclusive('control-failed', `Nothing at all is answered ${dead.map(placeOf).join(', ')}`);
    }
    const cells = logicalCells(tables);
    const differing = cells.filter((cell) => disagreement(cell) !== undefined);
    const figures = {
      cells: { value: cells.length, unit: 'cells' },
      differing: { value: differing.length, unit: 'cells' },
    };
    if (differing.length === 0)
      return passed(`${clusters.length} clusters agree on ${cells.length} cells`, figures);
    const odd = suspect(differing);
    const [example] =
      differing[0]?.members.filter(
        ({ cell }) => expectedEffect(cell) !== undefined && effectOf(cell) !== expectedEffect(cell),
      ) ?? [];
    return failed(
      'policy-differs',
      `${differing.length} of ${cells.length} cells differ between clusters${odd ? `; every one of them involves ${odd}` : ''}`,
      {
        expected: 'the same effect in every cluster for the same flow',
        seen: shownDisagreements(differing),
        figures,
        ...(example && { reproduce: reproduceCell(example.from, example.cell) }),
      },
    );
  },
});

interface Canary {
  readonly cluster: string;
  readonly caller: string;
  readonly target: string;
  readonly address: string;
  readonly before: readonly Exchange[];
  /** Until nothing passes any more. */
  readonly closing: Converged<readonly Exchange[]>;
  /** At the end of the window. */
  readonly held: readonly Exchange[];
  readonly opening: Converged<readonly Exchange[]>;
}

const CANARY_TIMEOUT_MS = 500;
/** No policy stands, so nothing but a busy machine can keep the flow from being open at once. */
const OPEN_WITHIN_MS = 5_000;
const CANARY_BUDGETS = {
  convergence: CONVERGENCE_MS,
  successes: CONVERGENCE_SUCCESSES,
  holds: DENY_HOLDS_MS,
} as const;

const isOpen = (exchanges: readonly Exchange[]): boolean =>
  exchanges.length > 0 && exchanges.every(({ outcome }) => outcome === 'answered');
const isClosed = (exchanges: readonly Exchange[]): boolean =>
  exchanges.length > 0 && exchanges.every(({ outcome }) => outcome !== 'answered');

/** TCP and UDP to every address of the target: policies have no family. */
function callAll(caller: Site, target: Site): Promise<readonly Exchange[]> {
  const addresses = [target.addresses.ipv4, target.addresses.ipv6].filter((address) => address !== undefined);
  return caller.exchange(
    addresses.flatMap((address) =>
      (['tcp', 'udp'] as const).map((protocol) => ({
        protocol,
        address,
        port: PORTS.echo,
        timeoutMs: CANARY_TIMEOUT_MS,
      })),
    ),
  );
}

/** The canary's own workloads and no other policy: what is closed here is closed by this deny. */
function canaryCheck(direction: PolicyIntent['direction']) {
  const deny = canaryDeny(`canary-${direction}`, direction);
  const [callerKey, targetKey] = direction === 'ingress' ? [CANARY_PEER, CANARY] : [CANARY, CANARY_PEER];
  return defineCheck({
    id: `policy.canary-${direction}`,
    title: `A deny of ${direction} closes what was open, holds, and opens again when it is withdrawn`,
    level: 'core',
    scope: 'cluster',
    staysInside: true,
    mostlyWaits: true,
    familyless: true,
    requires: POLICY,
    uses: [canaries],
    budgets: CANARY_BUDGETS,
    faults: [{ kind: 'policy-ignored', cause: 'cni-does-not-enforce' }],
    hint: 'Ask whether the network plug-in of this cluster implements policies at all',
    reference: KUBERNETES,
    timeoutMs: 2 * CONVERGENCE_MS.value + 20_000,

    async observe(context: ClusterContext, { convergence, successes, holds }): Promise<Canary> {
      const name = context.cluster.name;
      const [caller, target] = [context.cluster.site(callerKey), context.cluster.site(targetKey)];
      const call = () => callAll(caller, target);
      const converge = (succeeded: (exchanges: readonly Exchange[]) => boolean) =>
        context.converge(call, { succeeded, budgetMs: convergence, successes, intervalMs: 0 });
      const before = await context.converge(call, {
        succeeded: isOpen,
        budgetMs: OPEN_WITHIN_MS,
        successes: 1,
      });
      await context.apply(deny, name);
      const began = context.elapsed();
      const closing = await converge(isClosed);
      await context.sleep(Math.max(0, holds - (context.elapsed() - began - closing.elapsedMs)));
      const held = await call();
      await context.withdraw(deny, name);
      const opening = await converge(isOpen);
      return {
        cluster: name,
        caller: callerKey,
        target: targetKey,
        address: target.address,
        before: before.last,
        closing,
        held,
        opening,
      };
    },

    judge: (canary, { convergence }) => judgeCanary(canary, direction, convergence),
  });
}

function judgeCanary(canary: Canary, direction: string, convergence: number): Verdict {
  const { cluster, caller, target, before, closing, held, opening } = canary;
  const flow = `${cluster}: ${caller} → ${target}`;
  const broken = [before, closing.last, held, opening.last]
    .map((exchanges) => malformed(exchanges, before.length))
    .find((verdict) => verdict);
  if (broken) return broken;
  if (!isOpen(before)) {
    return inconclusive('control-failed', `${flow} is not open without any policy: ${countOutcomes(before)}`);
  }
  const details = {
    expected: `${flow} open, closed under a deny of ${direction}, open again`,
    reproduce: { at: `${cluster}/${caller}`, command: callCommand('tcp', canary.address, PORTS.echo) },
  };
  const passing = (exchanges: readonly Exchange[]): string =>
    exchanges
      .filter(({ outcome }) => outcome === 'answered')
      .map(({ protocol, address }) => `${protocol.toUpperCase()} to ${address}`)
      .join(', ');
  if (!closing.converged) {
    return isOpen(closing.last)
      ? failed('cni-does-not-enforce', `A deny of ${direction} changes nothing in ${cluster}`, {
          ...details,
          seen: `still answered ${convergence} ms after the deny was in force: ${passing(closing.last)}`,
        })
      : failed('policy-not-enforced', `A deny of ${direction} does not hold for every protocol`, {
          ...details,
          seen: `never ${closing.attempts > 1 ? 'steadily ' : ''}closed; last answered: ${passing(closing.last) || 'nothing'}`,
        });
  }
  if (!isClosed(held)) {
    return failed('policy-not-enforced', `A deny of ${direction} does not hold`, {
      ...details,
      seen: `closed at first, later answered again: ${passing(held)}`,
    });
  }
  // Its refusals cost their time-out before they could be counted.
  const closedAfter = Math.max(
    0,
    Math.round(closing.elapsedMs - Math.max(...closing.last.map(({ durationMs }) => durationMs))),
  );
  const figures = {
    'time to close': { value: closedAfter, unit: 'ms' },
    'time to open': { value: opening.elapsedMs, unit: 'ms' },
  };
  return opening.converged
    ? passed(`Closed after ${closedAfter} ms, held, open again after ${opening.elapsedMs} ms`, figures)
    : failed('policy-too-strict', `The deny of ${direction} outlives its withdrawal`, {
        ...details,
        seen: `${countOutcomes(opening.last)} ${convergence} ms after the withdrawal`,
      });
}

export const canaryIngress = canaryCheck('ingress');
export const canaryEgress = canaryCheck('egress');

const STREAM_RATE = 20;
/** Before the deny, so that the stream is shown to be alive. */
const STREAM_WARM_UP_MS = 1_000;
const STREAM_TIMEOUT_MS = 1_000;

interface Established {
  readonly cluster: string;
  readonly caller: string;
  readonly sampling: Sampling;
  /** On the clock of the samples. */
  readonly deniedAtMs: number;
  /** New connections while the deny stands. */
  readonly fresh: readonly Exchange[];
}

export const established = defineCheck({
  id: 'policy.established',
  title: 'Whether a deny cuts flows that are already established, and after how long',
  level: 'extended',
  scope: 'cluster',
  requires: POLICY,
  uses: [canaries],
  exclusive: 'cluster',
  budgets: { watched: DENY_HOLDS_MS, convergence: CONVERGENCE_MS },
  withoutFaults: 'Kubernetes leaves it open, so this is a figure and no requirement',
  hint: 'Long-lived connections outlive a deny where policies look at the first packet only',
  reference: `${KUBERNETES}: the effect on established connections is implementation-defined`,

  async observe(context, { watched, convergence }): Promise<Established> {
    const { cluster } = context;
    const [caller, target] = [cluster.site(CANARY_PEER), cluster.site(CANARY)];
    const deny = canaryDeny('canary-established', 'ingress');
    const began = context.elapsed();
    const sampler = await caller.startSampling({
      address: target.address,
      port: PORTS.http,
      ratePerSecond: STREAM_RATE,
      connections: 'stream',
      timeoutMs: STREAM_TIMEOUT_MS,
      durationMs: STREAM_WARM_UP_MS + watched + 2 * convergence,
    });
    await context.sleep(STREAM_WARM_UP_MS);
    // It may cut the stream before the system says that it is in force.
    const deniedAtMs = context.elapsed() - began;
    await context.apply(deny, cluster.name);
    // From when on a policy is enforced only traffic shows.
    const { last: fresh } = await context.converge(() => callAll(caller, target), {
      succeeded: isClosed,
      budgetMs: convergence,
      successes: 1,
      intervalMs: 0,
    });
    await context.sleep(watched);
    const sampling = await caller.stopSampling(sampler);
    await context.withdraw(deny, cluster.name);
    return { cluster: cluster.name, caller: CANARY_PEER, sampling, deniedAtMs, fresh };
  },

  judge({ cluster, caller, sampling, deniedAtMs, fresh }) {
    const broken = malformed(fresh, fresh.length);
    if (broken) return broken;
    const before = sampling.samples.filter(({ at }) => at < deniedAtMs);
    const after = sampling.samples.filter(({ at }) => at >= deniedAtMs);
    if (before.length === 0 || after.length === 0 || before.at(-1)?.outcome !== 'answered') {
      return inconclusive(
        'control-failed',
        `The stream of ${cluster}/${caller} was not alive when the deny came`,
      );
    }
    if (!isClosed(fresh)) {
      return inconclusive(
        'control-failed',
        'New connections pass under the deny, so it proves nothing about old ones',
      );
    }
    const last = after.findLast(({ outcome }) => outcome === 'answered');
    if (last && last.at >= (after.at(-1)?.at ?? 0) - STREAM_TIMEOUT_MS) {
      return passed(`Kept: the stream went on for ${Math.round(last.at - deniedAtMs)} ms under the deny`, {
        'kept for at least': { value: Math.round(last.at - deniedAtMs), unit: 'ms' },
      });
    }
    const cutAfter = Math.max(0, Math.round((last?.at ?? deniedAtMs) - deniedAtMs));
    return passed(`Cut ${cutAfter} ms after the deny`, { 'cut after': { value: cutAfter, unit: 'ms' } });
  },
});

export const policy: Suite = {
  id: 'policy',
  title: 'The same policies have the effect they state, in and between all clusters',
  checks: [
    canaryIngress,
    canaryEgress,
    localTable,
    truthTable,
    consistency,
    established,
    defaultScope,
    ofNewcomers,
    byIdentity,
  ],
};
