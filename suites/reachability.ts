import {
  CLIENT,
  ECHO,
  client,
  echo,
  emptyService,
  noEndpoints,
  privateEcho,
  privateService,
} from '../fixtures/workloads.ts';
import { tunnelAddressesAt } from '../lib/model/addressing.ts';
import { DENY_HOLDS_MS, DUPLICATED_SHARE, REFUSAL_MS, REORDERED_SHARE } from '../lib/model/budgets.ts';
import { type PairContext, type Site, type Suite, type Toolkit, defineCheck } from '../lib/model/check.ts';
import { type PerFamily, containsAddress, parseCidr } from '../lib/model/cidr.ts';
import type { Feature } from '../lib/model/cluster.ts';
import type { FaultExpectation } from '../lib/model/fault.ts';
import type { Burst, DialProtocol, Exchange, Outcome, PingResult } from '../lib/model/probe.ts';
import { type Verdict, failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS } from '../lib/model/workload.ts';
import { everyNode } from './nodes.ts';
import {
  CALL_TIMEOUT_MS,
  type Calls,
  type Party,
  TRIES,
  type Tries,
  answererOf,
  arrivedOf,
  callCommand,
  callWorkload,
  countOutcomes,
  judgeCalls,
  malformed,
  partyOf,
  probeWay,
  sameAddress,
} from './support/calls.ts';

const LOSSES: readonly FaultExpectation[] = [
  { kind: 'wan-drop', cause: 'request-lost' },
  { kind: 'wan-drop', cause: 'reply-lost' },
];
const MISLED: readonly FaultExpectation[] = [
  { kind: 'source-rewritten', cause: 'source-rewritten' },
  { kind: 'wrong-answerer', cause: 'wrong-answerer' },
];
const WAY_HINT =
  'Follow the packet: `tcpdump` at the caller, both gateways and the target shows where it, or its answer, ends';

/** The same five calls in each protocol; what differs is what they need and what says how they must look. */
function callCheck(
  protocol: DialProtocol,
  declared: {
    readonly title: string;
    readonly requires: readonly Feature[];
    readonly dependsOn?: readonly string[];
    readonly reference: string;
  },
) {
  return defineCheck({
    id: `reachability.${protocol}`,
    level: 'core',
    scope: 'pair',
    uses: [client, echo],
    faults: [...LOSSES, { kind: 'workload-cut', cause: 'request-lost' }, ...MISLED],
    hint: WAY_HINT,
    ...declared,

    observe: (context): Promise<Calls> =>
      callWorkload(context.from.site(CLIENT), context.to.site(ECHO), protocol, context),

    judge: (calls) => judgeCalls(calls),
  });
}

export const tcp = callCheck('tcp', {
  title: 'A workload answers another cluster by TCP, under its own name, and sees the caller’s address',
  requires: ['l3.pod'],
  reference: 'Kubernetes network model: pods reach all other pods without NAT',
});

export const udp = callCheck('udp', {
  title: 'A workload returns UDP nonces to another cluster, and sees the caller’s address',
  requires: ['l3.pod', 'l4.udp'],
  reference: 'RFC 768; Kubernetes network model: pods reach all other pods without NAT',
});

export const http = callCheck('http', {
  title: 'A workload answers another cluster by HTTP/1.1',
  requires: ['l3.pod'],
  dependsOn: ['reachability.tcp'],
  reference: 'RFC 9112',
});

export const http2 = callCheck('http2', {
  title: 'A workload answers another cluster by HTTP/2 with prior knowledge',
  requires: ['l3.pod'],
  dependsOn: ['reachability.tcp'],
  reference: 'RFC 9113, section 3.3',
});

const PINGS_AGAIN = 20;
/** Also how long ping then waits for the last answer at least (ping(8): twice the longest round trip, or one interval). */
const INTERVAL_AGAIN_MS = 500;

interface Pings {
  readonly caller: Party;
  readonly target: Party;
  readonly ping: PingResult;
  /**
   * More pings after a few were lost, and slower: once it has had an answer, ping waits for the last one for two round
   * trips only (ping(8), -W), which is too short where the machine is busy.
   */
  readonly again?: PingResult;
  /** UDP nonces on the same way, sent when no ping was answered: the target cannot log an echo request. */
  readonly way?: Tries;
}

