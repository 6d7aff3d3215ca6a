import { discoverable, discoverableService, newcomer } from '../fixtures/newcomers.ts';
import { CLIENT, client, echo, echoService, sharedEcho } from '../fixtures/workloads.ts';
import {
  CERTIFICATE_LEFT,
  CONVERGENCE_MS,
  DISCOVERY_MS,
  ROOT_DAYS_LEFT,
  WITHDRAWAL_MS,
} from '../lib/model/budgets.ts';
import { type Level, type PairContext, type Suite, type Toolkit, defineCheck } from '../lib/model/check.ts';
import { SERVICE_CLASSES, type BrokenLink } from '../lib/model/cluster.ts';
import { messageOf } from '../lib/model/errors.ts';
import type { Exchange, Sample } from '../lib/model/probe.ts';
import { allEnded } from '../lib/model/promises.ts';
import { median } from '../lib/model/statistics.ts';
import { type Figures, type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { nodeHealth } from './nodeHealth.ts';
import { type Excuses, startControl, unlessMachineIsBusy } from './support/busyMachine.ts';
import { callCommand, countOutcomes, malformed } from './support/calls.ts';
import { endingSoon, lifetimes, read } from './support/certificates.ts';
import { told } from './support/links.ts';
import { CALM_MS, recoveryTime } from './support/samples.ts';
import { answerers, callUntilAllAnswer, reachableFrom, sameCalls, wayOfPair } from './support/services.ts';

/** A control plane is asked by processes of its own, which cost more than calls do. */
const ASKED_EVERY_MS = 1_000;
const KEP = 'KEP-1645 (Multi-Cluster Services API), "EndpointSlice"';

interface Answers {
  readonly cluster: string;
  readonly address: string;
  readonly sharing: readonly string[];
  readonly exchanges: readonly Exchange[];
  readonly elapsedMs: number;
  /** Of the clusters that never answered. */
  readonly links: readonly (BrokenLink & { readonly to: string })[];
}

/** What is broken on the way to each of these clusters. */
async function linksTo(
  from: string,
  missing: readonly string[],
  context: Toolkit,
): Promise<Answers['links']> {
  const found = await Promise.all(
    missing.map(async (to) => (await context.brokenLinks(from, to)).map((link) => ({ ...link, to }))),
  );
  return found.flat();
}

const shownLinks = (links: readonly BrokenLink[]): string => links.map(({ what }) => what).join('; ');

export const answers = defineCheck({
  id: 'discovery.answers',
  title: 'A shared service is answered by every cluster that shares it, or the broken link is named',
  level: 'core',
  scope: 'cluster',
  classes: SERVICE_CLASSES,
  requires: ['endpoint-discovery', 'share-service'],
  uses: [client, echo, sharedEcho],
  budgets: { convergence: CONVERGENCE_MS },
  faults: [
    { kind: 'remote-secret-deleted', cause: 'remote-secret-missing' },
    { kind: 'remote-secret-loopback', cause: 'api-server-unreachable' },
    { kind: 'peering-deleted', cause: 'peering-missing' },
    { kind: 'gateway-stopped', cause: 'gateway-down' },
    { kind: 'proxy-missing', cause: 'proxy-missing' },
  ],
  hint: 'Follow the chain that is named: credentials, API server, network, gateway, namespace, proxies',
  reference: KEP,

  async observe(context, { convergence }): Promise<Answers> {
    const { cluster, family } = context;
    const address = cluster.sharedService(echoService).addresses[family] ?? '';
    const sharing = reachableFrom(cluster.name, context).map(({ name }) => name);
    const call = { protocol: 'http' as const, address, port: PORTS.service };
    const { last: exchanges, elapsedMs } = await context.converge(
      () => callUntilAllAnswer(cluster.site(CLIENT), call, sharing),
      {
        succeeded: (calls) => sharing.every((name) => answerers(calls).includes(name)),
        budgetMs: convergence,
        successes: 1,
      },
    );
    // Of the own cluster nobody has to learn.
    const unknown = sharing.filter((name) => name !== cluster.name && !answerers(exchanges).includes(name));
    return {
      cluster: cluster.name,
      address,
      sharing,
      exchanges,
      elapsedMs,
      links: await linksTo(cluster.name, unknown, context),
    };
  },

  judge({ cluster, address, sharing, exchanges, elapsedMs, links }) {
    if (!address || sharing.length < 2) {
      return inconclusive('control-failed', 'No other cluster shares a service that callers here could find');
    }
    const broken = malformed(exchanges, exchanges.length);
    if (broken) return broken;
    const answered = answerers(exchanges);
    const missing = sharing.filter((name) => !answered.includes(name));
    const figures: Figures = {
      calls: { value: exchanges.length, unit: 'calls' },
      clusters: { value: answered.length, unit: 'clusters' },
    };
    if (missing.length === 0) {
      return passed(`${answered.join(', ')} answered`, {
        ...figures,
        'until all answered': { value: elapsedMs, unit: 'ms' },
      });
    }
    const [likeliest] = told(links);
    const lost = countOutcomes(exchanges);
    return failed(
      likeliest?.cause ??
        (answered.length === 1 && answered[0] === cluster
          ? 'local-endpoints-only'
          : 'remote-endpoints-missing'),
      likeliest
        ? likeliest.what
        : `${missing.join(', ')} never answered, though no link of the chain looks broken`,
      {
        expected: `${address} is answered by ${sharing.join(', ')}`,
        seen: `answered by ${answered.join(', ') || 'nobody'} in ${exchanges.length} calls${lost ? `, ${lost}` : ''}${links.length > 0 ? `; ${shownLinks(links)}` : ''}`,
        figures,
        reproduce: { at: `${cluster}/${CLIENT}`, command: callCommand('http', address, PORTS.service) },
      },
    );
  },
});

interface StatusSeen {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Node of the caller, where clusters have nodes. */
  readonly node?: string;
  readonly exchanges: readonly Exchange[];
  readonly links: readonly BrokenLink[];
}

export const status = defineCheck({
  id: 'discovery.status',
  title: 'What the control plane of a cluster says of another is what traffic shows',
  level: 'core',
  scope: 'pair',
  classes: SERVICE_CLASSES,
  requires: ['endpoint-discovery', 'share-service'],
  uses: [client, echo, sharedEcho],
  budgets: { convergence: CONVERGENCE_MS },
  faults: [
    { kind: 'service-not-shared', cause: 'status-contradicts-traffic' },
    { kind: 'remote-secret-deleted', cause: 'remote-secret-missing' },
    // What is known stays known for a while: words alone say that something is wrong.
    { kind: 'control-plane-stopped', cause: 'status-contradicts-traffic' },
  ],
  hint: 'Trust the traffic: look at what the status is made of, and since when it has not changed',
  reference: KEP,

  async observe(context, { convergence }): Promise<StatusSeen> {
    const { from, to, family } = context;
    const address = from.sharedService(echoService).addresses[family] ?? '';
    const call = { protocol: 'http' as const, address, port: PORTS.service };
    const look = async () => {
      const exchanges = await callUntilAllAnswer(from.site(CLIENT), call, [from.name, to.name]);
      return { exchanges, links: await context.brokenLinks(from.name, to.name) };
    };
    // One follows the other, a little later.
    const { last } = await context.converge(look, {
      succeeded: ({ exchanges, links }) =>
        answerers(exchanges).includes(to.name) === (told(links).length === 0),
      budgetMs: convergence,
      successes: 1,
      intervalMs: ASKED_EVERY_MS,
    });
    const { node } = from.site(CLIENT);
    return { from: from.name, to: to.name, address, ...(node !== undefined && { node }), ...last };
  },

  judge({ from, to, address, node, exchanges, links }) {
    const broken = malformed(exchanges, exchanges.length);
    if (broken) return broken;
    if (!address) return inconclusive('control-failed', 'Callers here could find no shared service');
    const [likeliest] = told(links);
    if (!likeliest && links.length > 0) {
      return inconclusive('probe-failed', `The technology could not be asked: ${shownLinks(links)}`);
    }
    const answered = answerers(exchanges);
    const reaches = answered.includes(to);
    const details = {
      seen: `${from} says ${likeliest ? shownLinks(links) : 'nothing is wrong'}; answered by ${answered.join(', ') || 'nobody'} in ${exchanges.length} calls`,
      reproduce: { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) },
    };
    if (reaches && !likeliest)
      return passed(`all is well between ${from} and ${to}, in words and in traffic`);
    // What other nodes have lost, traffic of this one does not contradict.
    const isElsewhere = node !== undefined && likeliest?.nodes?.includes(node) === false;
    if (likeliest && (!reaches || isElsewhere)) {
      return failed(likeliest.cause, likeliest.what, {
        expected: `${to} answers callers of ${from}${isElsewhere ? ', on whatever node they run' : ''}`,
        ...details,
      });
    }
    return failed(
      'status-contradicts-traffic',
      reaches
        ? `${from} says that ${to} is not in order, though it answers`
        : `${from} says that all is well with ${to}, though it never answers`,
      { expected: 'the same from both: in order and answering, or neither', ...details },
    );
  },
});

