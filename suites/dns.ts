import {
  CLIENT,
  ECHO,
  MANY_ENDPOINTS,
  client,
  echoService,
  headlessEcho,
  headlessService,
  localEcho,
  manyEndpoints,
  manyService,
  privateEcho,
  privateService,
  sharedEcho,
} from '../fixtures/workloads.ts';
import { CONVERGENCE_MS, DNS_P95_MS, DNS_TTL_SECONDS } from '../lib/model/budgets.ts';
import { type ClusterView, type Site, type Suite, defineCheck } from '../lib/model/check.ts';
import { ADDRESS_RECORD, type Exchange, type Resolution } from '../lib/model/probe.ts';
import { percentile, upperBoundOfUnseen } from '../lib/model/statistics.ts';
import { failed, inconclusive, passed } from '../lib/model/verdict.ts';
import { PORTS, type ServicePort, type ServiceSpec, selects, serviceName } from '../lib/model/workload.ts';
import {
  CALL_TIMEOUT_MS,
  answererOf,
  causeOfOutcome,
  commonest,
  countOutcomes,
  callCommand,
  malformed,
} from './support/calls.ts';
import {
  LOOKUP_TIMEOUT_MS,
  type Lookup,
  judgeAddresses,
  judgeAnswered,
  judgeResponse,
  lookUp,
  lookupDetails,
  sameSet,
  shownAddresses,
} from './support/names.ts';
import { answerers, callUntilAllAnswer, reachableFrom, sameCalls } from './support/services.ts';

const KEP_DNS = 'KEP-1645, "DNS"; Kubernetes DNS-Based Service Discovery 1.1.0';
const SERVER_HINT = 'Look at the DNS server of this cluster: is it running, and does it serve this zone?';

const callerIn = (cluster: string): string => `${cluster}/${CLIENT}`;

/** The workloads that a service selects in one cluster. */
const backendsOf = ({ sites }: ClusterView, { namespace, selector }: ServiceSpec): Site[] =>
  sites.filter(({ spec }) => spec?.namespace === namespace && selects(selector, spec.labels));

const serviceCall = (address: string) => ({ protocol: 'http' as const, address, port: PORTS.service });

/** By the workload's own address, so without anything that carries services. */
const neighbourCalls = (address: string, count: number) =>
  Array.from({ length: count }, () => ({
    protocol: 'tcp' as const,
    address,
    port: PORTS.echo,
    timeoutMs: CALL_TIMEOUT_MS,
  }));

interface Shared {
  readonly cluster: string;
  /** What sharing the service gave a caller here. */
  readonly address: string;
  readonly lookup: Lookup;
  /** Clusters that share the service and may be reached from here. */
  readonly sharing: readonly string[];
  /** Names of the workloads that the service selects, in any cluster. */
  readonly workloads: readonly string[];
  readonly exchanges: readonly Exchange[];
}

