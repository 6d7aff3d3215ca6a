/** Every cause a verdict may name, with what it means and where to look first. Codes are part of the stable surface. */
export const CAUSES = {
  // addressing
  'ranges-overlap': 'Two ranges share addresses: routes and tunnel peers cannot tell them apart',
  'range-outside-plan': 'A range lies outside the address plan of the fleet',
  'range-too-small': 'A range has too few addresses for what it must hold',
  // reachability
  'request-lost': 'The request never reached the target: routes, tunnel or filter on the way there',
  'reply-lost':
    'The target received the request, but its answer never came back: way back, asymmetric route or stateful filter',
  'connection-refused': 'Something on the way or the target itself refused (RST or ICMP port unreachable)',
  'no-route': 'A router on the way said unreachable or prohibited (ICMP)',
  'proxy-refused': 'A proxy on the way answered instead of the workload',
  'wrong-answerer': 'Somebody else than the intended workload answered',
  'source-rewritten': 'The target saw another source address than the caller used: NAT on the way',
  'node-cut':
    'One node does not pass what others of its cluster pass: its routes, its firewall, or its part of the network between nodes',
  'wrong-path': 'The traffic takes another path than the topology says',
  'path-not-closed': 'A path that the topology forbids is open',
  'packets-reordered': 'Datagrams arrive out of order',
  'packets-duplicated': 'Datagrams arrive more than once',
  'packets-lost': 'More datagrams are lost than the budget allows',
  'no-hairpin': 'A workload cannot reach itself through its own service address',
  'empty-service-hangs': 'A service without endpoints swallows connections instead of refusing them',
  // names
  'dns-timeout': 'The DNS server does not answer',
  'dns-nxdomain': 'The name does not exist though the service is shared',
  'dns-refused': 'The DNS server refuses, fails or is not reachable',
  'dns-no-records': 'The name exists but has no record of the wanted type',
  'dns-wrong-address': 'The name resolves to an address that belongs to something else',
  'dns-stale-endpoints': 'The record set of a headless service differs from its workloads',
  'dns-ttl-too-long':
    'Records of endpoints may be kept longer than the budget: clients go on calling what is gone',
  'dns-slow': 'Lookups take longer than the budget',
  'dns-truncation': 'A large answer is not truncated or not available by TCP',
  'not-shared-but-answered': 'A service that is not shared is reachable from another cluster',
  'local-endpoints-only': 'Only endpoints of the own cluster answer, though other clusters share the service',
  'remote-endpoints-missing': 'A cluster that shares the service never answered',
  'conflict-told-wrongly':
    'Clusters are not told that their exports of a service conflict, or are told so though they agree',
  'conflict-unresolved': 'Where exports of a service conflict, it is not the oldest that holds',
  'preference-ignored': 'Endpoints answer that come after others by the way in which the service is shared',
  // policy
  'policy-not-enforced': 'A flow that policy forbids passes',
  'policy-too-strict': 'A flow that policy allows is refused',
  'policy-differs': 'The same policy has different effects in different clusters',
  'cni-does-not-enforce': 'The cluster enforces no policy at all',
  // packet size
  'mtu-black-hole': 'Large packets vanish without an ICMP error, and streams stall',
  'mtu-masked':
    'Large packets vanish without an ICMP error; TCP survives only by MSS clamping or probing, other protocols do not',
  'mtu-asymmetric': 'The two directions have different path MTUs',
  'mtu-too-small': 'The path MTU is below the budget',
  'mtu-below-configured': 'The path MTU is below what the tunnel was configured with',
  'large-transfer-stalls': 'Small messages pass, large ones stall',
  // encryption
  'clear-text-on-wan': 'Payload is readable on the network between the clusters',
  'clear-text-when-down': 'Traffic leaves in clear text while the tunnel is down',
  'foreign-traffic-on-wan': 'The network between the clusters carries more than the tunnel',
  'handshake-with-wrong-key': 'A peer with a wrong key completes a handshake',
  'no-handshake': 'The tunnel has had no recent handshake',
  // failover
  'no-failover': 'Clients do not recover within the budget',
  'failover-loses-requests': 'More requests fail than the budget allows',
  'no-failback': 'Traffic does not return after the fault is mended',
  // performance
  'throughput-low': 'Throughput is below its share of the baseline',
  'latency-high': 'Latency is above its multiple of the baseline',
  'requests-lost': 'More requests fail or time out than the budget allows',
  'jitter-high': 'Jitter is above the budget',
  // identities
  'caller-unknown':
    'The server is not told who called: no proxy proved its identity, or its header is missing',
  'wrong-identity': 'The server is told of another caller than the one that called',
  'forged-identity': 'A caller can say by itself who it is, and the server is told so',
  'plaintext-accepted': 'A service that must be called with mutual TLS answers in clear text',
  'foreign-leaf-accepted': 'A certificate of an authority that nobody should trust is accepted',
  'foreign-root': 'The clusters trust different roots: their workloads refuse each other',
  'leaf-not-trusted': 'The certificate of a workload does not verify against what the other cluster trusts',
  'tls-too-old': 'A version of TLS is spoken that is no longer safe',
  'certificate-ending': 'A certificate has too little of its lifetime left',
  'certificate-missing':
    'A certificate that the control plane is configured to use is not there: it goes on with what it has read before, until it starts anew',
  'identity-not-enforced': 'A caller passes that the policy by identity refuses',
  // endpoint discovery
  'remote-secret-missing': 'The control plane has no credentials for the other cluster',
  'remote-secret-stale':
    'The credentials that the control plane has for the other cluster are no longer valid',
  'api-server-unreachable': 'The control plane does not reach the API server of the other cluster',
  'peering-missing': 'The clusters are not joined: one has no peering with the other, or it is not active',
  'gateway-down': 'The gateway by which services of a cluster are reached from others does not run',
  'network-label-missing': 'A cluster does not say to which network it belongs',
  'gateway-without-address': 'The gateway of the other network has no address that callers could use',
  'token-reusable':
    'A token to join clusters is taken though it has been used, replaced by a newer one, or withdrawn',
  'proxy-missing': 'A workload has no proxy beside it',
  'namespace-not-same': 'The namespace does not exist in both clusters',
  'control-plane-down': 'No control plane is ready',
  'status-contradicts-traffic': 'What the control plane says of another cluster is not what traffic shows',
  'discovery-slow': 'A new workload answers from the other cluster too late',
  'withdrawal-slow': 'A deleted workload is still called from the other cluster for too long',
  // versions
  'version-skew': 'Versions lie further apart than is supported',
  // proof of the checks themselves
  'fault-missed': 'A check passes, or comes to no verdict, while a fault stands that it must notice',
  'false-alarm': 'A check fails though nothing is broken',
  // no verdict on the system
  'control-failed': 'The positive control did not pass, so the check could prove nothing',
  'dependency-failed': 'The path this case uses has failed already',
  'probe-failed': 'A probe agent or one of its tools failed, hung or gave unusable output',
  'fault-did-not-hold': 'The disturbance of this check did not take hold',
  'not-settled': 'The cluster did not report an intent as settled in time',
  'spread-too-wide': 'Repeated measurements lie too far apart for a verdict',
  'cpu-saturated': 'The CPU of this machine was the limit, not the network',
  'deadline-reached': 'The run ended before this case could finish',
  'set-up-failed': 'The set-up of the run died before this case could start',
} as const;

export type CauseCode = keyof typeof CAUSES;