const HANDSHAKE_TIMEOUT_MS = 3_000;

interface CertificatesSeen {
  readonly cluster: string;
  readonly at: number;
  readonly certificates: readonly { readonly name: string; readonly pem?: string }[];
  /** By servers, where callers reach them; absent in records of before they were called. */
  readonly shown?: readonly {
    readonly name: string;
    /** Address and port. */
    readonly at: string;
    readonly pem?: string;
    readonly detail?: string | undefined;
  }[];
}

export const controlPlaneCertificates = defineCheck({
  id: 'discovery.certificates',
  title: 'Certificates by which control planes know each other are there, and valid for long enough',
  level: 'core',
  scope: 'cluster',
  familyless: true,
  classes: SERVICE_CLASSES,
  requires: ['control-plane-certificates'],
  uses: [client],
  budgets: { left: CERTIFICATE_LEFT, rootDays: ROOT_DAYS_LEFT },
  faults: [
    { kind: 'certificate-ending', cause: 'certificate-ending' },
    { kind: 'certificate-deleted', cause: 'certificate-missing' },
  ],
  hint: 'Renew or restore the certificate that is named, before clusters stop hearing of each other',
  reference: 'RFC 5280, section 4.1.2.5',

  async observe(context): Promise<CertificatesSeen> {
    const { cluster, family } = context;
    const certificates = await context.controlPlaneCertificates(cluster.name);
    const servers = certificates.flatMap(({ name, shownAt }) => {
      const address = shownAt?.addresses[family];
      return shownAt && address !== undefined ? [{ name, address, port: shownAt.port }] : [];
    });
    const calls = servers.map(({ address, port }) => ({ address, port, timeoutMs: HANDSHAKE_TIMEOUT_MS }));
    const handshakes = calls.length > 0 ? await cluster.site(CLIENT).handshake(calls) : [];
    return {
      cluster: cluster.name,
      at: context.now(),
      certificates: certificates.map(({ name, pem }) => ({ name, ...(pem !== undefined && { pem }) })),
      shown: servers.map(({ name, address, port }, index) => {
        const { chain = [], detail } = handshakes[index] ?? {};
        const [pem] = chain;
        return { name, at: `${address}:${port}`, ...(pem === undefined ? { detail } : { pem }) };
      }),
    };
  },

  judge({ cluster, at, certificates, shown = [] }, budgets) {
    const named = certificates.flatMap(({ name, pem }) =>
      pem === undefined ? [] : [{ name, ...read(pem) }],
    );
    const roots = named.filter(({ isAuthority }) => isAuthority);
    const stored = named.filter(({ isAuthority }) => !isAuthority);
    const leaves = [
      ...stored,
      // What a server began with it may show long after the file has been replaced.
      ...shown.flatMap(({ name, pem }) =>
        pem === undefined ? [] : [{ name: `${name} as its server shows it`, ...read(pem) }],
      ),
    ];
    const missing = certificates.filter(({ pem }) => pem === undefined).map(({ name }) => name);
    if (missing.length > 0) {
      return failed('certificate-missing', `${cluster} has no ${missing.join(', ')}`, {
        expected: `every certificate that the control plane of ${cluster} is configured to use`,
        seen: `only ${named.map(({ name }) => name).join(', ') || 'none'}`,
        figures: lifetimes(leaves, roots, at),
      });
    }
    if (leaves.length === 0) {
      return inconclusive(
        'control-failed',
        `The control plane of ${cluster} shows no certificate of its own, and says of none where it is`,
      );
    }
    const ending = endingSoon(leaves, roots, at, budgets);
    if (ending) return ending;
    const silent = shown.find(({ pem }) => pem === undefined);
    if (silent) {
      return inconclusive(
        'control-failed',
        `Which certificate its server uses the control plane of ${cluster} did not show at ${silent.at}: ${silent.detail ?? 'no handshake'}`,
      );
    }
    return passed(
      `${stored.length} certificates and ${roots.length} authorities`,
      lifetimes(leaves, roots, at),
    );
  },
});

