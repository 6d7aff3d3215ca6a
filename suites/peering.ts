import {
  BY_NAME,
  byName,
  clientOf,
  keptService,
  nobody,
  offered,
  offeredService,
  permitted,
  permittedService,
} from '../fixtures/exports.ts';
import { discoverable, discoverableService, newcomer } from '../fixtures/newcomers.ts';
import { CLIENT, client, echoService, shared, sharedEcho } from '../fixtures/workloads.ts';
import {
  CONVERGENCE_MS,
  DENY_HOLDS_MS,
  FAILOVER_KEPT_ALIVE_MS,
  GATEWAY_BACK_MS,
  LINK_BACK_MS,
  LINK_LOST_MS,
} from '../lib/model/budgets.ts';
import { type JoinToken, type PairContext, type Suite, defineCheck } from '../lib/model/check.ts';
import type { BrokenLink, ConformanceClass } from '../lib/model/cluster.ts';
import { messageOf } from '../lib/model/errors.ts';
import type { Refusal } from '../lib/model/intent.ts';
import { ADDRESS_RECORD, type Exchange, type Sample } from '../lib/model/probe.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS, type ServiceSpec } from '../lib/model/workload.ts';
import { callCommand, countOutcomes } from './support/calls.ts';
import { told } from './support/links.ts';
import { type Lookup, judgeResponse, lookUp, lookupDetails, shownAddresses } from './support/names.ts';
import { answerers, callUntilAllAnswer, callsToMeetAll, sameCalls, wayOfPair } from './support/services.ts';

const CLASSES: readonly ConformanceClass[] = ['service-peering'];

const SAMPLE_TIMEOUT_MS = 2_000;
const SAMPLING_LIMIT_MS = 150_000;
/** A client on kept-alive connections runs this long while all is well: time for a request on each. */
const STEADY_MS = 2_500;
/**
 * Whoever was refused a moment ago may be given up once more, since proxies gather for a second what they learn of
 * endpoints: open is what has answered for longer.
 */
const ANSWERS_IN_A_ROW = 5;
const OPEN_LOOK_MS = 400;
/** Of kept-alive connections: nothing of the other cluster for this long counts as closed. */
const CALM_MS = 1_000;

/** How a caller fares with the other cluster, by new connections. */
interface Look {
  readonly exchanges: readonly Exchange[];
  /** It came to be as expected in time; by itself, where nothing was expected to change. */
  readonly converged: boolean;
  readonly elapsedMs: number;
}

/** What the client of one cluster sees of a service of another, while this is closed, opened, and closed again. */
interface Passage {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** What callers must see while it is shut: silence may be somebody else's fault. Absent in older records. */
  readonly refusal?: Refusal;
  /** Before it is opened: calls, held for a while. */
  readonly before: readonly Exchange[];
  readonly opened: Look;
  readonly closed: Look;
  readonly held: readonly Exchange[];
  /** On connections that were open all the time, and when on their clock it was closed. */
  readonly keptAlive: readonly Sample[];
  readonly closedAt: number;
  readonly endedAt: number;
  /** Why the other cluster may be out of reach altogether, when it never answered. */
  readonly links: readonly BrokenLink[];
}

