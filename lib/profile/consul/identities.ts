/** SPIFFE identities as Consul gives and shows them: those of services, each cluster's in a trust domain of its own. */
import type { Identities } from '../../model/cluster.ts';
import { callersIn, claimOf, foreignCredentials } from '../common/spiffe.ts';
import type { Peers } from './clusters.ts';
import { identityName, spiffeId } from './names.ts';
import { handshakes, trustBundle } from './proxies.ts';

/** A gateway ends the connections of peers and calls on their behalf: it is on the way, and no caller. */
const GATEWAY = /^spiffe:\/\/[^/]+\/(?:ap\/[^/]+\/)?gateway\/mesh\//;

export const consulIdentities = (peers: Peers): Identities => ({
  identityOf: (workload, cluster) =>
    spiffeId(peers.fleet.run, cluster, identityName(workload, workload.namespace)),
  callerHeader: 'x-forwarded-client-cert',
  callersIn: (header) => callersIn(header).filter((identity) => !GATEWAY.test(identity)),
  claim: claimOf,
  // The proxy of a workload is known by its port, and asks for no name.
  dialect: ({ namespace, name }) => ({ serverName: `${name}-${namespace}`, alpn: [] }),
  foreignCredentials,
  trustBundle,
  handshakes,
});