/** At once: as many as a roll-out of a small service starts. Each is a pod, which costs more than all calls of a check. */
const MANY_NEWCOMERS = 5;
const SAMPLES_PER_SECOND = 20;
const SAMPLE_TIMEOUT_MS = 1_000;
const SAMPLING_LIMIT_MS = 120_000;
const LOOK_MS = 250;
/** In a row, so that neither the one that went nor a failure is merely missed by chance. */
const CALM_LOOKS = 4;

/** Endpoints are told of late by who has no time, and callers who have none give up early. */
const EXCUSES: Excuses = { 'discovery-slow': 0.05, 'withdrawal-slow': 0.05 };

/** A workload that came and went; milliseconds on the clock of the samples. */
interface Visit {
  readonly name: string;
  readonly readyAt: number;
  readonly deletedAt: number;
}

interface Visits {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly visits: readonly Visit[];
  readonly samples: readonly Sample[];
  /** Of calls inside the caller's own cluster at the same time. */
  readonly control?: readonly Sample[];
  readonly endedAt: number;
  /** Why a workload could not be started. */
  readonly notStarted?: string;
  readonly links: readonly BrokenLink[];
}

type Links = () => Promise<readonly BrokenLink[]>;

/**
 * A workload that is not ready by now waits for what is broken, if anything is between the clusters, and is merely slow where
 * nothing is: a healthy one takes some seconds, on a busy machine less than twenty.
 */