interface Door {
  readonly service: ServiceSpec;
  /** What callers see while it is shut. */
  readonly refusal: Refusal;
  /** Makes sure that it is shut, as nobody has opened it. */
  prepare(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

/** By this many calls chance can no longer explain that the other cluster never answered. */
const CALLS = callsToMeetAll(2);

/** Whether somebody refused out loud, where that can be heard: of the caller's own cluster nobody does. */
const isHeard = (refusal: Refusal | undefined, exchanges: readonly Exchange[]): boolean =>
  refusal !== 'proxy' || exchanges.some(({ status }) => status === 403);

async function passThrough(
  context: PairContext,
  { service, refusal, prepare, open, close }: Door,
  { convergence, holds }: { convergence: number; holds: number },
): Promise<Passage> {
  const { from, to, family } = context;
  const caller = from.site(CLIENT);
  const address = from.sharedService(service).addresses[family] ?? '';
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  let lookedAt = 0;
  const many = () => {
    lookedAt = context.elapsed();
    return caller.exchange(sameCalls(call, CALLS), { concurrency: 8 });
  };
  const isAnswered = (exchanges: readonly Exchange[]) => answerers(exchanges).includes(to.name);
  const hears = (exchanges: readonly Exchange[]) => isHeard(refusal, exchanges);
  const look = async (
    calls: () => Promise<readonly Exchange[]>,
    how: { succeeded: typeof isAnswered; successes: number; intervalMs?: number },
  ): Promise<Look> => {
    const { last, converged, elapsedMs } = await context.converge(calls, {
      budgetMs: convergence,
      ...how,
    });
    return { exchanges: last, converged, elapsedMs };
  };
  const untilShut = (also: typeof isAnswered = () => true): Promise<Look> =>
    look(many, { succeeded: (exchanges) => !isAnswered(exchanges) && also(exchanges), successes: 1 });
  /** Calls that begin so long after those by which it was found shut. */
  const stillShut = async (): Promise<readonly Exchange[]> => {
    await context.sleep(Math.max(0, lookedAt + holds - context.elapsed()));
    return many();
  };
  await prepare();
  // It may have been open for somebody else a moment ago, or out of reach.
  const early = await untilShut(hears);
  const before = [...early.exchanges, ...(await stillShut())];
  const never: Look = { exchanges: [], converged: false, elapsedMs: 0 };
  const rest = { closed: never, held: [], keptAlive: [], closedAt: 0, endedAt: 0, links: [] };
  const shut = { from: from.name, to: to.name, address, refusal, before };
  // What was open all the time cannot be opened, and of what is out of reach nobody can say that it is shut.
  if (isAnswered(before)) return { ...shut, opened: never, ...rest };
  if (!hears(before)) {
    return { ...shut, opened: never, ...rest, links: await context.brokenLinks(from.name, to.name) };
  }
  await open();
  // Where whole connections are balanced, a few of them may all lead to other clusters.
  const pool = callsToMeetAll(context.clusters.length);
  const sample = async (): Promise<{ id: string; began: number }> => {
    const id = await caller.startSampling({
      address,
      port: PORTS.service,
      ratePerSecond: Math.ceil((pool * 1_000) / STEADY_MS),
      connections: 'keep-alive',
      pool,
      timeoutMs: SAMPLE_TIMEOUT_MS,
      durationMs: SAMPLING_LIMIT_MS,
    });
    return { id, began: context.elapsed() };
  };
  let hasAnswered = false;
  let sampling: Awaited<ReturnType<typeof sample>> | undefined;
  const opened = await look(
    async () => {
      if (hasAnswered) sampling ??= await sample();
      const exchanges = await callUntilAllAnswer(caller, call, [to.name]);
      hasAnswered ||= isAnswered(exchanges);
      return exchanges;
    },
    { succeeded: isAnswered, successes: ANSWERS_IN_A_ROW, intervalMs: OPEN_LOOK_MS },
  );
  const facts = { ...shut, opened };
  if (!opened.converged || !sampling) {
    return { ...facts, ...rest, links: await context.brokenLinks(from.name, to.name) };
  }
  const { id: sampler, began } = sampling;
  await context.sleep(Math.max(0, began + STEADY_MS - context.elapsed()));
  // On a busy machine connections that are to be kept open late.
  await context.converge(many, {
    succeeded: (exchanges) =>
      isAnswered(exchanges) && exchanges.every(({ outcome }) => outcome === 'answered'),
    budgetMs: convergence,
    successes: 1,
  });
  const closedAt = context.elapsed() - began;
  await close();
  let closed = await untilShut();
  // Whoever has given up the other cluster, because of a moment's trouble, is refused nothing until it is tried again.
  if (closed.converged && !hears(closed.exchanges)) {
    const later = await untilShut(hears);
    if (isAnswered(later.exchanges)) closed = later;
  }
  const held = await stillShut();
  const endedAt = context.elapsed() - began;
  const { samples } = await caller.stopSampling(sampler);
  return { ...facts, closed, held, keptAlive: samples, closedAt, endedAt, links: [] };
}

interface Words {
  /** What the caller gets while it is shut, for people: `before it is exported`. */
  readonly before: string;
  readonly open: string;
  readonly after: string;
  readonly early: 'not-shared-but-answered' | 'identity-not-enforced';
}

function judgePassage(
  { from, to, address, refusal, before, opened, closed, held, keptAlive, closedAt, endedAt, links }: Passage,
  { before: whenBefore, open: whenOpen, after: whenAfter, early }: Words,
  { keptAlive: budgetMs, convergence }: { keptAlive: number; convergence: number },
): Verdict {
  if (!address) return inconclusive('control-failed', 'The service has no address that could be called');
  if (before.length < 2 * CALLS) {
    return inconclusive('probe-failed', `${before.length} of ${2 * CALLS} calls were reported`);
  }
  const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
  const shown = (exchanges: readonly Exchange[]): string =>
    `answered by ${answerers(exchanges).join(', ') || 'nobody'}${countOutcomes(exchanges) && `, ${countOutcomes(exchanges)}`}`;
  if (answerers(before).includes(to)) {
    return failed(early, `${to} answers ${from} ${whenBefore}`, {
      expected: `no answer of ${to} in ${before.length} calls`,
      seen: shown(before),
      reproduce,
    });
  }
  const [likeliest] = told(links);
  if (!isHeard(refusal, before)) {
    return failed(
      likeliest?.cause ?? 'remote-endpoints-missing',
      likeliest?.what ?? `${to} neither answers nor refuses ${from} ${whenBefore}`,
      {
        expected: `HTTP 403 of ${to} in ${before.length} calls`,
        seen: `${shown(before)}${links.map(({ what }) => `; ${what}`).join('')}`,
        reproduce,
      },
    );
  }
  if (!opened.converged) {
    return failed(
      likeliest?.cause ?? 'remote-endpoints-missing',
      likeliest?.what ?? `${to} does not answer ${from} ${whenOpen}`,
      {
        expected: `an answer of ${to} within ${convergence / 1_000} s`,
        seen: `${shown(opened.exchanges)}${links.map(({ what }) => `; ${what}`).join('')}`,
        reproduce,
      },
    );
  }
  const figures: Figures = {
    'until answered': { value: opened.elapsedMs, unit: 'ms' },
    'until refused': { value: closed.elapsedMs, unit: 'ms' },
  };
  if (!closed.converged || answerers(held).includes(to)) {
    return failed(early, `${to} still answers ${from} ${whenAfter}`, {
      expected: `no answer of ${to} any more`,
      seen: closed.converged ? `refused, then ${shown(held)}` : shown(closed.exchanges),
      figures,
      reproduce,
    });
  }
  if (!isHeard(refusal, [...closed.exchanges, ...held])) {
    return inconclusive(
      'control-failed',
      `${to} neither answers nor refuses ${from} ${whenAfter}, so nothing is known of the policy`,
      { figures, seen: shown(held) },
    );
  }
  const answered = keptAlive.filter(({ outcome, cluster }) => outcome === 'answered' && cluster === to);
  if (!answered.some(({ at }) => at < closedAt)) {
    return inconclusive(
      'control-failed',
      `On kept-alive connections ${to} did not answer while it was open either`,
      { figures },
    );
  }
  const last = answered.at(-1) as Sample;
  const afterMs = Math.max(0, last.at + last.latencyMs - closedAt);
  const withLast: Figures = { ...figures, 'until refused, kept-alive': { value: afterMs, unit: 'ms' } };
  if (last.at > endedAt - CALM_MS || afterMs > budgetMs) {
    return failed(early, `${to} still answers ${from} on kept-alive connections ${whenAfter}`, {
      expected: `no answer of ${to} after ${budgetMs / 1_000} s`,
      seen: `answers until ${Math.round(afterMs)} ms after it was closed`,
      figures: withLast,
      reproduce,
    });
  }
  return passed(`nothing of ${to} ${whenBefore}, answers ${whenOpen}, nothing again ${whenAfter}`, withLast);
}

const BUDGETS = { convergence: CONVERGENCE_MS, holds: DENY_HOLDS_MS, keptAlive: FAILOVER_KEPT_ALIVE_MS };

export const exported = defineCheck({
  id: 'peering.export',
  title: 'A service answers another cluster from when its own exports it until that is withdrawn',
  level: 'core',
  scope: 'pair',
  classes: CLASSES,
  requires: ['explicit-export', 'share-service'],
  dependsOn: ['discovery.answers'],
  uses: [client, ...offered],
  // Whoever calls exports to its callers as well.
  oneAtATime: 'each way',
  mostlyWaits: true,
  quiet: true,
  budgets: BUDGETS,
  faults: [
    { kind: 'everything-exported', cause: 'not-shared-but-answered' },
    { kind: 'peering-deleted', cause: 'peering-missing' },
  ],
  hint: 'Look at what the called cluster exports to this peer, and at who wrote it; callers may hold connections from before',
  reference: 'https://developer.hashicorp.com/consul/docs/connect/config-entries/exported-services',
  timeoutMs: 240_000,

  async observe(context, budgets) {
    const { from, to } = context;
    const service = offeredService(wayOfPair(context));
    const intent = shared(service);
    return passThrough(
      context,
      {
        service,
        // Nobody is there who could refuse.
        refusal: 'silence',
        // Callers are led to every cluster, whether or not it has anything for them.
        prepare: () => context.apply(intent, from.name),
        open: () => context.apply(intent, to.name),
        close: () => context.withdraw(intent, to.name),
      },
      budgets,
    );
  },

  judge: (observed, budgets) =>
    judgePassage(
      observed,
      {
        before: 'before it exports the service',
        open: 'after it has exported the service',
        after: 'after it has withdrawn the export',
        early: 'not-shared-but-answered',
      },
      budgets,
    ),
});

export const permission = defineCheck({
  id: 'peering.permission',
  title: 'An exported service answers a caller of another cluster while a policy names it, and only then',
  level: 'core',
  scope: 'pair',
  classes: CLASSES,
  requires: ['explicit-export', 'share-service', 'mtls'],
  dependsOn: ['discovery.answers'],
  uses: [client, ...permitted],
  // Callers meet every cluster, and would take what another refuses them for the word of the one that they ask.
  oneAtATime: 'each way',
  mostlyWaits: true,
  quiet: true,
  budgets: BUDGETS,
  faults: [{ kind: 'peering-deleted', cause: 'peering-missing' }],
  hint: 'Compare the policies of the called cluster with who calls: the same name in another cluster is somebody else',
  reference: 'https://developer.hashicorp.com/consul/docs/connect/config-entries/service-intentions',
  judgeVersion: 2,
  timeoutMs: 240_000,

  async observe(context, budgets) {
    const { from, to } = context;
    const way = wayOfPair(context);
    const closed = nobody(way);
    const allowed = clientOf(from.name, way);
    return passThrough(
      context,
      {
        service: permittedService(way),
        refusal: context.identityRefusal,
        prepare: () => context.apply(closed, to.name),
        open: async () => {
          await context.withdraw(closed, to.name);
          await context.apply(allowed, to.name);
        },
        close: async () => {
          await context.withdraw(allowed, to.name);
          await context.apply(closed, to.name);
        },
      },
      budgets,
    );
  },

  judge: (observed, budgets) =>
    judgePassage(
      observed,
      {
        before: 'before a policy names it',
        open: 'after a policy has named it',
        after: 'after the policy names nobody any more',
        early: 'identity-not-enforced',
      },
      budgets,
    ),
});

interface Named {
  readonly lookup: Lookup;
  readonly exchanges: readonly Exchange[];
}

interface Names extends Named {
  readonly from: string;
  readonly to: string;
  readonly elapsedMs: number;
  /** Of a service that is exported to nobody. */
  readonly kept: readonly Lookup[];
  readonly links: readonly BrokenLink[];
}

/** What `to` never exported: looked up twice, some time apart. */
async function lookUpKept(
  context: PairContext,
  { name, holds }: { name: string; holds: number },
): Promise<Lookup[]> {
  const look = () =>
    lookUp(context.from.site(BY_NAME), context.from, { name, type: ADDRESS_RECORD[context.family] }, context);
  const early = await look();
  await context.sleep(holds);
  return [early, await look()];
}

export const names = defineCheck({
  id: 'peering.names',
  title:
    'An exported service has a name in the other cluster that leads there and nowhere else; others have none',
  level: 'core',
  scope: 'pair',
  classes: CLASSES,
  requires: ['peer-names', 'explicit-export', 'share-service'],
  uses: [byName, sharedEcho],
  mostlyWaits: true,
  budgets: { convergence: CONVERGENCE_MS, holds: DENY_HOLDS_MS },
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'everything-exported', cause: 'not-shared-but-answered' },
    { kind: 'service-not-shared', cause: 'dns-no-records' },
    { kind: 'peering-deleted', cause: 'peering-missing' },
    { kind: 'gateway-stopped', cause: 'gateway-down' },
  ],
  hint: 'Follow the name: the DNS server of the caller’s cluster, what it leaves to the technology, the address, and who carries that',
  reference: 'https://developer.hashicorp.com/consul/docs/services/discovery/dns-static-lookups',
  timeoutMs: 120_000,

  async observe(context, { convergence, holds }): Promise<Names> {
    const { from, to, family, peerNames } = context;
    if (!peerNames) throw new TypeError('peer-names is claimed, but nobody knows the names');
    const caller = from.site(BY_NAME);
    const name = peerNames.serviceName(echoService, to.name);
    const look = async (): Promise<Named> => {
      const lookup = await lookUp(caller, from, { name, type: ADDRESS_RECORD[family] }, context);
      const [address] = lookup.addresses;
      const call = { protocol: 'http' as const, address: address ?? '', port: PORTS.service };
      return {
        lookup,
        exchanges: address ? await caller.exchange(sameCalls(call, CALLS), { concurrency: 8 }) : [],
      };
    };
    const { last, converged, elapsedMs } = await context.converge(look, {
      succeeded: ({ exchanges }) =>
        exchanges.length > 0 && exchanges.every(({ outcome }) => outcome === 'answered'),
      budgetMs: convergence,
      successes: 1,
    });
    return {
      from: from.name,
      to: to.name,
      ...last,
      elapsedMs,
      kept: await lookUpKept(context, { name: peerNames.serviceName(keptService, to.name), holds }),
      links: converged ? [] : await context.brokenLinks(from.name, to.name),
    };
  },

  judge({ from, to, lookup, exchanges, elapsedMs, kept, links }) {
    const at = `${from}/${BY_NAME}`;
    const expected = `${lookup.name} has an address, which ${to} answers`;
    const bad = [lookup, ...kept].map((one) => judgeResponse(one, at, expected)).find(Boolean);
    if (bad) return bad;
    const known = kept.find(({ addresses }) => addresses.length > 0);
    if (known) {
      return failed('not-shared-but-answered', `${known.name} exists though ${to} does not export it`, {
        expected: `no address of ${known.name}`,
        seen: shownAddresses(known),
        ...lookupDetails(known, at),
      });
    }
    const [likeliest] = told(links);
    const [address] = lookup.addresses;
    if (!address) {
      return failed(
        likeliest?.cause ?? 'dns-no-records',
        likeliest?.what ?? `${lookup.name} has no address`,
        {
          expected,
          seen: `${lookup.rcode} without an address`,
          ...lookupDetails(lookup, at),
        },
      );
    }
    const details = {
      expected,
      seen: `${address}, answered by ${answerers(exchanges).join(', ') || 'nobody'}${countOutcomes(exchanges) && `, ${countOutcomes(exchanges)}`}`,
      reproduce: { at, command: callCommand('http', address, PORTS.service) },
    };
    const others = answerers(exchanges).filter((name) => name !== to);
    if (others.length > 0) {
      return failed('wrong-answerer', `${others.join(', ')} answers by a name of ${to}`, details);
    }
    if (exchanges.some(({ outcome }) => outcome !== 'answered')) {
      return failed(
        likeliest?.cause ?? 'remote-endpoints-missing',
        likeliest?.what ?? `${to} does not answer ${from} by its name`,
        details,
      );
    }
    return passed(`${lookup.name} is ${address}, which ${to} answers`, {
      'until answered': { value: elapsedMs, unit: 'ms' },
    });
  },
});