export const icmp = defineCheck({
  id: 'reachability.icmp',
  title: 'A workload answers pings of another cluster',
  level: 'core',
  scope: 'pair',
  requires: ['l3.pod', 'icmp'],
  uses: [client, echo],
  faults: [...LOSSES, { kind: 'cluster-gone', cause: 'request-lost' }],
  hint: WAY_HINT,
  reference: 'RFC 792, RFC 4443',

  async observe(context): Promise<Pings> {
    const [caller, target] = [context.from.site(CLIENT), context.to.site(ECHO)];
    const send = (count: number, intervalMs: number) =>
      caller.ping({ address: target.address, count, intervalMs, timeoutMs: 2_000 });
    const ping = await send(TRIES, 0);
    const someLost = ping.received > 0 && ping.received < ping.sent;
    return {
      caller: partyOf(caller),
      target: partyOf(target),
      ping,
      ...(someLost && { again: await send(PINGS_AGAIN, INTERVAL_AGAIN_MS) }),
      ...(ping.received === 0 && { way: await probeWay(caller, target, context) }),
    };
  },

  judge({ caller, target, ping: first, again, way }) {
    const ping = again ?? first;
    const { sent, received, detail } = ping;
    if (!(sent > 0) || !(received >= 0) || received > sent) {
      return inconclusive(
        'probe-failed',
        `ping sent ${sent} and received ${received}: ${detail ?? 'no reason given'}`,
      );
    }
    const details = {
      expected: `${target.address} (${target.cluster}/${target.workload}) answers ${sent} of ${sent} echo requests`,
      reproduce: {
        at: `${caller.cluster}/${caller.workload}`,
        command: `ping -c ${TRIES} -W 2 ${target.address}`,
      },
    };
    if (received === 0) {
      const seen = `none answered${detail ? ` (${detail})` : ''}; ${way?.arrived.length ?? 0} UDP nonces sent on the same way arrived`;
      if (detail && /unreachable|prohibited|filtered/i.test(detail)) {
        return failed('no-route', 'A router on the way says unreachable', { ...details, seen });
      }
      const udpAnswered = way?.exchanges.some(({ outcome }) => outcome === 'answered') ?? false;
      if (udpAnswered)
        return failed('request-lost', 'ICMP is swallowed on the way, UDP is not', { ...details, seen });
      return way && way.arrived.length > 0
        ? failed('reply-lost', `The way back from ${target.cluster} to ${caller.cluster} loses everything`, {
            ...details,
            seen,
          })
        : failed('request-lost', `Nothing from ${caller.cluster} arrives in ${target.cluster}`, {
            ...details,
            seen,
          });
    }
    if (received < sent) {
      return failed('packets-lost', `${sent - received} of ${sent} pings were lost`, {
        ...details,
        seen: `${received} of ${sent} answered`,
        figures: {
          lost: { value: sent - received, unit: 'packets' },
          sent: { value: sent, unit: 'packets' },
        },
      });
    }
    return passed(
      `${received} of ${sent} pings answered`,
      ping.rttMs && { 'average RTT': { value: ping.rttMs.avg, unit: 'ms' } },
    );
  },
});

interface Hop {
  readonly ttl: number;
  readonly address?: string;
  /** The cluster that it belongs to, as far as its address tells. */
  readonly cluster?: string;
  /** Address of a service in its place: no router has one, so address translation at the caller has put it there. */
  readonly translated?: string;
}

interface Route {
  readonly from: string;
  readonly to: string;
  readonly target: string;
  readonly reached: boolean;
  /** Routers on the way, the target left out. */
  readonly hops: readonly Hop[];
}

const blocksOf = (ranges: readonly PerFamily<string>[]): readonly string[] =>
  ranges.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]).filter((block) => block !== undefined);

const isIn = (blocks: readonly string[], address: string): boolean =>
  blocks.some((block) => containsAddress(parseCidr(block), address));

/**
 * The cluster whose ranges, gateway or tunnel end have this address.
 * @param likely looked at before all others
 */
function clusterOf(
  address: string,
  likely: readonly string[],
  { clusters, plan }: Pick<Toolkit, 'clusters' | 'plan'>,
): string | undefined {
  const places = clusters.map((view, index) => ({ view, index }));
  const [first, others] = [true, false].map((wanted) =>
    places.filter(({ view }) => likely.includes(view.name) === wanted),
  );
  return [...(first ?? []), ...(others ?? [])].find(({ view: { ranges, gateway }, index }) => {
    const single = [gateway.addresses, gateway.wanAddresses, tunnelAddressesAt(plan, index)];
    return (
      isIn(blocksOf([ranges.pods, ranges.nodes]), address) ||
      single.some(({ ipv4, ipv6 }) =>
        [ipv4, ipv6].some((own) => own !== undefined && sameAddress(own, address)),
      )
    );
  })?.view.name;
}