const LATE_MS = 30_000;
const LATE_LOOK_MS = 5_000;

/** Ends waiting once it is in vain: what is broken stays so until somebody else mends it. */
async function unlessInVain<T>(
  starting: Promise<T>,
  { elapsed, sleep }: Pick<Toolkit, 'elapsed' | 'sleep'>,
  links: Links,
  giveUp: AbortController,
): Promise<T> {
  let over = false;
  const ended = starting.finally(() => (over = true));
  const began = elapsed();
  for (;;) {
    await Promise.race([ended, sleep(LATE_LOOK_MS)]);
    if (over) return ended;
    if (elapsed() - began < LATE_MS || (await links()).length === 0) continue;
    giveUp.abort();
    return ended;
  }
}

interface Visiting {
  /** How many, at once. */
  readonly count: number;
  readonly address: string;
  readonly links: Links;
}

/** Starts the newcomers, all at once. */
async function startNewcomers(
  context: PairContext,
  { count, links }: Pick<Visiting, 'count' | 'links'>,
  start: () => Promise<unknown>,
) {
  const way = wayOfPair(context);
  const specs = Array.from({ length: count }, (_, index) => newcomer(context.from.name, index + 1, way));
  // Calls begin when the first is ready: what takes longest here, its start, need not be sampled.
  let calling: Promise<unknown> | undefined;
  const giveUp = new AbortController();
  const starting = allEnded(
    specs.map(async (spec) => {
      const site = await context.startWorkload(spec, context.to.name, giveUp.signal);
      calling ??= start();
      await calling;
      return { site, name: spec.name, readyAt: context.elapsed() };
    }),
  );
  return unlessInVain(starting, context, links, giveUp);
}