/** How a token fared. */
interface Use {
  /** In the words of the technology; absent where it was taken. */
  readonly refusal?: string;
  /** Why nobody can say. */
  readonly failure?: string;
}

interface TokenUses {
  readonly from: string;
  readonly to: string;
  /** A token after which another was made. */
  readonly replaced: Use;
  /** A token that was taken back before anybody used it. */
  readonly withdrawn: Use;
  readonly fresh: Use;
  readonly joined: { readonly converged: boolean; readonly elapsedMs: number };
  /** The same token once more. */
  readonly again: Use;
  readonly links: readonly BrokenLink[];
}

export const token = defineCheck({
  id: 'peering.token',
  title: 'A token joins two clusters once; used before, replaced by a newer one or withdrawn, it joins none',
  level: 'extended',
  scope: 'pair',
  classes: CLASSES,
  requires: ['join-token'],
  familyless: true,
  // Each joins the same clusters once more, for its own length; when that was taken back, exports have been seen to wait.
  exclusive: 'pair',
  // Both directions wait for the same servers, and a nonce keeps what they make apart.
  together: { name: 'tokens', of: 'pair' },
  budgets: { convergence: CONVERGENCE_MS },
  faults: [{ kind: 'gateway-stopped', cause: 'gateway-down' }],
  hint: 'Who holds a token may join: look at what the control plane of the cluster that made it says of its secret',
  reference: 'https://developer.hashicorp.com/consul/commands/peering/generate-token',
  judgeVersion: 2,
  timeoutMs: 180_000,

  async observe(context, { convergence }): Promise<TokenUses> {
    const { from, to } = context;
    // Beside what joins them already.
    const name = `joint-${context.nonce().slice(0, 8)}`;
    const use = async (made: JoinToken, as: string): Promise<Use> => {
      try {
        const refusal = await made.use(from.name, as);
        return refusal === undefined ? {} : { refusal };
      } catch (error) {
        context.signal.throwIfAborted();
        return { failure: messageOf(error) };
      }
    };
    const make = async () => {
      const older = await context.makeJoinToken(to.name, name);
      return { older, newer: await context.makeJoinToken(to.name, name) };
    };
    const takeBack = async () => {
      const made = await context.makeJoinToken(to.name, `${name}-gone`);
      await made.withdraw();
      return made;
    };
    const [{ older, newer }, gone] = await Promise.all([make(), takeBack()]);
    const [replaced, withdrawn] = await Promise.all([use(older, name), use(gone, `${name}-gone`)]);
    const fresh = await use(newer, name);
    const unusable = [replaced, withdrawn, fresh].some(({ failure }) => failure !== undefined);
    // It has been taken, whether or not the clusters say yet that they are joined.
    const [joined, again] = unusable
      ? [{ converged: false, elapsedMs: 0 }, { failure: 'not tried' }]
      : await Promise.all([
          context.converge(
            () => Promise.all([from, to].map((cluster) => context.isJoined(cluster.name, name))),
            { succeeded: (both) => both.every(Boolean), budgetMs: convergence, successes: 1 },
          ),
          use(newer, `${name}-again`),
        ]);
    return {
      from: from.name,
      to: to.name,
      replaced,
      withdrawn,
      fresh,
      joined: { converged: joined.converged, elapsedMs: joined.elapsedMs },
      again,
      links: joined.converged ? [] : await context.brokenLinks(from.name, to.name),
    };
  },

  judge({ from, to, replaced, withdrawn, fresh, joined, again, links }) {
    const uses = [replaced, withdrawn, fresh, again];
    const [likeliest] = told(links);
    const failure = uses.map((use) => use.failure).find((words) => words !== undefined);
    const expected = `${from} joins ${to} by a fresh token`;
    if (failure !== undefined) {
      return likeliest
        ? failed(likeliest.cause, likeliest.what, { expected, seen: failure })
        : inconclusive('probe-failed', `A token of ${to} could not be used in ${from}: ${failure}`);
    }
    if (fresh.refusal !== undefined || !joined.converged) {
      return failed(likeliest?.cause ?? 'peering-missing', `${from} does not join ${to} by a fresh token`, {
        expected,
        seen: fresh.refusal ?? 'the token was taken, and the clusters do not say that they are joined',
      });
    }
    const taken = [
      ...(replaced.refusal === undefined ? ['one that was replaced by a newer one'] : []),
      ...(withdrawn.refusal === undefined ? ['one that was withdrawn'] : []),
      ...(again.refusal === undefined ? ['one that had been used'] : []),
    ];
    if (taken.length > 0) {
      return failed('token-reusable', `${to} takes ${taken.join(', and ')}`, {
        expected: 'every token but the newest, unused one is refused, and that too once it is withdrawn',
        seen: `taken in ${from}: ${taken.join(', ')}`,
      });
    }
    return passed(`taken once, then refused: ${again.refusal}`, {
      'until joined': { value: joined.elapsedMs, unit: 'ms' },
    });
  },
});

