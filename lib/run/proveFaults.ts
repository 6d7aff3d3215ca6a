/** From what a check says of a fault to faults that can be injected, for the subject of one of its cases. Pure. */
import {
  type Budgets,
  LATENCY_ALLOWANCE_MS,
  LATENCY_FACTOR,
  THROUGHPUT_OF_TUNNEL,
} from '../model/budgets.ts';
import type { AnyCheck } from '../model/check.ts';
import { InternalError } from '../model/errors.ts';
import type { FaultExpectation, FaultKind, FaultSpec } from '../model/fault.ts';
import type { RelativeSize } from '../model/prove.ts';
import type { PlannedCase } from '../model/record.ts';
import { type Topology, nextHop } from '../model/topology.ts';
import type { Figures } from '../model/verdict.ts';
import { type WorkloadSpec, keyOf } from '../model/workload.ts';
import { usedBy } from './fixtures.ts';

/** What a fault is aimed with. */
export interface AimContext {
  readonly topology: Topology;
  /** Between nodes, of the underlay as configured; without one, an Ethernet without a tunnel. */
  readonly pathMtu: number | undefined;
  /** Bytes that the tunnel puts around a packet on the wan. */
  readonly overhead: number;
  /** Where the faults of fleet checks strike, as those of a pair. */
  readonly focus: { readonly from: string; readonly to: string };
}

/** A fault with its size, where it comes in sizes; the largest first. */
export interface SizedFault {
  readonly faults: readonly FaultSpec[];
  readonly size?: string;
  readonly relativeTo?: RelativeSize;
}

/** Where a fault strikes. */
interface Target extends AimContext {
  readonly check: CheckOnFixtures;
  readonly cause: FaultExpectation['cause'];
  /** The caller's cluster, and the one it calls. */
  readonly from: string;
  readonly to: string;
  /** The cluster that the case is about: its own, or the called one's. */
  readonly own: string;
  readonly caller: WorkloadSpec | undefined;
  readonly called: WorkloadSpec | undefined;
}

/** Faults strike what a check stands on; how large they must be its budgets say. */
type CheckOnFixtures = Pick<AnyCheck, 'uses'> & { readonly budgets?: Budgets };

const ETHERNET_MTU = 1_500;

type Aiming<K extends FaultKind> = (
  target: Target,
) => readonly (Extract<FaultSpec, { kind: K }> | Sized<K>)[];
interface Sized<K extends FaultKind> {
  readonly size: string;
  readonly relativeTo?: RelativeSize;
  readonly fault: Extract<FaultSpec, { kind: K }>;
}

const graded = <T, K extends FaultKind>(
  sizes: readonly T[],
  label: (size: T) => string,
  make: (size: T) => Extract<FaultSpec, { kind: K }>,
): Sized<K>[] => sizes.map((size) => ({ size: label(size), fault: make(size) }));

const bytes = (count: number): string => `${count} ${count === 1 ? 'byte' : 'bytes'}`;
const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;

/** The link on the wan that leads towards a cluster. */
const linkTowards = (topology: Topology, from: string, to: string): { from: string; to: string } => ({
  from,
  to: nextHop(topology, from, to),
});

/** One way on the wan: the way of the answers when those must get lost. */
const wayOf = ({ topology, cause, from, to }: Target): { from: string; to: string } =>
  cause === 'reply-lost' ? linkTowards(topology, to, from) : linkTowards(topology, from, to);

/**
 * At the workload: checks that compare with the gateways' own traffic notice only what workloads alone suffer. What calls a
 * service that clusters share may leave its cluster by a gateway of the technology: then all that leaves it suffers.
 */
const ofCaller = (
  target: Target,
): { from: string; to: string; workload?: string } | { from: string; to: string; forwarded: true } => {
  const { caller, from, to } = target;
  if (sharesServices(target)) return { from, to, forwarded: true };
  return { from, to, ...(caller && { workload: keyOf(caller) }) };
};

const sharesServices = (target: Target): boolean => sharedServicesOf(target).length > 0;