export const path = defineCheck({
  id: 'reachability.path',
  title: 'Traffic takes the path that the topology says: its own tunnel, or exactly the transit clusters',
  level: 'core',
  scope: 'pair',
  // What the hops are compared with.
  requires: ['l3.pod', 'l3.hops', 'icmp', 'gateway.probe'],
  dependsOn: ['reachability.tcp', 'reachability.udp'],
  uses: [client, echo],
  // For routers that stay silent.
  mostlyWaits: true,
  withoutFaults: 'A detour needs a second way between two clusters, and no underlay here has one to open',
  hint: 'Compare `ip route get` of the target at each gateway with the topology',
  reference: 'RFC 1812, section 5.3.1 (TTL), RFC 8200, section 3 (hop limit)',

  async observe(context): Promise<Route> {
    const { from, to, path: wanted } = context;
    const likely = [from.name, to.name, ...(wanted.kind === 'via' ? wanted.hops : [])];
    const target = to.site(ECHO).address;
    const trace = await from.site(CLIENT).trace({ address: target });
    const services = blocksOf(context.clusters.map(({ ranges }) => ranges.services));
    const hops = trace.hops
      .filter(({ address }) => address === undefined || !sameAddress(address, target))
      .map(({ ttl, address }): Hop => {
        if (address === undefined) return { ttl };
        if (isIn(services, address)) return { ttl, translated: address };
        const cluster = clusterOf(address, likely, context);
        return { ttl, address, ...(cluster !== undefined && { cluster }) };
      });
    return { from: from.name, to: to.name, target, reached: trace.reached, hops };
  },

  judge({ from, to, target, reached, hops }, _budgets, { path: expectedPath }) {
    if (!reached || hops.length === 0) {
      return inconclusive(
        'probe-failed',
        reached ? 'The trace names no router at all' : `The trace does not end at ${target}`,
      );
    }
    const expected = expectedPath?.kind === 'via' ? expectedPath.hops : [];
    const transit = hops
      .map(({ cluster }) => cluster)
      .filter((cluster) => cluster !== undefined && cluster !== from && cluster !== to)
      .filter((cluster, index, all) => cluster !== all[index - 1]);
    // Silence behind a router of the target's cluster is within it: a way out would show its gateway once more.
    const arrived = hops.findLastIndex(({ address }) => address !== undefined);
    const within = hops[arrived]?.cluster === to ? arrived : hops.length;
    const unknown = hops.slice(0, within).filter(({ cluster }) => cluster === undefined);
    const shown = hops
      .map(({ address, cluster, translated }) =>
        translated === undefined
          ? `${address ?? 'silence'}${cluster ? ` (${cluster})` : ''}`
          : `somebody behind the service address ${translated}`,
      )
      .join(', ');
    const couldFit = isSubsequence(transit, expected) && unknown.length > 0;
    if (couldFit) {
      return inconclusive('control-failed', `Not every router on the way can be told: ${shown}`, {
        seen: shown,
      });
    }
    if (transit.join() !== expected.join()) {
      return failed('wrong-path', `The way from ${from} to ${to} is not the one of the topology`, {
        expected:
          expected.length === 0 ? 'no cluster between the two' : `by way of ${expected.join(', then ')}`,
        seen: `${transit.length === 0 ? 'no cluster between the two' : `by way of ${transit.join(', then ')}`}: ${shown}`,
        reproduce: { at: `${from}/${CLIENT}`, command: `tracepath -n ${target}` },
      });
    }
    return passed(expected.length === 0 ? 'direct' : `by way of ${expected.join(', then ')}`, {
      routers: { value: hops.length, unit: 'hops' },
    });
  },
});

/** Whether all of `part` stands in `whole` in the same order. */
function isSubsequence(part: readonly unknown[], whole: readonly unknown[]): boolean {
  let found = 0;
  for (const item of whole) if (item === part[found]) found++;
  return found === part.length;
}

interface Attempt {
  readonly exchanges: readonly Exchange[];
  readonly arrived: readonly string[];
  readonly pings: PingResult;
}

interface Forbidden {
  readonly caller: Party;
  readonly target: Party;
  /** At the beginning and at the end of the window. */
  readonly attempts: readonly Attempt[];
  /** The target answers somebody who may ask it, in each protocol. */
  readonly targetControl: readonly Exchange[];
  /** The caller is answered where it may ask. */
  readonly callerControl: readonly Exchange[];
}