interface Egress {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly before: readonly Exchange[];
  readonly held: boolean;
  readonly without: readonly Exchange[];
  readonly back: Look;
}

/** Calls while the caller's cluster has no gateway, between calls while it has one. */
async function observeEgress(context: PairContext, convergence: number): Promise<Egress> {
  const { from, to, family } = context;
  const address = from.sharedService(echoService).addresses[family] ?? '';
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  const look = () => callUntilAllAnswer(from.site(CLIENT), call, [from.name, to.name]);
  const until = async (): Promise<Look> => {
    const { last, converged, elapsedMs } = await context.converge(look, {
      succeeded: (exchanges) => answerers(exchanges).includes(to.name),
      budgetMs: convergence,
      successes: 1,
    });
    return { exchanges: last, converged, elapsedMs };
  };
  const before = await until();
  const facts = { from: from.name, to: to.name, address, before: before.exchanges };
  const fault = await context.disturb({ kind: 'gateway-stopped', cluster: from.name });
  const without = await look();
  await fault.mend();
  return { ...facts, held: fault.held, without, back: await until() };
}

function judgeEgress(
  { from, to, address, before, held, without, back }: Egress,
  byGateway: boolean,
): Verdict {
  if (!answerers(before).includes(to)) {
    return inconclusive('control-failed', `${to} did not answer ${from} before its gateway was stopped`);
  }
  if (!held) return inconclusive('fault-did-not-hold', `The gateway of ${from} could not be stopped`);
  if (without.length === 0) return inconclusive('probe-failed', 'No call was reported');
  const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
  if (answerers(without).includes(to) === byGateway) {
    return failed(
      'wrong-path',
      byGateway
        ? `Callers of ${from} reach ${to} without the gateway of their cluster`
        : `Callers of ${from} do not reach ${to} without the gateway of their cluster`,
      {
        expected: byGateway ? `no answer of ${to} meanwhile` : `answers of ${to} all the while`,
        seen: `answered by ${answerers(without).join(', ') || 'nobody'}${countOutcomes(without) && `, ${countOutcomes(without)}`}`,
        reproduce,
      },
    );
  }
  if (!back.converged) {
    return failed('no-failover', `${to} does not answer ${from} after its gateway is back`, {
      expected: `answers of ${to}`,
      seen: `answered by ${answerers(back.exchanges).join(', ') || 'nobody'}`,
      reproduce,
    });
  }
  return passed(byGateway ? 'nothing leaves by another way' : 'calls need no gateway of their own', {
    'until answered again': { value: back.elapsedMs, unit: 'ms' },
  });
}