/** What callers see of workloads of another cluster that start and, when they have been found, are deleted. */
async function observeVisits(
  context: PairContext,
  { count, address, links }: Visiting,
  budgets: { discovery: number; withdrawal: number },
): Promise<Pick<Visits, 'visits' | 'samples' | 'control' | 'endedAt'>> {
  const { from } = context;
  const caller = from.site(CLIENT);
  const call = { protocol: 'http' as const, address, port: PORTS.service };
  let samplers: readonly string[] = [];
  let began = 0;
  const stop = () => Promise.all(samplers.map((sampler) => caller.stopSampling(sampler)));
  const limits = { timeoutMs: SAMPLE_TIMEOUT_MS, durationMs: SAMPLING_LIMIT_MS };
  const newcomers = await startNewcomers(context, { count, links }, async () => {
    samplers = await Promise.all([
      caller.startSampling({
        address,
        port: PORTS.service,
        ratePerSecond: SAMPLES_PER_SECOND,
        connections: 'new',
        ...limits,
      }),
      startControl(from, limits),
    ]);
    began = context.elapsed();
  }).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const now = () => context.elapsed() - began;
  const names = newcomers.map(({ name }) => name);
  // As many at once as may take turns: single ones, in step with the samples, would meet the same few again and again.
  const atOnce = sameCalls(call, context.clusters.length + count, SAMPLE_TIMEOUT_MS);
  const look = () => caller.exchange(atOnce);
  const found = new Set<string | undefined>();
  await context.converge(look, {
    succeeded: (exchanges) => {
      for (const { answeredBy } of exchanges) found.add(answeredBy?.workload);
      return names.every((name) => found.has(name));
    },
    budgetMs: budgets.discovery,
    successes: 1,
    intervalMs: LOOK_MS,
  });
  // Shows in the samples that all was well before.
  await context.sleep(CALM_MS);
  const deletedAt = now();
  const untilLeftAlone = async () => {
    await context.converge(look, {
      succeeded: (exchanges) =>
        exchanges.every(
          ({ outcome, answeredBy }) => outcome === 'answered' && !names.includes(answeredBy?.workload ?? ''),
        ),
      budgetMs: budgets.withdrawal,
      successes: CALM_LOOKS,
      intervalMs: LOOK_MS,
    });
    // Shows in the samples that it stays so: what is called no more while it still could answer.
    await context.sleep(CALM_MS);
  };
  await allEnded([untilLeftAlone(), ...newcomers.map(({ site }) => context.stopWorkload(site))]);
  const endedAt = now();
  const [{ samples } = { samples: [] }, control] = await stop();
  const visits = newcomers.map(({ name, readyAt }) => ({ name, readyAt: readyAt - began, deletedAt }));
  return { visits, samples, control: control?.samples ?? [], endedAt };
}

/** Milliseconds until it first answered; undefined when it never did. */
export const appearedAfter = ({ name, readyAt }: Visit, samples: readonly Sample[]): number | undefined => {
  const first = samples.find(({ outcome, workload }) => outcome === 'answered' && workload === name);
  return first && Math.max(0, first.at + first.latencyMs - readyAt);
};

/**
 * Milliseconds from its deletion until the last call that still went to it: answered by it, or by nobody before calls
 * succeeded again for a while. Undefined: that went on until the end.
 */
export function withdrawnAfter(
  { name, deletedAt }: Visit,
  samples: readonly Sample[],
  endedAt: number,
): number | undefined {
  const last = samples.findLast(({ at, workload }) => at >= deletedAt && workload === name);
  const answeredUntil = last ? last.at + last.latencyMs : deletedAt;
  const silent = recoveryTime(samples, answeredUntil, endedAt);
  return silent === undefined ? undefined : answeredUntil - deletedAt + silent;
}

const visitsCheck = (
  id: string,
  { title, level, count, after }: { title: string; level: Level; count: number; after: readonly string[] },
) =>
  defineCheck({
    id,
    title,
    level,
    scope: 'pair',
    classes: SERVICE_CLASSES,
    requires: ['endpoint-discovery', 'share-service'],
    dependsOn: ['discovery.answers', ...after],
    uses: [client, echo, ...discoverable],
    // A failure must have come from nobody else's deletion.
    oneAtATime: 'each way',
    backends: 'discoverable',
    mostlyWaits: true,
    budgets: { discovery: DISCOVERY_MS, withdrawal: WITHDRAWAL_MS },
    faults: [{ kind: 'control-plane-stopped', cause: 'control-plane-down' }],
    hint: 'Is the control plane of the caller’s cluster up, and how far behind is it? Look at its log and its push times',
    reference: KEP,
    judgeVersion: 3,
    timeoutMs: 240_000,

    async observe(context, budgets): Promise<Visits> {
      const { from, to, family } = context;
      const address = from.sharedService(discoverableService(wayOfPair(context))).addresses[family] ?? '';
      const facts = { from: from.name, to: to.name, address };
      const links: Links = async () =>
        (
          await Promise.all([
            context.brokenLinks(from.name, to.name),
            context.brokenLinks(to.name, from.name),
          ])
        ).flat();
      try {
        const seen = await observeVisits(context, { count, address, links }, budgets);
        // Links are best looked at while somebody is missing.
        const missing = seen.visits.some((visit) => appearedAfter(visit, seen.samples) === undefined);
        return { ...facts, ...seen, links: missing ? await links() : [] };
      } catch (error) {
        context.signal.throwIfAborted();
        const notStarted = messageOf(error);
        return { ...facts, visits: [], samples: [], endedAt: 0, notStarted, links: await links() };
      }
    },

    judge: (observed, budgets) =>
      unlessMachineIsBusy(judgeVisits(observed, budgets), observed, {
        excuses: EXCUSES,
        timeoutMs: SAMPLE_TIMEOUT_MS,
      }),
  });

