import type { AddressPlan } from './addressing.ts';
import type { BudgetValues, Budgets } from './budgets.ts';
import type { IpFamily, PerFamily } from './cidr.ts';
import type {
  BrokenLink,
  Capture,
  Cluster,
  Component,
  ConformanceClass,
  ExportState,
  Feature,
  Gateway,
  Identities,
  NamedCertificate,
  NodeHealth,
  PeerNames,
  SupportedSkew,
} from './cluster.ts';
import type { FaultExpectation, FaultSpec } from './fault.ts';
import type { Intent, PolicyIntent, PolicySemantics, Refusal } from './intent.ts';
import type { Probe } from './probe.ts';
import type { PairPath } from './topology.ts';
import type { Verdict } from './verdict.ts';
import type { ServiceSpec, SharedAddress, WorkloadSpec } from './workload.ts';

export type Level = 'core' | 'extended';
export type Scope = 'cluster' | 'pair' | 'fleet';
/**
 * What no other case may use while this one runs: the links of its pair, the calling or the called cluster of its pair
 * (the other one shared), the clusters that it is about, or everything.
 */
export type Exclusive = 'none' | 'target' | 'caller' | 'cluster' | 'pair' | 'fleet';

/** What must stand in every cluster before a check can observe; the union over all selected checks is put in place once. */
export interface Fixture {
  readonly name: string;
  readonly workloads: readonly WorkloadSpec[];
  readonly services?: readonly ServiceSpec[];
  readonly intents?: readonly Intent[];
  /** It stands in fleets of so many clusters or more only. */
  readonly fromClusters?: number;
}

/** A workload as a check sees it: its probe, recorded, and where it is. */
export interface Site extends Probe {
  readonly cluster: string;
  /** `namespace/name`, or `gateway`. */
  readonly key: string;
  readonly spec?: WorkloadSpec;
  /** Of a workload, where clusters have nodes. */
  readonly node?: string;
  readonly addresses: PerFamily<string>;
  /** Its address in the family of this case. */
  readonly address: string;
}

/** A cluster as a check sees it. */
export interface ClusterView {
  readonly name: string;
  readonly ranges: Cluster['ranges'];
  /** The DNS server's address in the family of this case. */
  readonly dns: string;
  /** @param key `namespace/name` */
  site(key: string): Site;
  readonly sites: readonly Site[];
  readonly gateway: Site & Pick<Gateway, 'wanInterface' | 'clusterInterface' | 'wanAddresses'>;
  service(service: { namespace: string; name: string }): SharedAddress;
  /** Where callers in this cluster find a service that clusters share. */
  sharedService(service: { namespace: string; name: string }): SharedAddress;
  capture(request: Parameters<Gateway['startCapture']>[0]): Promise<Capture>;
}