const egressCheck = (id: string, title: string, byGateway: boolean) =>
  defineCheck({
    id: `peering.${id}`,
    title,
    level: 'extended',
    scope: 'pair',
    classes: CLASSES,
    requires: [byGateway ? 'own-gateway' : 'no-own-gateway', 'service-gateway', 'share-service'],
    dependsOn: ['discovery.answers'],
    uses: [client, sharedEcho],
    exclusive: 'pair',
    budgets: { convergence: GATEWAY_BACK_MS },
    faults: [],
    withoutFaults: 'It injects its own: the gateway of the calling cluster stops',
    hint: 'Compare how callers are configured to leave their cluster with what their proxies know of the other one',
    reference: 'https://developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway',
    timeoutMs: 240_000,
    observe: (context, { convergence }) => observeEgress(context, convergence),
    judge: (observed) => judgeEgress(observed, byGateway),
  });

export const ownGateway = egressCheck(
  'own-gateway',
  'Callers leave their cluster by its own gateway, and by nothing else',
  true,
);
export const noOwnGateway = egressCheck(
  'no-own-gateway',
  'Callers reach the gateway of the other cluster whether or not their own cluster has one',
  false,
);

const STATUS_LOOK_MS = 2_000;

/** What is known in `from` of `to` at a moment. */
interface Known {
  readonly links: readonly BrokenLink[];
  readonly exchanges: readonly Exchange[];
  /** Whether the workload that went counts as an instance. */
  readonly listed: boolean;
}