const ATTEMPTED = ['tcp', 'udp', 'tcp', 'udp'] as const;
const ATTEMPT_TIMEOUT_MS = 1_000;

const attemptRequests = (address: string) =>
  ATTEMPTED.map((protocol) => ({ protocol, address, port: PORTS.echo, timeoutMs: ATTEMPT_TIMEOUT_MS }));

export const forbidden = defineCheck({
  id: 'reachability.forbidden',
  title: 'Where the topology allows no path, nothing arrives',
  level: 'core',
  scope: 'pair',
  paths: ['forbidden'],
  requires: ['l3.pod', 'l4.udp', 'icmp'],
  uses: [client, echo],
  budgets: { holds: DENY_HOLDS_MS },
  faults: [{ kind: 'clear-text-route', cause: 'path-not-closed' }],
  hint: 'Look for routes and forwarding rules between the segments at every transit gateway',
  reference: 'Requirement of the topology: segments that share a hub stay apart',

  async observe(context, { holds }): Promise<Forbidden> {
    const { from, to } = context;
    const [caller, target] = [from.site(CLIENT), to.site(ECHO)];
    const attempt = async (): Promise<Attempt> => {
      const [exchanges, pings] = await Promise.all([
        caller.exchange(attemptRequests(target.address)),
        caller.ping({ address: target.address, count: 2, intervalMs: 50, timeoutMs: ATTEMPT_TIMEOUT_MS }),
      ]);
      return { exchanges, pings, arrived: await arrivedOf(target, exchanges) };
    };
    const [targetControl, callerControl, first] = await Promise.all([
      to.site(CLIENT).exchange(attemptRequests(target.address)),
      caller.exchange(attemptRequests(allowedTarget(context).address)),
      attempt(),
    ]);
    await context.sleep(holds);
    return {
      caller: partyOf(caller),
      target: partyOf(target),
      attempts: [first, await attempt()],
      targetControl,
      callerControl,
    };
  },

  judge({ caller, target, attempts, targetControl, callerControl }) {
    const broken =
      malformed(targetControl, ATTEMPTED.length) ??
      malformed(callerControl, ATTEMPTED.length) ??
      attempts.map(({ exchanges }) => malformed(exchanges, ATTEMPTED.length)).find((verdict) => verdict);
    const open = attempts.flatMap(({ exchanges }) => exchanges).find(({ outcome }) => outcome === 'answered');
    const arrived = attempts.flatMap((attempt) => attempt.arrived);
    const answeredPings = attempts.reduce((sum, { pings }) => sum + pings.received, 0);
    if (open || arrived.length > 0 || answeredPings > 0) {
      return failed(
        'path-not-closed',
        `${caller.cluster} reaches ${target.cluster}, which the topology forbids`,
        {
          expected: `nothing of ${caller.cluster}/${caller.workload} arrives at ${target.cluster}/${target.workload} (${target.address})`,
          seen: open
            ? `${open.protocol.toUpperCase()} answered by ${answererOf(open)}`
            : arrived.length > 0
              ? `${arrived.length} requests arrived, though no answer came back`
              : `${answeredPings} pings answered`,
          reproduce: {
            at: `${caller.cluster}/${caller.workload}`,
            command: callCommand(open?.protocol ?? 'tcp', target.address, PORTS.echo),
          },
        },
      );
    }
    if (broken) return broken;
    if (attempts.length < 2)
      return inconclusive('probe-failed', 'The window was not probed at both of its ends');
    const dead = [...targetControl, ...callerControl].filter(({ outcome }) => outcome !== 'answered');
    if (dead.length > 0) {
      return inconclusive(
        'control-failed',
        `Calls that are allowed are not answered either (${countOutcomes(dead)}), so silence proves nothing`,
      );
    }
    return passed(
      `Nothing arrived in ${attempts.length * ATTEMPTED.length} calls, allowed ones were answered`,
    );
  },
});

/** Somebody that the caller may ask: in another cluster where there is one. */
function allowedTarget(context: PairContext): Site {
  const { from, clusters } = context;
  const other = clusters.find(
    ({ name }) => name !== from.name && context.pathBetween(from.name, name).kind !== 'forbidden',
  );
  return (other ?? from).site(ECHO);
}

const BURST_PACKETS = 1_000;
const BURST_RATE = 1_000;
/** When fewer packets arrive, their order says little; how many may be lost is another check's business. */
const LEAST_ARRIVED = 0.5;