const budgetOf = ({ check }: Target, name: string, otherwise: number): number =>
  check.budgets?.[name]?.value ?? otherwise;

/** Causes that only one direction can have. */
const ONE_WAY_CAUSES: ReadonlySet<FaultExpectation['cause']> = new Set(['mtu-asymmetric']);
/** Causes that need the errors of ICMP to get lost. */
const SILENT_CAUSES: ReadonlySet<FaultExpectation['cause']> = new Set([
  'mtu-black-hole',
  'mtu-masked',
  'large-transfer-stalls',
]);
/** Far below any limit: what a forgotten default or a second tunnel takes away; and the least there is. */
const MTU_STEPS = [100, 1];

/** Five eighths of what the budget asks for, which of a tunnel is half of what the path carries; and nine tenths. */
const SLOW_SHARES = [0.625, 0.9];
/** What is sent to a service comes back again: where one way is as slow as both may be together, both are twice as fast. */
const ONE_WAY_OF_TWO = 0.5;

/** A tenth above what the budget allows beside the baseline itself. */
const late = (target: Target): RelativeSize => ({
  figure: 'p50 baseline',
  share: 1.1 * (budgetOf(target, 'factor', LATENCY_FACTOR.value) - 1),
  plus: 1.1 * budgetOf(target, 'allowance', LATENCY_ALLOWANCE_MS.value),
});

const slow = (target: Target): { readonly size: string; readonly relativeTo: RelativeSize }[] =>
  SLOW_SHARES.map((part) => {
    const share = part * budgetOf(target, 'share', THROUGHPUT_OF_TUNNEL.value);
    return {
      size: `${percent(share)} of the baseline`,
      relativeTo: { figure: 'baseline', share: share * (sharesServices(target) ? ONE_WAY_OF_TWO : 1) },
    };
  });