interface Cut {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** The other cluster answered, and its new workload was listed, before the cut. */
  readonly ready: boolean;
  readonly held: boolean;
  readonly cut: Known & { readonly converged: boolean; readonly elapsedMs: number };
  readonly mended: Known & { readonly converged: boolean; readonly elapsedMs: number };
}

async function observeCut(
  context: PairContext,
  budgets: { convergence: number; noticed: number; caughtUp: number },
): Promise<Cut> {
  const { from, to, family, peerNames } = context;
  if (!peerNames) throw new TypeError('peer-names is claimed, but nobody knows the names');
  const way = wayOfPair(context);
  const service = discoverableService(way);
  const address = from.sharedService(service).addresses[family] ?? '';
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  const name = peerNames.instancesName(service, to.name);
  const guest = await context.startWorkload(newcomer(from.name, 1, way), to.name);
  const look = async (): Promise<Known> => ({
    links: await context.brokenLinks(from.name, to.name),
    exchanges: await callUntilAllAnswer(from.site(CLIENT), call, [from.name, to.name]),
    listed: (
      await lookUp(from.site(CLIENT), from, { name, type: ADDRESS_RECORD[family] }, context)
    ).addresses.includes(guest.address),
  });
  const until = async (succeeded: (known: Known) => boolean, budgetMs: number) => {
    const { last, converged, elapsedMs } = await context.converge(look, {
      succeeded,
      budgetMs,
      successes: 1,
      intervalMs: STATUS_LOOK_MS,
    });
    return { ...last, converged, elapsedMs };
  };
  const answers = ({ exchanges }: Known): boolean => answerers(exchanges).includes(to.name);
  const ready = await until((known) => answers(known) && known.listed, budgets.convergence);
  const fault = await context.disturb({ kind: 'wan-drop', from: from.name, to: to.name, both: true });
  await context.stopWorkload(guest);
  const cut = await until((known) => !answers(known) && told(known.links).length > 0, budgets.noticed);
  await fault.mend();
  const mended = await until(
    (known) => answers(known) && told(known.links).length === 0 && !known.listed,
    budgets.caughtUp,
  );
  return { from: from.name, to: to.name, address, ready: ready.converged, held: fault.held, cut, mended };
}

