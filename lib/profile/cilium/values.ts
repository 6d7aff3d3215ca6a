/** Values for Cilium's chart that make a cluster part of a mesh. Pure. */
import { type CiliumWish, ciliumValues, imageValue } from '../../model/cilium.ts';
import type { CiliumSharing } from '../../model/spec.ts';
import type { Authority } from '../common/certificates.ts';
import { encoded } from '../common/clusters.ts';

/** Each cluster has one of its own, as Cilium asks for where clusters share a network. */
const FIRST_NODE_PORT = 32_379;

/** Flows are remembered by each node for questions that come from itself: why something was dropped. */
const HUBBLE = { enabled: true, listenAddress: '', tls: { enabled: false }, eventBufferCapacity: '16383' };

/** A cluster as others find it. */
export interface Member {
  readonly name: string;
  /** Addresses of its nodes, where the node port answers. */
  readonly addresses: readonly string[];
}

export interface MeshWish extends CiliumWish {
  readonly name: string;
  /** All clusters, in an order that is the same for each: the place in it is the cluster's id. */
  readonly members: readonly Member[];
  /** Names of those that it is joined with: what another is joined with does not become known through that. */
  readonly joined: readonly string[];
  readonly authority: Authority;
  readonly cacheTtlMs: number;
  readonly sharing: CiliumSharing;
  /** How rarely the health of nodes is probed; absent: as the chart has it. */
  readonly probeRatio?: number;
}

/** Keys of the others and of the node port, from a cluster's place. */
const nodePortOf = (place: number): number => FIRST_NODE_PORT + place;

export function meshValues(wish: MeshWish): object {
  const { name, members, joined, authority, cacheTtlMs, sharing, images } = wish;
  const place = members.findIndex((member) => member.name === name);
  const others = members.flatMap(({ name: other, addresses }, index) =>
    joined.includes(other) ? [[other, { ips: addresses, port: nodePortOf(index) }] as const] : [],
  );
  return {
    ...ciliumValues(wish),
    hubble: HUBBLE,
    ...(wish.probeRatio !== undefined && { connectivityProbeFrequencyRatio: wish.probeRatio }),
    // From 1, since 0 means that there is no mesh.
    cluster: { name, id: place + 1 },
    tls: { ca: { cert: encoded(authority.certificate), key: encoded(authority.key) } },
    clustermesh: {
      useAPIServer: true,
      cacheTTL: `${cacheTtlMs / 1_000}s`,
      // The default of 1.19 and later, said to those of before that have the choice as well.
      policyDefaultLocalCluster: true,
      // Records of headless services come from EndpointSlices.
      enableEndpointSliceSynchronization: sharing === 'mcs-api',
      ...(sharing === 'mcs-api' && { mcsapi: { enabled: true } }),
      config: { enabled: true, clusters: Object.fromEntries(others) },
      apiserver: {
        ...imageValue(images['ciliumClustermeshApiserver']),
        service: { type: 'NodePort', nodePort: nodePortOf(place) },
        tls: { auto: { enabled: true, method: 'helm' } },
        kvstoremesh: { enabled: true },
      },
    },
  };
}