export const shared = defineCheck({
  id: 'dns.shared',
  title: 'A shared service resolves at the own DNS server, and every cluster that shares it answers',
  level: 'core',
  scope: 'cluster',
  requires: ['dns', 'share-service'],
  dependsOn: ['reachability.tcp'],
  uses: [client, sharedEcho],
  budgets: { convergence: CONVERGENCE_MS },
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-nxdomain', cause: 'dns-nxdomain' },
    { kind: 'dns-wrong-address', cause: 'dns-wrong-address' },
    { kind: 'service-not-shared', cause: 'local-endpoints-only' },
  ],
  hint: 'Follow the chain: exported there, imported here, endpoints known here, and healthy',
  reference: KEP_DNS,

  async observe(context, { convergence }): Promise<Shared> {
    const { cluster, family } = context;
    const { name, addresses } = cluster.sharedService(echoService);
    const address = addresses[family] ?? '';
    const sharing = reachableFrom(cluster.name, context).map((view) => view.name);
    const call = async (): Promise<readonly Exchange[]> =>
      address ? callUntilAllAnswer(cluster.site(CLIENT), serviceCall(address), sharing) : [];
    const [lookup, { last: exchanges }] = await Promise.all([
      lookUp(cluster.site(CLIENT), cluster, { name, type: ADDRESS_RECORD[family] }, context),
      // What was shared a moment ago is still being connected to.
      context.converge(call, {
        succeeded: (all) =>
          !address ||
          (all.every(({ outcome }) => outcome === 'answered') &&
            sharing.every((one) => answerers(all).includes(one))),
        budgetMs: convergence,
        successes: 1,
      }),
    ]);
    const workloads = new Set(
      context.clusters.flatMap((view) => backendsOf(view, echoService)).map(({ key }) => key),
    );
    return { cluster: cluster.name, address, lookup, sharing, workloads: [...workloads], exchanges };
  },

  judge({ cluster, address, lookup, sharing, workloads, exchanges }) {
    if (!address || sharing.length === 0) {
      return inconclusive('control-failed', 'Sharing the service gave its callers here no address to expect');
    }
    const at = callerIn(cluster);
    const wrongName = judgeAddresses(lookup, [address], at, 'the address that sharing gave');
    if (wrongName) return wrongName;
    const broken = malformed(exchanges, exchanges.length);
    if (broken) return broken;
    const answered = answerers(exchanges);
    const lost = exchanges.filter(({ outcome }) => outcome !== 'answered');
    const missing = sharing.filter((name) => !answered.includes(name));
    const strangers = answered.filter((name) => !sharing.includes(name));
    const figures = {
      calls: { value: exchanges.length, unit: 'calls' },
      clusters: { value: answered.length, unit: 'clusters' },
      lookup: { value: lookup.durationMs, unit: 'ms' },
    };
    const details = {
      expected: `${address} is answered by ${sharing.join(', ')}`,
      seen: `answered by ${answered.join(', ') || 'nobody'} in ${exchanges.length} calls${lost.length > 0 ? `, ${countOutcomes(lost)}` : ''}`,
      figures,
      reproduce: {
        at,
        command: callCommand('http', address, PORTS.service),
      },
    };
    if (answered.length === 0) {
      const outcome = commonest(lost.map((exchange) => exchange.outcome)) ?? 'timed-out';
      return failed(causeOfOutcome(outcome), 'The shared service answers nobody here', details);
    }
    const foreign = exchanges.find(
      ({ answeredBy }) => answeredBy && !workloads.includes(`${answeredBy.namespace}/${answeredBy.workload}`),
    );
    if (foreign) {
      return failed('wrong-answerer', 'A workload answers that the service does not select', {
        ...details,
        seen: `${answererOf(foreign)} answered`,
      });
    }
    if (strangers.length > 0) {
      return failed(
        'wrong-answerer',
        `${strangers.join(', ')} answers, which must not be reached from here`,
        details,
      );
    }
    if (missing.length > 0) {
      return answered.length === 1 && answered[0] === cluster
        ? failed('local-endpoints-only', 'Only endpoints of the own cluster answer', details)
        : failed('remote-endpoints-missing', `${missing.join(', ')} never answered`, details);
    }
    return lost.length > 0
      ? failed('packets-lost', `${lost.length} of ${exchanges.length} calls were lost`, details)
      : passed(`Resolves to ${address}; ${answered.join(', ')} answered`, figures);
  },
});

interface PortRecord {
  readonly wanted: ServicePort;
  readonly lookup: Lookup;
  /** Addresses of the target that it names. */
  readonly target?: Lookup;
}

interface Records {
  readonly cluster: string;
  readonly wantedAddress: string;
  readonly address: Lookup;
  /** The family that the service has no address in: no record, but the name exists. */
  readonly otherFamily?: Lookup;
  readonly services: readonly PortRecord[];
}