export const cut = defineCheck({
  id: 'peering.cut',
  title:
    'A cluster says in time that it has lost another, and knows in time what has changed there meanwhile',
  level: 'extended',
  scope: 'pair',
  classes: CLASSES,
  requires: ['peer-names', 'endpoint-discovery', 'share-service'],
  dependsOn: ['discovery.answers'],
  uses: [client, ...discoverable],
  exclusive: 'pair',
  mostlyWaits: true,
  budgets: { convergence: CONVERGENCE_MS, noticed: LINK_LOST_MS, caughtUp: LINK_BACK_MS },
  faults: [],
  withoutFaults: 'It injects its own: nothing passes between the two clusters',
  hint: 'Until control planes meet again each goes by what it knew: look at heartbeats, and at how long each waits before it tries again',
  reference: 'https://developer.hashicorp.com/consul/api-docs/peering#list-all-peerings',
  timeoutMs: 480_000,

  observe: observeCut,

  judge({ from, to, address, ready, held, cut: during, mended }, { noticed, caughtUp }) {
    if (!ready) {
      return inconclusive(
        'control-failed',
        `${to} and its new workload were not known in ${from} beforehand`,
      );
    }
    if (!held) return inconclusive('fault-did-not-hold', `${from} and ${to} could not be cut off`);
    const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
    const saying = ({ links }: Known): string => told(links)[0]?.what ?? 'nothing is wrong';
    if (answerers(during.exchanges).includes(to)) {
      return failed('wrong-path', `${to} answers ${from} though nothing passes between them`, {
        expected: 'no answer by another way',
        seen: `answered by ${answerers(during.exchanges).join(', ')}`,
        reproduce,
      });
    }
    if (told(during.links).length === 0) {
      return failed(
        'status-contradicts-traffic',
        `${from} says that all is well with ${to}, from which nothing comes`,
        { expected: `it says so within ${noticed / 1_000} s`, seen: saying(during), reproduce },
      );
    }
    const figures: Figures = {
      'until the status says so': { value: during.elapsedMs, unit: 'ms' },
      'until all is known again': { value: mended.elapsedMs, unit: 'ms' },
    };
    const details = { expected: `within ${caughtUp / 1_000} s`, figures, reproduce };
    if (!answerers(mended.exchanges).includes(to)) {
      return failed('no-failback', `${to} does not answer ${from} after the cut is mended`, {
        ...details,
        seen: `answered by ${answerers(mended.exchanges).join(', ') || 'nobody'}`,
      });
    }
    if (told(mended.links).length > 0) {
      return failed('status-contradicts-traffic', `${from} says that ${to} is lost, though it answers`, {
        ...details,
        seen: saying(mended),
      });
    }
    if (mended.listed) {
      return failed('withdrawal-slow', `${from} still lists a workload of ${to} that went during the cut`, {
        ...details,
        seen: 'its address, among those that count as healthy',
      });
    }
    return passed(
      during.listed
        ? 'what had gone stayed listed until they met again'
        : 'what had gone was left out at once',
      figures,
    );
  },
});

export const peering: Suite = {
  id: 'peering',
  title: 'Clusters that are peers give each other what was agreed upon, and nothing else',
  checks: [exported, permission, names, token, ownGateway, noOwnGateway, cut],
};
