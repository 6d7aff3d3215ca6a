/** A limit with its unit and the reason for its default. Every one is configurable as `budgets.<check id>.<name>`. */
export interface Budget {
  readonly value: number;
  readonly unit: string;
  readonly reason: string;
}

export type Budgets = Readonly<Record<string, Budget>>;
/** What `observe` and `judge` get: the numbers in force. */
export type BudgetValues<B extends Budgets> = { readonly [name in keyof B]: number };

const budget = (value: number, unit: string, reason: string): Budget => ({ value, unit, reason });

export const CONVERGENCE_MS = budget(
  30_000,
  'ms',
  'Control planes propagate endpoints within seconds; 30 s covers a busy one',
);
export const CONVERGENCE_SUCCESSES = budget(
  3,
  'in a row',
  'One success may come from the one proxy that already knows',
);
export const DENY_HOLDS_MS = budget(3_000, 'ms', 'An early denial may be an identity that is not known yet');
export const DNS_P95_MS = budget(
  200,
  'ms',
  'Resolvers retry after seconds: a fifth of a second is already felt by every request',
);
export const DNS_TTL_SECONDS = budget(
  30,
  's',
  'Clients of a headless service call an endpoint that is gone for as long as they may keep its record; 30 s is what kubeadm configures',
);
export const FAILOVER_NEW_MS = budget(
  15_000,
  'ms',
  'Health checks and ejection of the common technologies act within seconds',
);
export const FAILOVER_KEPT_ALIVE_MS = budget(
  20_000,
  'ms',
  'A pool must first notice that its connections are dead',
);
export const GATEWAY_BACK_MS = budget(
  45_000,
  'ms',
  'The gateway itself has to start first, and everybody to learn where it is now',
);
export const LINK_LOST_MS = budget(
  60_000,
  'ms',
  'Whoever hears nothing of a peer for a minute should say so, before somebody else notices',
);
export const LINK_BACK_MS = budget(
  60_000,
  'ms',
  'Attempts that are a minute apart cost nothing, and what was believed meanwhile is wrong',
);
export const FAILBACK_MS = budget(60_000, 'ms', "Ejected endpoints return after the technology's own timers");
export const MINIMUM_PATH_MTU = budget(1280, 'bytes', 'IPv6 requires it of every link (RFC 8200, section 5)');
export const THROUGHPUT_OF_TUNNEL = budget(
  0.8,
  'of baseline',
  'Beyond the gateways only veths and bridges are added',
);
export const THROUGHPUT_OF_SERVICE = budget(
  0.25,
  'of baseline',
  'Two proxies copy, encrypt and decrypt every byte once more',
);
export const LATENCY_FACTOR = budget(3, '× baseline', 'Extra hops multiply, they do not dominate');
export const LATENCY_ALLOWANCE_MS = budget(2, 'ms', 'Scheduling noise on small baselines');
export const SERVICE_LATENCY_ALLOWANCE_MS = budget(
  5,
  'ms',
  'Up to four proxies on the way, sidecars and gateways, with a millisecond each; and scheduling noise',
);
export const LOSS_SHARE = budget(
  0.001,
  'of packets',
  'TCP throughput collapses above about 0.1 % loss (Mathis et al. 1997)',
);
export const LOSS_PACKETS = budget(3_000, 'packets', '0.1 % of fewer packets is less than three events');
export const JITTER_MS = budget(
  5,
  'ms',
  'Half of what interactive audio tolerates (ITU-T G.114 leaves 10 ms)',
);
export const REORDERED_SHARE = budget(
  0.001,
  'of packets',
  'TCP takes three segments out of order for a loss (RFC 5681, section 3.2)',
);
export const DUPLICATED_SHARE = budget(
  0.001,
  'of packets',
  'A path that repeats packets costs its users what loss of as many would',
);
export const REFUSAL_MS = budget(
  1_000,
  'ms',
  'A SYN that is not refused is sent again after one second (RFC 6298, section 2)',
);
export const CERTIFICATE_LEFT = budget(
  0.2,
  'of its lifetime',
  'Whoever renews at half-time has missed several chances by then',
);
export const ROOT_DAYS_LEFT = budget(
  30,
  'days',
  'Exchanging a root takes weeks where many clusters trust it',
);
export const DISCOVERY_MS = budget(
  15_000,
  'ms',
  'Control planes tell their proxies of a new endpoint within seconds; a busy one takes longer',
);
export const WITHDRAWAL_MS = budget(
  15_000,
  'ms',
  'As long as an endpoint may take to be announced, it may take to be withdrawn',
);
export const POD_ADDRESSES = budget(
  256,
  'addresses',
  'One node takes a /24 (default of kube-controller-manager --node-cidr-mask-size)',
);
export const SERVICE_ADDRESSES = budget(
  64,
  'addresses',
  'A dozen services with two addresses each, and the low ones that clusters keep for themselves',
);
export const NODE_ADDRESSES = budget(
  8,
  'addresses',
  'A control plane, workers, a gateway, and the two that an IPv4 subnet loses',
);