export const records = defineCheck({
  id: 'dns.records',
  title: 'A shared service has its A, AAAA and SRV records',
  level: 'core',
  scope: 'cluster',
  requires: ['dns', 'dns.clusterset', 'share-service'],
  uses: [client, sharedEcho],
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-nxdomain', cause: 'dns-nxdomain' },
    { kind: 'dns-wrong-address', cause: 'dns-wrong-address' },
  ],
  hint: SERVER_HINT,
  reference: `${KEP_DNS}; RFC 2782 (SRV), RFC 4074 (no AAAA is not NXDOMAIN)`,

  async observe(context): Promise<Records> {
    const { cluster, family } = context;
    const caller = cluster.site(CLIENT);
    const { name, addresses } = cluster.sharedService(echoService);
    const other = family === 'ipv4' ? 'ipv6' : 'ipv4';
    const ask = (asked: string, type: 'A' | 'AAAA' | 'SRV') =>
      lookUp(caller, cluster, { name: asked, type }, context);
    const askPort = async (wanted: ServicePort): Promise<PortRecord> => {
      const lookup = await ask(`_${wanted.name}._${wanted.protocol}.${name}`, 'SRV');
      const target = lookup.services[0]?.target;
      return {
        wanted,
        lookup,
        ...(target !== undefined && { target: await ask(target, ADDRESS_RECORD[family]) }),
      };
    };
    const [address, otherFamily, ...services] = await Promise.all([
      ask(name, ADDRESS_RECORD[family]),
      addresses[other] === undefined ? ask(name, ADDRESS_RECORD[other]) : undefined,
      ...echoService.ports.map(askPort),
    ]);
    return {
      cluster: cluster.name,
      wantedAddress: addresses[family] ?? '',
      address,
      ...(otherFamily && { otherFamily }),
      services,
    };
  },

  judge({ cluster, wantedAddress, address, otherFamily, services }) {
    if (!wantedAddress)
      return inconclusive('control-failed', 'Sharing the service gave no address to expect');
    if (services.length === 0) return inconclusive('probe-failed', 'No SRV record was asked for');
    const at = callerIn(cluster);
    const whose = 'the address that sharing gave';
    const wrong =
      judgeAddresses(address, [wantedAddress], at, whose) ?? (otherFamily && judgeNoRecords(otherFamily, at));
    if (wrong) return wrong;
    for (const { wanted, lookup, target } of services) {
      const expected = `${lookup.name} SRV has port ${wanted.port} and a target that resolves to ${wantedAddress}`;
      const bad = judgeAnswered(lookup, at, expected);
      if (bad) return bad;
      const details = { expected, ...lookupDetails(lookup, at) };
      const [record] = lookup.services;
      if (!record || !target) {
        return failed('dns-no-records', `${lookup.name} has no SRV record`, {
          ...details,
          seen: 'NOERROR without any SRV record',
        });
      }
      if (lookup.services.some(({ port }) => port !== wanted.port)) {
        return failed('dns-wrong-address', `The SRV record of ${wanted.name} names another port`, {
          ...details,
          seen: lookup.services.map(({ target: host, port }) => `${host} port ${port}`).join(', '),
        });
      }
      const lostTarget = judgeAddresses(target, [wantedAddress], at, `the target of ${lookup.name}`);
      if (lostTarget) return lostTarget;
    }
    return passed(`${address.type} is ${wantedAddress}, ${services.length} SRV records lead there`);
  },
});

/** The name exists, so a type that it has not is NOERROR: NXDOMAIN would make clients give up on the other type too. */
function judgeNoRecords(lookup: Lookup, at: string) {
  const expected = `${lookup.name} ${lookup.type}: NOERROR without records, since the service has no such address`;
  const bad = judgeAnswered(lookup, at, expected);
  if (bad || lookup.addresses.length === 0) return bad;
  return failed('dns-wrong-address', `${lookup.name} has an address in a family that is not in use`, {
    expected,
    seen: shownAddresses(lookup),
    ...lookupDetails(lookup, at),
  });
}