/** What every `observe` gets; everything that passes through it is recorded and undone. */
export interface Toolkit {
  readonly run: string;
  readonly family: IpFamily;
  readonly plan: AddressPlan;
  readonly clusters: readonly ClusterView[];
  readonly signal: AbortSignal;
  pathBetween(from: string, to: string): PairPath;
  /** Path MTU that the underlay was configured for; undefined when nobody said. */
  readonly configuredPathMtu: number | undefined;
  readonly tunnelFilter: string | undefined;
  handshakes(cluster: string): Promise<Readonly<Record<string, number>>>;
  readonly policySemantics: PolicySemantics;
  /** What callers by HTTP see of a policy by identity that does not name them. */
  readonly identityRefusal: Refusal;
  /** Policies that stand during the whole run. */
  readonly standingPolicies: readonly PolicyIntent[];
  /** From when on traffic must obey all intents that stand, as `elapsed` counts; 0 where they stood before this run. */
  readonly standingDue: number;
  /** Monotonic milliseconds. */
  elapsed(): number;
  /** Milliseconds since 1970, for what names a date. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
  nonce(): string;
  /** Applies an intent for the length of this case and waits until it is settled. */
  apply(intent: Intent, cluster: string): Promise<void>;
  /** Withdraws what `apply` put in place. */
  withdraw(intent: Intent, cluster: string): Promise<void>;
  /** Makes a service of the fixtures another one of the same name, in one cluster, for the length of this case. */
  exposeService(spec: ServiceSpec, cluster: string): Promise<void>;
  /**
   * Starts a workload for the length of this case; resolves when its agent answers.
   * @param giveUp rejects while it is still waited for, and says why it is not there
   */
  startWorkload(spec: WorkloadSpec, cluster: string, giveUp?: AbortSignal): Promise<Site>;
  /** Nodes of a cluster on which workloads may be started (feature `nodes`). */
  nodes(cluster: string): Promise<readonly string[]>;
  /** Deletes what `startWorkload` started, as its cluster does by itself; resolves when it is gone. */
  stopWorkload(site: Site): Promise<void>;
  /** Present where workloads prove who they are (feature `mtls`). */
  readonly identities: SiteIdentities | undefined;
  /** Present where services of other clusters have names of their own (feature `peer-names`). */
  readonly peerNames: PeerNames | undefined;
  /**
   * Makes a token by which another cluster may join this one, under a name that nobody has yet (feature `join-token`). What
   * came of it is removed when the case ends.
   */
  makeJoinToken(cluster: string, name: string): Promise<JoinToken>;
  /** Whether a cluster says that it is joined with the one that it knows by this name (feature `join-token`). */
  isJoined(cluster: string, name: string): Promise<boolean>;
  /** Why endpoints of `to` may be unknown in `from`, as far as the technology can tell. */
  brokenLinks(from: string, to: string): Promise<readonly BrokenLink[]>;
  /** Why callers in this cluster go on being sent to one that is gone, as the technology is configured; undefined where they do not. */
  keepsLost(cluster: string): string | undefined;
  /** What nodes of `from` say of those of `to`, by probes of their own (feature `node-health`). */
  nodeHealth(from: string, to: string): Promise<NodeHealth>;
  /** What becomes of a service that this cluster exports (feature `export-conflicts`). */
  exportState(service: { namespace: string; name: string }, cluster: string): Promise<ExportState>;
  /** Certificates by which the control planes of clusters know each other (feature `control-plane-certificates`). */
  controlPlaneCertificates(cluster: string): Promise<readonly NamedCertificate[]>;
  /** Versions of the technology and of the clusters; undefined where nobody can tell. */
  components(): Promise<{ components: readonly Component[]; supported: SupportedSkew } | undefined>;
  /**
   * Injects a fault and proves that it holds; where cases run together, once all of them have come to this point.
   * @returns `mend`, which is also called when the case ends. It waits until the others have seen enough, and gives the
   * moment from which on the fault was mended, as `elapsed` counts.
   */
  disturb(fault: FaultSpec): Promise<{
    held: boolean;
    mend(): Promise<number>;
    /** After `mend`, where more follows: what the technology would bring about by itself in a while. At the latest at the end. */
    settle(): Promise<void>;
  }>;
  /**
   * What cases that run together have in common is changed by one of them, once all have come this far; the others wait until
   * it has. A case that runs by itself does it at once. Rejects where one of them has ended before.
   */
  inStep(what: string, change: () => Promise<void>): Promise<void>;
  /** Repeats until `successes` in a row, or until the budget is over. */
  converge<T>(attempt: () => Promise<T>, options: ConvergeOptions<T>): Promise<Converged<T>>;
  /** Notes a fact in the record. */
  note(text: string): void;
}

/** A token that a check may use as often as it likes; what it consists of is a secret, and in no record. */
export interface JoinToken {
  /** @returns why it is refused, in the technology's own words; undefined when it is taken */
  use(cluster: string, name: string): Promise<string | undefined>;
  /** The cluster that made it takes it back, used or not. */
  withdraw(): Promise<void>;
}

/** The profile's `Identities`, by sites. */
export interface SiteIdentities extends Pick<
  Identities,
  'callerHeader' | 'callersIn' | 'claim' | 'dialect' | 'foreignCredentials'
> {
  readonly identityOf: (site: Site) => string;
  readonly trustBundle: (site: Site) => Promise<readonly string[]>;
  readonly handshakes: (site: Site) => Promise<Readonly<Record<string, number>>>;
}

export interface ConvergeOptions<T> {
  readonly succeeded: (value: T) => boolean;
  readonly budgetMs: number;
  readonly successes: number;
  readonly intervalMs?: number;
}
export interface Converged<T> {
  readonly converged: boolean;
  readonly attempts: number;
  /** Until the first success of the final row. */
  readonly elapsedMs: number;
  readonly last: T;
}