export const newWorkload = visitsCheck('discovery.new-workload', {
  title:
    'A workload that starts now answers from the other cluster in time, and one that is deleted is left alone',
  level: 'core',
  count: 1,
  after: [],
});

export const rollOut = visitsCheck('discovery.roll-out', {
  title: 'Workloads that start at once, and are deleted at once, are known and left alone in time',
  level: 'extended',
  count: MANY_NEWCOMERS,
  after: ['discovery.new-workload'],
});

function judgeVisits(
  { from, to, address, visits, samples, endedAt, notStarted, links }: Visits,
  { discovery, withdrawal }: { readonly discovery: number; readonly withdrawal: number },
): Verdict {
  const [likeliest] = told(links);
  const reproduce = { at: `${from}/${CLIENT}`, command: callCommand('http', address, PORTS.service) };
  if (notStarted !== undefined) {
    return likeliest
      ? failed(likeliest.cause, `No workload starts in ${to}: ${likeliest.what}`, {
          expected: `a new workload of ${to} becomes ready`,
          seen: notStarted,
        })
      : inconclusive('probe-failed', `No workload could be started in ${to}: ${notStarted}`);
  }
  const [first] = visits;
  if (!first) return inconclusive('probe-failed', 'No workload was started');
  if (!samples.some(({ at, outcome }) => at < first.deletedAt && outcome === 'answered')) {
    return inconclusive('control-failed', 'Nobody at all answered through the service');
  }
  const appeared = visits.map((visit) => appearedAfter(visit, samples));
  const withdrawn = visits.map((visit) => withdrawnAfter(visit, samples, endedAt));
  const alone = withdrawn.filter((time) => time !== undefined);
  const missing = visits.filter((_, index) => !((appeared[index] ?? Infinity) <= discovery));
  const known = appeared.filter((time) => time !== undefined);
  const figures: Figures = {
    ...(known.length > 0 && {
      'found after, median': { value: median(known), unit: 'ms' },
      'found after, longest': { value: Math.max(...known), unit: 'ms' },
    }),
    ...(alone.length > 0 && {
      'left alone after, median': { value: median(alone), unit: 'ms' },
      'left alone after, longest': { value: Math.max(...alone), unit: 'ms' },
    }),
  };
  if (missing.length > 0) {
    return failed(
      likeliest?.cause ?? 'discovery-slow',
      likeliest?.what ?? `${from} learns of a new workload of ${to} too late`,
      {
        expected: `${to}/${missing[0]?.name} answers ${from} within ${discovery / 1_000} s of being ready`,
        seen:
          known.length < visits.length ? 'it never answered' : `after ${Math.round(Math.max(...known))} ms`,
        figures,
        reproduce,
      },
    );
  }
  const stuck = alone.length < withdrawn.length;
  const slowest = Math.max(...alone);
  if (stuck || slowest > withdrawal) {
    return failed('withdrawal-slow', `${from} goes on calling a workload of ${to} that is gone`, {
      expected: `no call goes to it ${withdrawal / 1_000} s after its deletion began`,
      seen: stuck
        ? 'calls still went to it, or failed, when the observation ended'
        : `${Math.round(slowest)} ms`,
      figures,
      reproduce,
    });
  }
  return passed(`${visits.length} workloads came and went`, figures);
}

export const discovery: Suite = {
  id: 'discovery',
  title: 'Control planes know the endpoints of all clusters, soon after they come and go',
  checks: [answers, status, nodeHealth, newWorkload, rollOut, controlPlaneCertificates],
};