interface Headless {
  readonly cluster: string;
  readonly lookup: Lookup;
  readonly workloads: readonly {
    readonly cluster: string;
    readonly name: string;
    readonly address: string;
  }[];
}

/** Longest that records may be behind the endpoints; far below what a resolver would cache. */
const RECORDS_SETTLE_MS = 3_000;

export const headless = defineCheck({
  id: 'dns.headless',
  title: 'A shared headless service resolves to the addresses of its workloads in all clusters',
  level: 'core',
  scope: 'cluster',
  requires: ['l3.pod', 'dns', 'dns.clusterset', 'share-service'],
  dependsOn: ['reachability.tcp'],
  uses: [client, headlessEcho],
  budgets: { ttl: DNS_TTL_SECONDS },
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-nxdomain', cause: 'dns-nxdomain' },
    { kind: 'dns-stale', cause: 'dns-stale-endpoints' },
    { kind: 'dns-ttl-long', cause: 'dns-ttl-too-long' },
    { kind: 'service-not-shared', cause: 'local-endpoints-only' },
  ],
  hint: 'Compare the records with the ready endpoints of each cluster',
  reference: KEP_DNS,

  async observe(context): Promise<Headless> {
    const { cluster, family } = context;
    const { name } = cluster.sharedService(headlessService);
    const workloads = reachableFrom(cluster.name, context)
      .flatMap((view) => backendsOf(view, headlessService))
      .map((site) => ({ cluster: site.cluster, name: site.key, address: site.address }));
    const wanted = workloads.map(({ address }) => address);
    // A health check that failed once on a busy machine takes an endpoint away for a moment.
    const { last: lookup } = await context.converge(
      () => lookUp(cluster.site(CLIENT), cluster, { name, type: ADDRESS_RECORD[family] }, context),
      { succeeded: ({ addresses }) => sameSet(addresses, wanted), budgetMs: RECORDS_SETTLE_MS, successes: 1 },
    );
    return { cluster: cluster.name, lookup, workloads };
  },

  judge({ cluster, lookup, workloads }, { ttl }) {
    if (workloads.length === 0)
      return inconclusive('control-failed', 'The headless service selects no workload');
    const at = callerIn(cluster);
    const wanted = workloads.map(({ address }) => address);
    const expected = `${lookup.name} ${lookup.type} is the set of ${wanted.join(', ')}`;
    const bad = judgeAnswered(lookup, at, expected);
    if (bad) return bad;
    if (sameSet(lookup.addresses, wanted)) {
      if (lookup.ttls.length === 0) return inconclusive('probe-failed', 'The records have no time to live');
      const longest = Math.max(...lookup.ttls);
      const figures = { 'time to live': { value: longest, unit: 's' } };
      return longest > ttl
        ? failed('dns-ttl-too-long', `The records may be kept for ${longest} s`, {
            expected: `${lookup.name} ${lookup.type} may be kept for ${ttl} s at most`,
            seen: `time to live of ${longest} s`,
            figures,
            ...lookupDetails(lookup, at),
          })
        : passed(`The records are the addresses of its ${wanted.length} workloads`, figures);
    }
    const details = {
      expected,
      seen: `${shownAddresses(lookup) || 'no address'}, without ${
        workloads
          .filter(({ address }) => !lookup.addresses.includes(address))
          .map((workload) => `${workload.cluster}/${workload.name} (${workload.address})`)
          .join(', ') || 'none'
      }`,
      ...lookupDetails(lookup, at),
    };
    if (lookup.addresses.length === 0) return failed('dns-no-records', `${lookup.name} is empty`, details);
    const own = workloads.filter((workload) => workload.cluster === cluster).map(({ address }) => address);
    return own.length > 0 && sameSet(lookup.addresses, own)
      ? failed('local-endpoints-only', 'Only workloads of the own cluster have records', details)
      : failed('dns-stale-endpoints', 'The records are not the workloads', details);
  },
});