const AIMS: { readonly [K in FaultKind]: Aiming<K> } = {
  'tunnel-down': ({ topology, from, to }) => [
    { kind: 'tunnel-down', between: [from, nextHop(topology, from, to)] },
  ],
  'wan-drop': (target) => {
    const oneWay = { kind: 'wan-drop', ...wayOf(target) } as const;
    // When both get lost, it is the requests that do.
    if (target.cause === 'reply-lost') return [oneWay];
    return [
      { size: 'both ways', fault: { ...oneWay, both: true } },
      { size: 'one way', fault: oneWay },
    ];
  },
  'wrong-peer-key': ({ topology, from, to }) => [
    { kind: 'wrong-peer-key', at: from, peer: nextHop(topology, from, to) },
  ],
  'cluster-gone': ({ to }) => [{ kind: 'cluster-gone', cluster: to }],
  'cluster-frozen': ({ to }) => [{ kind: 'cluster-frozen', cluster: to }],
  'mtu-lowered': ({ topology, from, to, pathMtu = ETHERNET_MTU, cause }) =>
    graded(MTU_STEPS, bytes, (less) => ({
      kind: 'mtu-lowered',
      at: from,
      mtu: pathMtu - less,
      icmp: SILENT_CAUSES.has(cause) ? 'dropped' : 'passes',
      ...(!ONE_WAY_CAUSES.has(cause) && { peer: nextHop(topology, from, to) }),
    })),
  'large-packets-dropped': (target) =>
    graded(MTU_STEPS, bytes, (less) => ({
      kind: 'large-packets-dropped',
      ...wayOf(target),
      above: (target.pathMtu ?? ETHERNET_MTU) + target.overhead - less,
    })),
  'policy-flushed': ({ own }) => [{ kind: 'policy-flushed', cluster: own }],
  'policy-ignored': ({ own }) => [{ kind: 'policy-ignored', cluster: own }],
  'policy-added': ({ own, called }) =>
    called ? [{ kind: 'policy-added', cluster: own, namespace: called.namespace }] : [],
  'policy-loosened': ({ own, called }) =>
    called ? [{ kind: 'policy-loosened', cluster: own, namespace: called.namespace }] : [],
  'dns-stopped': ({ from }) => [{ kind: 'dns-stopped', cluster: from }],
  'dns-slow': ({ from }) =>
    graded(
      [1_000, 250],
      (milliseconds) => `${milliseconds} ms`,
      (milliseconds) => ({ kind: 'dns-slow', cluster: from, milliseconds }),
    ),
  'dns-nxdomain': ({ from }) => [{ kind: 'dns-nxdomain', cluster: from }],
  'dns-stale': ({ from }) => [{ kind: 'dns-stale', cluster: from }],
  'dns-ttl-long': ({ from }) =>
    graded(
      [3_600, 60],
      (seconds) => `${seconds} s`,
      (seconds) => ({ kind: 'dns-ttl-long', cluster: from, seconds }),
    ),
  'dns-wrong-address': ({ from, to }) => [{ kind: 'dns-wrong-address', cluster: from, instead: to }],
  'service-not-shared': (target) =>
    sharedServicesOf(target).map((service) => ({
      kind: 'service-not-shared',
      cluster: target.to,
      ...service,
    })),
  'wrong-answerer': ({ from, to, called }) =>
    called ? [{ kind: 'wrong-answerer', at: from, cluster: to, workload: keyOf(called) }] : [],
  'workload-cut': ({ to, called }) =>
    called ? [{ kind: 'workload-cut', cluster: to, workload: keyOf(called) }] : [],
  'node-cut': ({ to }) => [{ kind: 'node-cut', cluster: to }],
  'source-rewritten': ({ from, to }) => [{ kind: 'source-rewritten', from, to }],
  'rate-limited': (target) => [
    { size: '2 Mbit/s', fault: { kind: 'rate-limited', ...ofCaller(target), megabits: 2 } },
    ...slow(target).map((size) => ({
      ...size,
      fault: { kind: 'rate-limited' as const, ...ofCaller(target), megabits: 0 },
    })),
  ],
  delayed: (target) => [
    ...graded(
      [50, 20, 10],
      (milliseconds) => `${milliseconds} ms`,
      (milliseconds) => ({ kind: 'delayed' as const, ...ofCaller(target), milliseconds }),
    ),
    {
      size: 'just above the budget',
      relativeTo: late(target),
      fault: { kind: 'delayed', ...ofCaller(target), milliseconds: 0 },
    },
  ],
  'wan-loss': (target) =>
    graded([0.05, 0.005], percent, (share) => ({ kind: 'wan-loss', ...wayOf(target), share })),
  reordered: (target) =>
    graded([0.2, 0.01], percent, (share) => ({ kind: 'reordered', ...ofCaller(target), share })),
  duplicated: ({ from, to }) =>
    graded([0.2, 0.01], percent, (share) => ({ kind: 'duplicated', from, to, share })),
  'remote-secret-deleted': ({ from, to }) => [{ kind: 'remote-secret-deleted', at: from, cluster: to }],
  'remote-secret-loopback': ({ from, to }) => [{ kind: 'remote-secret-loopback', at: from, cluster: to }],
  'peering-deleted': ({ from, to }) => [{ kind: 'peering-deleted', at: from, cluster: to }],
  'everything-exported': ({ to }) => [{ kind: 'everything-exported', cluster: to }],
  'gateway-stopped': ({ to }) => [{ kind: 'gateway-stopped', cluster: to }],
  'health-probes-refused': ({ to }) => [{ kind: 'health-probes-refused', cluster: to }],
  // Either may be the one that has to learn of something.
  'control-plane-stopped': ({ from, to }) =>
    [from, to].map((cluster) => ({ kind: 'control-plane-stopped', cluster })),
  'clear-text-accepted': ({ own, check }) =>
    (check.uses ?? [])
      .flatMap(({ intents }) => intents ?? [])
      .filter((intent) => intent.kind === 'mutual-tls')
      .map(({ namespace }) => ({ kind: 'clear-text-accepted', cluster: own, namespace })),
  'identity-policy-missing': ({ own, caller }) =>
    caller ? [{ kind: 'identity-policy-missing', cluster: own, namespace: caller.namespace }] : [],
  'proxy-missing': ({ from, caller }) =>
    caller ? [{ kind: 'proxy-missing', cluster: from, workload: keyOf(caller) }] : [],
  'foreign-root': ({ to }) => [{ kind: 'foreign-root', cluster: to }],
  'certificate-ending': ({ own }) => [{ kind: 'certificate-ending', cluster: own }],
  'certificate-deleted': ({ own }) => [{ kind: 'certificate-deleted', cluster: own }],
  'intermediate-rotated': ({ own }) => [{ kind: 'intermediate-rotated', cluster: own }],
  'clear-text-route': ({ from, to }) => [{ kind: 'clear-text-route', from, to }],
  'clear-text-fallback': ({ from, to }) => [{ kind: 'clear-text-fallback', from, to }],
};