export const order = defineCheck({
  id: 'reachability.order',
  title: 'Datagrams arrive in order and once',
  level: 'extended',
  scope: 'pair',
  requires: ['l3.pod', 'l4.udp'],
  dependsOn: ['reachability.udp'],
  uses: [client, echo],
  exclusive: 'pair',
  budgets: { reordered: REORDERED_SHARE, duplicated: DUPLICATED_SHARE },
  faults: [
    { kind: 'reordered', cause: 'packets-reordered' },
    { kind: 'duplicated', cause: 'packets-duplicated' },
  ],
  hint: 'Look for per-packet load balancing over several tunnels or links, and for mirrored or flooded ports',
  reference: 'RFC 4737 (reordering), RFC 5560 (duplication)',

  async observe({ from, to }): Promise<{ caller: Party; target: Party; burst: Burst }> {
    const [caller, target] = [from.site(CLIENT), to.site(ECHO)];
    const burst = await caller.burst({
      address: target.address,
      port: PORTS.echo,
      count: BURST_PACKETS,
      packetsPerSecond: BURST_RATE,
      payload: 200,
    });
    return { caller: partyOf(caller), target: partyOf(target), burst };
  },

  judge({ caller, target, burst }, budgets) {
    const { sent, received, reordered, duplicates } = burst;
    if (!(sent > 0) || !(received >= 0) || !(reordered >= 0) || !(duplicates >= 0)) {
      return inconclusive('probe-failed', `The burst gave no figures: ${burst.detail ?? 'no reason given'}`);
    }
    const figures = {
      reordered: { value: reordered, unit: 'packets' },
      duplicated: { value: duplicates, unit: 'packets' },
      received: { value: received, unit: 'packets' },
      sent: { value: sent, unit: 'packets' },
    };
    if (received < LEAST_ARRIVED * sent) {
      return inconclusive(
        'control-failed',
        `Only ${received} of ${sent} datagrams arrived: their order says little`,
        {
          figures,
        },
      );
    }
    const judgeShare = (count: number, limit: number, cause: 'packets-reordered' | 'packets-duplicated') =>
      count <= limit * received
        ? undefined
        : failed(
            cause,
            `${count} of ${received} datagrams ${cause === 'packets-reordered' ? 'out of order' : 'more than once'}`,
            {
              expected: `at most ${100 * limit} % from ${caller.cluster} to ${target.cluster}`,
              seen: `${count} of ${received} (${((100 * count) / received).toFixed(2)} %)`,
              figures,
              reproduce: {
                at: `${caller.cluster}/${caller.workload}`,
                command: `ping -n -i 0.002 -c 1000 ${target.address}`,
              },
            },
          );
    return (
      judgeShare(reordered, budgets.reordered, 'packets-reordered') ??
      judgeShare(duplicates, budgets.duplicated, 'packets-duplicated') ??
      passed(`${received} of ${sent} datagrams in order and once`, figures)
    );
  },
});

/** Enough turns for each of a handful of backends. */
const HAIRPIN_CALLS = 40;

interface Hairpin {
  readonly caller: Party;
  readonly service: string;
  readonly exchanges: readonly Exchange[];
}

export const hairpin = defineCheck({
  id: 'reachability.hairpin',
  title: 'A workload reaches itself through the address of its own service',
  level: 'extended',
  scope: 'cluster',
  requires: ['l3.pod'],
  uses: [echo, privateEcho],
  withoutFaults:
    'What a hairpin needs is a rule of the service proxy, and no injector takes single rules away',
  hint: 'Look for the masquerade rule of the service proxy and for hairpin mode of the bridge port',
  reference: 'Kubernetes, Debug Services: a pod fails to reach itself via the Service IP',

  async observe({ cluster, family }): Promise<Hairpin> {
    const caller = cluster.site(ECHO);
    const service = cluster.service(privateService).addresses[family] ?? '';
    const exchanges = await caller.exchange(
      Array.from({ length: HAIRPIN_CALLS }, () => ({
        protocol: 'tcp' as const,
        address: service,
        port: PORTS.echo,
        timeoutMs: CALL_TIMEOUT_MS,
      })),
    );
    return { caller: partyOf(caller), service, exchanges };
  },

  judge({ caller, service, exchanges }) {
    const broken = malformed(exchanges, HAIRPIN_CALLS);
    if (broken) return broken;
    const answered = exchanges.filter(({ outcome }) => outcome === 'answered');
    const self = answered.filter(
      ({ answeredBy }) =>
        answeredBy?.cluster === caller.cluster &&
        `${answeredBy.namespace}/${answeredBy.workload}` === caller.workload,
    );
    if (answered.length === exchanges.length) {
      return self.length > 0
        ? passed(`Reached itself in ${self.length} of ${exchanges.length} calls`)
        : inconclusive(
            'control-failed',
            `None of ${exchanges.length} calls was balanced to the caller itself`,
          );
    }
    const lost = exchanges.length - answered.length;
    return failed(
      self.length === 0 ? 'no-hairpin' : 'packets-lost',
      `${lost} calls to the own service were lost`,
      {
        expected: `every call of ${caller.cluster}/${caller.workload} to ${service} is answered, by itself too`,
        seen: `${lost} of ${exchanges.length} calls lost (${countOutcomes(exchanges)}), ${self.length} answered by itself`,
        figures: { lost: { value: lost, unit: 'calls' } },
        reproduce: {
          at: `${caller.cluster}/${caller.workload}`,
          command: callCommand('tcp', service, PORTS.echo),
        },
      },
    );
  },
});