/** Zero remote answers in 20 calls: at most 14 % of calls may still be remote, at 95 % confidence. */
const NOT_SHARED_CALLS = 20;

interface NotShared {
  readonly cluster: string;
  readonly local: Lookup;
  readonly foreign: Lookup;
  readonly exchanges: readonly Exchange[];
}

export const notShared = defineCheck({
  id: 'dns.not-shared',
  title: 'A service that is not shared is answered by the own cluster only, and unknown to clusterset.local',
  level: 'core',
  scope: 'cluster',
  requires: ['l3.pod', 'dns', 'dns.clusterset'],
  uses: [client, privateEcho],
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-wrong-address', cause: 'not-shared-but-answered' },
  ],
  hint: 'Look for an export, a mirrored service or an address of another cluster behind the name',
  reference: `${KEP_DNS}; RFC 8020 (NXDOMAIN)`,

  async observe(context): Promise<NotShared> {
    const { cluster, family } = context;
    const caller = cluster.site(CLIENT);
    const type = ADDRESS_RECORD[family];
    const [local, foreign] = await Promise.all([
      lookUp(caller, cluster, { name: serviceName(privateService, 'cluster.local'), type }, context),
      lookUp(caller, cluster, { name: serviceName(privateService, 'clusterset.local'), type }, context),
    ]);
    const [address] = local.addresses;
    const exchanges = address ? await caller.exchange(sameCalls(serviceCall(address), NOT_SHARED_CALLS)) : [];
    return { cluster: cluster.name, local, foreign, exchanges };
  },

  judge({ cluster, local, foreign, exchanges }) {
    const at = callerIn(cluster);
    const expected = `${foreign.name}: NXDOMAIN, and only ${cluster} answers ${local.name}`;
    const bad = judgeResponse(foreign, at, expected) ?? judgeResponse(local, at, expected);
    if (bad) return bad;
    const details = { expected, ...lookupDetails(foreign, at) };
    const remote = answerers(exchanges).filter((name) => name !== cluster);
    if (remote.length > 0) {
      return failed(
        'not-shared-but-answered',
        `${remote.join(', ')} answers for a service that is not shared`,
        {
          expected,
          seen: `${local.name} is ${shownAddresses(local)}, answered by ${answerers(exchanges).join(', ')}`,
          ...lookupDetails(local, at),
        },
      );
    }
    if (foreign.addresses.length > 0) {
      return failed('not-shared-but-answered', `${foreign.name} exists though nobody shares it`, {
        ...details,
        seen: shownAddresses(foreign),
      });
    }
    if (foreign.rcode !== 'NXDOMAIN') {
      return failed('dns-no-records', `${foreign.name} exists, though without an address`, {
        ...details,
        seen: `${foreign.rcode} without any ${foreign.type} record`,
      });
    }
    const broken = malformed(exchanges, NOT_SHARED_CALLS);
    if (broken) {
      return local.addresses.length > 0
        ? broken
        : inconclusive('control-failed', `${local.name} has no address, so there was nothing to call`);
    }
    const lost = exchanges.filter(({ outcome }) => outcome !== 'answered');
    return lost.length === 0
      ? passed(`Only ${cluster} answered in ${NOT_SHARED_CALLS} calls; NXDOMAIN in clusterset.local`, {
          'upper bound of remote answers': { value: 100 * upperBoundOfUnseen(NOT_SHARED_CALLS), unit: '%' },
        })
      : inconclusive('control-failed', `The own cluster does not answer either: ${countOutcomes(lost)}`);
  },
});

interface Local {
  readonly cluster: string;
  readonly wantedAddress: string;
  readonly lookup: Lookup;
}

