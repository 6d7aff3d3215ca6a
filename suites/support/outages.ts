/** Outages that checks share: one of them costs as much as all. */
import type { AnyCheck } from '../../lib/model/check.ts';

/**
 * The tunnels of all gateways are down at once, each taken down at its own end: what leaves a gateway then, and whether its
 * callers recover, is seen there and does not depend on the far end.
 */
export const TUNNEL_OUTAGE: AnyCheck['together'] & object = { name: 'tunnel outage', of: 'fleet' };

/**
 * Clusters are gone at once, each for all others: a technology may take minutes to notice, and callers of either wait for the
 * same. Where each is noticed soon it goes by itself.
 */
export const CLUSTER_OUTAGE: AnyCheck['together'] & object = {
  name: 'cluster outage',
  of: 'fleet',
  where: 'casesAtOnce',
};

/** Gateways of services stop at once: callers of each cluster wait for the same until they have found the way again. */
export const GATEWAY_OUTAGE: AnyCheck['together'] & object = { name: 'gateway outage', of: 'fleet' };