/** A proxy in the way takes the connection first, and ends it when it finds nobody to hand it to. */
const TURNED_AWAY: readonly Outcome[] = ['refused', 'unreachable', 'reset', 'closed'];

interface Refusals {
  readonly cluster: string;
  readonly service: string;
  readonly exchanges: readonly Exchange[];
  /** Calls to a service that has endpoints: shows that the caller can call at all. */
  readonly control: readonly Exchange[];
}

export const emptyServiceRefuses = defineCheck({
  id: 'reachability.empty-service',
  title: 'A service without endpoints refuses at once instead of hanging',
  level: 'extended',
  scope: 'cluster',
  requires: ['l3.pod'],
  uses: [client, noEndpoints, privateEcho],
  budgets: { refusal: REFUSAL_MS },
  withoutFaults: 'What refuses is a rule of the service proxy, and no injector takes single rules away',
  hint: 'Look for the reject rule of the service proxy: kube-proxy adds one for each service without endpoints',
  reference: 'Kubernetes conformance: "should reject a TCP connection to a service with no endpoints"',

  async observe({ cluster, family }, { refusal }): Promise<Refusals> {
    const caller = cluster.site(CLIENT);
    const service = cluster.service(emptyService).addresses[family] ?? '';
    const call = (address: string) =>
      caller.exchange(
        Array.from({ length: TRIES }, () => ({
          protocol: 'tcp' as const,
          address,
          port: PORTS.echo,
          timeoutMs: 2 * refusal,
        })),
      );
    const [exchanges, control] = await Promise.all([
      call(service),
      call(cluster.service(privateService).addresses[family] ?? ''),
    ]);
    return { cluster: cluster.name, service, exchanges, control };
  },

  judge({ cluster, service, exchanges, control }, { refusal }): Verdict {
    const broken = malformed(exchanges, TRIES) ?? malformed(control, TRIES);
    if (broken) return broken;
    if (control.some(({ outcome }) => outcome !== 'answered')) {
      return inconclusive(
        'control-failed',
        `A service with endpoints does not answer: ${countOutcomes(control)}`,
      );
    }
    const details = {
      expected: `${service} refuses TCP within ${refusal} ms`,
      reproduce: { at: `${cluster}/${CLIENT}`, command: callCommand('tcp', service, PORTS.echo) },
    };
    const answered = exchanges.find(({ outcome }) => outcome === 'answered');
    if (answered) {
      return failed('wrong-answerer', 'A service without endpoints is answered', {
        ...details,
        seen: `${answererOf(answered)} answered`,
      });
    }
    const slow = exchanges.filter(
      ({ outcome, durationMs }) => !TURNED_AWAY.includes(outcome) || durationMs > refusal,
    );
    const slowest = Math.max(...exchanges.map(({ durationMs }) => durationMs));
    const figures = { slowest: { value: slowest, unit: 'ms' } };
    return slow.length > 0
      ? failed('empty-service-hangs', `${slow.length} of ${TRIES} connections were not refused in time`, {
          ...details,
          seen: `${countOutcomes(slow)}, up to ${Math.round(slowest)} ms`,
          figures,
        })
      : passed(`Refused within ${Math.round(slowest)} ms`, figures);
  },
});

export const reachability: Suite = {
  id: 'reachability',
  title: 'Workloads of one cluster reach those of another, by the path that the topology says',
  checks: [tcp, udp, icmp, http, http2, path, everyNode, forbidden, order, hairpin, emptyServiceRefuses],
};