/** Kinds whose faults of one check stand together rather than being sizes of each other. */
const TOGETHER: ReadonlySet<FaultKind> = new Set(['service-not-shared', 'control-plane-stopped']);

/** The services that the fixtures of a check share, on every one of which it may stand. */
function sharedServicesOf({ check, topology }: Target): { namespace: string; service: string }[] {
  return usedBy(check, topology.members.length).flatMap(({ intents }) =>
    (intents ?? []).flatMap((intent) =>
      intent.kind === 'share-service' ? [{ namespace: intent.namespace, service: intent.service }] : [],
    ),
  );
}

/**
 * The faults that this case must notice, by size, the largest first; none when the kind does not fit the check.
 * @throws InternalError for a kind that nobody has said how to aim
 */
export function faultsFor(
  { kind, cause }: FaultExpectation,
  check: CheckOnFixtures,
  { subject }: Pick<PlannedCase, 'subject'>,
  context: AimContext,
): SizedFault[] {
  const aim = AIMS[kind] as Aiming<FaultKind> | undefined;
  if (!aim) throw new InternalError(`nobody has said how to aim the fault ${kind}`);
  const faults = aim({ ...context, check, cause, ...strikingPoint(subject, context), ...partiesOf(check) });
  if (TOGETHER.has(kind)) return faults.length === 0 ? [] : [{ faults: faults as readonly FaultSpec[] }];
  return faults.map((one) => {
    if (!('fault' in one)) return { faults: [one] };
    const { fault, ...size } = one;
    return { faults: [fault], ...size };
  });
}

/** @returns the faults in absolute sizes; undefined when the figure that they are relative to was not measured */
export function sizedBy(
  faults: readonly FaultSpec[],
  { figure, share, plus = 0 }: RelativeSize,
  figures: Figures | undefined,
): FaultSpec[] | undefined {
  const measured = figures?.[figure]?.value;
  if (measured === undefined) return undefined;
  const size = share * measured + plus;
  return faults.map((fault) => {
    if ('megabits' in fault) return { ...fault, megabits: Math.round(size) };
    // Timers count whole milliseconds.
    return 'milliseconds' in fault ? { ...fault, milliseconds: Math.ceil(size) } : fault;
  });
}

function strikingPoint(
  subject: PlannedCase['subject'],
  { focus, topology }: AimContext,
): Pick<Target, 'from' | 'to' | 'own'> {
  switch (subject.scope) {
    case 'pair':
      return { from: subject.from, to: subject.to, own: subject.to };
    case 'cluster': {
      const { cluster } = subject;
      const other = topology.members.find(({ name }) => name !== cluster)?.name ?? cluster;
      return { from: cluster, to: other, own: cluster };
    }
    case 'fleet':
      return { ...focus, own: focus.to };
  }
}

/** By convention of the fixtures the caller comes first, and what it calls last. */
function partiesOf(check: CheckOnFixtures): Pick<Target, 'caller' | 'called'> {
  const workloads = (check.uses ?? []).filter((fixture) => fixture.workloads.length > 0);
  return { caller: workloads[0]?.workloads[0], called: workloads.at(-1)?.workloads[0] };
}