export const local = defineCheck({
  id: 'dns.local',
  title: 'cluster.local names resolve to addresses of the own cluster',
  level: 'core',
  scope: 'cluster',
  requires: ['dns'],
  uses: [client, localEcho],
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-nxdomain', cause: 'dns-nxdomain' },
    { kind: 'dns-wrong-address', cause: 'dns-wrong-address' },
  ],
  hint: SERVER_HINT,
  reference: 'Kubernetes DNS-Based Service Discovery 1.1.0, section 2.3',

  async observe(context): Promise<Local> {
    const { cluster, family } = context;
    const { name, addresses } = cluster.service(echoService);
    return {
      cluster: cluster.name,
      wantedAddress: addresses[family] ?? '',
      lookup: await lookUp(cluster.site(CLIENT), cluster, { name, type: ADDRESS_RECORD[family] }, context),
    };
  },

  judge({ cluster, wantedAddress, lookup }) {
    if (!wantedAddress) return inconclusive('control-failed', 'The service has no address to expect');
    return (
      judgeAddresses(lookup, [wantedAddress], callerIn(cluster), `its address in ${cluster}`) ??
      passed(`${lookup.name} is ${wantedAddress}`)
    );
  },
});

const LOOKUPS = 60;
/** Few at a time: what is measured is the server, not a queue in front of it. */
const LOOKUPS_AT_ONCE = 3;
/** Below this a 95th percentile is one or two lookups. */
const LEAST_LOOKUPS = 50;

interface Latency {
  readonly cluster: string;
  readonly lookups: readonly Resolution[];
  /** Calls to a neighbour at the same time: a machine that answers those slowly says nothing of the DNS server. */
  readonly neighbours: readonly Exchange[];
}

export const latency = defineCheck({
  id: 'dns.latency',
  title: 'Lookups are answered within the budget',
  level: 'core',
  scope: 'cluster',
  requires: ['dns'],
  uses: [client, localEcho],
  budgets: { p95: DNS_P95_MS },
  faults: [
    { kind: 'dns-stopped', cause: 'dns-timeout' },
    { kind: 'dns-slow', cause: 'dns-slow' },
  ],
  hint: SERVER_HINT,
  reference: 'RFC 1035, section 7.2 (retransmission)',

  async observe({ cluster, family }): Promise<Latency> {
    const request = {
      server: cluster.dns,
      name: cluster.service(echoService).name,
      type: ADDRESS_RECORD[family],
      timeoutMs: LOOKUP_TIMEOUT_MS,
    };
    const caller = cluster.site(CLIENT);
    const neighbour = cluster.site(ECHO).address;
    const lookups: Resolution[] = [];
    const neighbours: Exchange[] = [];
    while (lookups.length < LOOKUPS && lookups.every(({ outcome }) => outcome === 'answered')) {
      const round = await caller.resolve(Array.from({ length: LOOKUPS_AT_ONCE }, () => request));
      if (round.length === 0) break;
      lookups.push(...round);
      neighbours.push(...(await caller.exchange(neighbourCalls(neighbour, LOOKUPS_AT_ONCE))));
    }
    return { cluster: cluster.name, lookups, neighbours };
  },

  judge({ cluster, lookups, neighbours }, { p95 }) {
    const [first] = lookups;
    if (!first) return inconclusive('probe-failed', 'No lookup was reported');
    const at = callerIn(cluster);
    const expected = `95 % of ${LOOKUPS} lookups within ${p95} ms`;
    const bad = lookups.map((lookup) => judgeAnswered(lookup, at, expected)).find((verdict) => verdict);
    if (bad) return bad;
    if (lookups.length < LEAST_LOOKUPS) {
      return inconclusive('probe-failed', `Only ${lookups.length} lookups were reported`);
    }
    const times = lookups.map(({ durationMs }) => durationMs);
    const [median, high] = [percentile(times, 50), percentile(times, 95)];
    const figures = { p50: { value: median, unit: 'ms' }, p95: { value: high, unit: 'ms' } };
    if (high <= p95) return passed(`95 % of ${lookups.length} lookups within ${high.toFixed(1)} ms`, figures);
    const control = percentile(
      neighbours.map(({ durationMs }) => durationMs),
      95,
    );
    return control > p95 / 2
      ? inconclusive(
          'cpu-saturated',
          `Lookups are slow, but so are calls inside the cluster: 5 % take more than ${Math.round(control)} ms`,
          { figures },
        )
      : failed('dns-slow', `5 % of the lookups take more than ${Math.round(high)} ms`, {
          expected,
          seen: `p50 ${median.toFixed(1)} ms, p95 ${high.toFixed(1)} ms of ${lookups.length} lookups`,
          figures,
          ...lookupDetails(first, at),
        });
  },
});

