/** Which other controllers a cluster's controller keeps up with, and from whom it hears of the rest. Pure. */
import { type Topology, hopsBetween, shareSegment } from '../../model/topology.ts';
import { gatewayAddresses } from './addresses.ts';
import type { ControllerPeer } from './controller/config.ts';
import { PEER_PERIOD_MS } from './controller/peers.ts';
import type { FleetState } from './state.ts';

/** Beats a second of a whole fleet: there and back across two tunnel ends they are some 5 % of a processor. */
const FLEET_BEATS_PER_SECOND = 150;

interface FleetPeers {
  readonly ofCluster: ReadonlyMap<string, readonly ControllerPeer[]>;
  /** Between two beats of each of its sessions. */
  readonly periodMs: number;
}

/** Asked for with each change of a fleet, whose clusters and topology never change. */
const known = new WeakMap<FleetState, FleetPeers>();

export function fleetPeers(fleet: FleetState): FleetPeers {
  const peers = known.get(fleet) ?? computePeers(fleet);
  known.set(fleet, peers);
  return peers;
}

function computePeers({ names, topology, plan, families }: FleetState): FleetPeers {
  const nodes = new Map(names.map((name) => [name, gatewayAddresses(plan, families, name).node]));
  const ofCluster = new Map(
    names.map((cluster) => [
      cluster,
      names
        .filter((name) => name !== cluster && shareSegment(topology, cluster, name))
        .map((name): ControllerPeer => {
          const via = relayBetween(topology, cluster, name);
          return { cluster: name, addresses: nodes.get(name) ?? {}, ...(via !== undefined && { via }) };
        }),
    ]),
  );
  const ends = [...ofCluster.values()].flat().filter(({ via }) => via === undefined).length;
  const fairMs = Math.ceil((1_000 * (ends / 2)) / FLEET_BEATS_PER_SECOND);
  return { ofCluster, periodMs: Math.max(PEER_PERIOD_MS, fairMs) };
}

/**
 * The next cluster on the way, which tells of one beyond. Every cluster on the way must be allowed to use both ends itself,
 * or they talk to each other directly; the rule is the same from both.
 */
function relayBetween(topology: Topology, from: string, to: string): string | undefined {
  const hops = hopsBetween(topology, from, to);
  return hops.every((hop) => shareSegment(topology, from, hop) && shareSegment(topology, hop, to))
    ? hops[0]
    : undefined;
}