export interface PairContext extends Toolkit {
  readonly from: ClusterView;
  readonly to: ClusterView;
  readonly path: PairPath;
}
export interface ClusterContext extends Toolkit {
  readonly cluster: ClusterView;
}
export interface ContextOf {
  pair: PairContext;
  cluster: ClusterContext;
  fleet: Toolkit;
}

/** What is known of a case when it is planned; the judge gets it too, from the record. */
export interface Expectation {
  readonly family: IpFamily;
  readonly path?: PairPath;
  readonly configuredPathMtu?: number;
  /** The clusters that the case is about: of the whole fleet, one, or both ends of a pair. */
  readonly clusters: readonly string[];
}

export interface Check<S extends Scope = Scope, B extends Budgets = Budgets, O = unknown> {
  readonly id: string;
  readonly title: string;
  readonly level: Level;
  readonly scope: S;
  /** Classes for which it counts; default all. */
  readonly classes?: readonly ConformanceClass[];
  readonly requires?: readonly Feature[];
  /** Check ids whose case for the same subject must have passed, or this one is inconclusive because of it. */
  readonly dependsOn?: readonly string[];
  /** Paths it is about; default `direct` and `via`. */
  readonly paths?: readonly PairPath['kind'][];
  /** Does not vary with the IP family: one case however many families are in use. */
  readonly familyless?: boolean;
  /** Reads nothing but the address plan (and names and ranges of clusters): judged before anything is created. */
  readonly planOnly?: boolean;
  readonly uses?: readonly Fixture[];
  readonly budgets?: B;
  readonly exclusive?: Exclusive;
  /**
   * Of this check one case runs at a time, because its cases use the same backends; or one `each way` (`wayOf` in
   * topology.ts), where each way has its own; or `both ways` of a pair together, which go in step (`Toolkit.inStep`).
   */
  readonly oneAtATime?: 'of all' | 'each way' | 'both ways';
  /** Names those backends, where checks have them in common: then one case of all these checks runs at a time. */
  readonly backends?: string;
  /**
   * Its cases start at the same time as all others of this name: of the whole fleet, or of the same two clusters. What one
   * of them injects stands until all have seen enough, and what they want for themselves they share with each other.
   * `where`: only at providers whose limits say so; where these are `separateUplinks`, of those that use the same uplink one
   * at a time.
   */
  readonly together?: {
    readonly name: string;
    readonly of: 'fleet' | 'pair';
    readonly where?: 'separateUplinks' | 'casesAtOnce';
  };
  /** A cluster's case that sends nothing across a link and counts no answer of another cluster. */
  readonly staysInside?: boolean;
  /** Its cases wait far more than they work: many more of them than of others may run at once. */
  readonly mostlyWaits?: boolean;
  /**
   * Its verdicts rest on moments: where few cases run at once (`casesAtOnce`), it is one of them though it mostly waits, and
   * runs beside its like only.
   */
  readonly timed?: boolean;
  /** What it changes is nobody else's, and it takes next to nothing of the machine: what is `timed` runs beside it too. */
  readonly quiet?: boolean;
  readonly faults?: readonly FaultExpectation[];
  /** Why no fault is listed, when none is. */
  readonly withoutFaults?: string;
  /** One sentence: where to look when it fails. */
  readonly hint: string;
  /** RFC, KEP or upstream page that says what must be true. */
  readonly reference?: string;
  /** Grows when `judge` changes its mind about the same observations. */
  readonly judgeVersion?: number;
  /** Longest time `observe` may take. */
  readonly timeoutMs?: number;
  observe(context: ContextOf[S], budgets: BudgetValues<B>): Promise<O>;
  judge(observed: O, budgets: BudgetValues<B>, expectation: Expectation): Verdict;
}

/** A check of any type, as plans and registries hold it. */
// oxlint-disable-next-line typescript/no-explicit-any -- budgets and observations differ per check; defineCheck has checked them against each other
export type AnyCheck = Check<any, any, any>;

/** Types `judge` by what `observe` returns. Observations must be plain JSON: they go through the record. */
export function defineCheck<S extends Scope, O, const B extends Budgets = Record<never, never>>(
  check: Check<S, B, O>,
): Check<S, B, O> {
  return check;
}

export interface Suite {
  readonly id: string;
  readonly title: string;
  readonly checks: readonly AnyCheck[];
}