interface Truncation {
  readonly cluster: string;
  /** Without EDNS: 512 bytes. */
  readonly plain: Lookup;
  readonly tcp: Lookup;
}

export const truncation = defineCheck({
  id: 'dns.truncation',
  title: 'An answer that does not fit is truncated by UDP and complete by TCP',
  level: 'extended',
  scope: 'cluster',
  requires: ['dns'],
  uses: [client, manyEndpoints],
  faults: [{ kind: 'dns-stopped', cause: 'dns-timeout' }],
  hint: 'Let TCP port 53 pass wherever UDP port 53 does, and look at the limits of the DNS server',
  reference: 'RFC 1035, section 4.2.1; RFC 7766, section 5',

  async observe({ cluster, family }): Promise<Truncation> {
    const request = {
      server: cluster.dns,
      name: cluster.service(manyService).name,
      type: ADDRESS_RECORD[family],
      timeoutMs: LOOKUP_TIMEOUT_MS,
    };
    const [plain, tcp] = await cluster.site(CLIENT).resolve([
      { ...request, transport: 'udp', bufferSize: 0 },
      { ...request, transport: 'tcp' },
    ]);
    if (!plain || !tcp) throw new TypeError('the probe reported fewer lookups than it was asked for');
    return { cluster: cluster.name, plain: { ...plain, owners: {} }, tcp: { ...tcp, owners: {} } };
  },

  judge({ cluster, plain, tcp }) {
    const at = callerIn(cluster);
    const expected = `${plain.name}: TC set by UDP without EDNS, ${MANY_ENDPOINTS} addresses by TCP`;
    const bad = judgeAnswered(plain, at, expected);
    if (bad) return bad;
    const details = {
      expected,
      reproduce: {
        at,
        command: `timeout 3 bash -c 'exec 3<>/dev/tcp/${plain.server}/53 && echo TCP port 53 is open'`,
      },
    };
    const complete = new Set(tcp.addresses).size;
    if (
      tcp.outcome !== 'answered' ||
      tcp.rcode !== 'NOERROR' ||
      complete !== MANY_ENDPOINTS ||
      tcp.truncated
    ) {
      return failed('dns-truncation', 'The whole answer is not to be had by TCP', {
        ...details,
        seen: `by TCP ${tcp.outcome}${tcp.rcode ? ` ${tcp.rcode}` : ''} with ${complete} addresses; by UDP ${plain.addresses.length}${plain.truncated ? ', TC set' : ', TC not set'}`,
      });
    }
    return plain.truncated
      ? passed(`TC by UDP, ${complete} addresses by TCP`)
      : failed('dns-truncation', 'An answer beyond 512 bytes is not marked as truncated', {
          ...details,
          seen: `by UDP without EDNS ${plain.addresses.length} of ${complete} addresses, TC not set`,
        });
  },
});

export const dns: Suite = {
  id: 'dns',
  title: 'Names resolve in every cluster to what they stand for, and to nothing else',
  checks: [local, shared, records, headless, notShared, latency, truncation],
};
