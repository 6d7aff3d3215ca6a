/** Faults that the lab injects itself: those of the wan, of whole clusters, of policy and of names. */
import type { FaultInjector } from '../../model/cluster.ts';
import { delay, reorder } from './faults/delay.ts';
import { injectorOf } from '../../model/injection.ts';
import { takeClusterAway } from './faults/links.ts';
import {
  answerFromOtherCluster,
  denyNames,
  keepNamesLong,
  keepOldRecords,
  slowDns,
  stopSharing,
} from './faults/names.ts';
import {
  answerFromElsewhere,
  cutWorkload,
  dropLargePackets,
  dropOnWan,
  duplicate,
  limitRate,
  loseOnWan,
  rewriteSource,
} from './faults/packets.ts';
import { addPolicy, flushPolicies, ignorePolicies, loosenPolicy } from './faults/policy.ts';
import { freezeCluster, stopDns } from './faults/processes.ts';

export const labInjectors: readonly FaultInjector[] = [
  injectorOf('wan-drop', dropOnWan),
  injectorOf('wan-loss', loseOnWan),
  injectorOf('rate-limited', limitRate),
  injectorOf('large-packets-dropped', dropLargePackets),
  injectorOf('delayed', delay),
  injectorOf('reordered', reorder),
  injectorOf('duplicated', duplicate),
  injectorOf('workload-cut', cutWorkload),
  injectorOf('source-rewritten', rewriteSource),
  injectorOf('wrong-answerer', answerFromElsewhere),
  injectorOf('cluster-gone', takeClusterAway),
  injectorOf('cluster-frozen', freezeCluster),
  injectorOf('policy-flushed', flushPolicies),
  injectorOf('policy-ignored', ignorePolicies),
  injectorOf('policy-loosened', loosenPolicy),
  injectorOf('policy-added', addPolicy),
  injectorOf('dns-stopped', stopDns),
  injectorOf('dns-slow', slowDns),
  injectorOf('dns-nxdomain', denyNames),
  injectorOf('dns-stale', keepOldRecords),
  injectorOf('dns-ttl-long', keepNamesLong),
  injectorOf('dns-wrong-address', answerFromOtherCluster),
  injectorOf('service-not-shared', stopSharing),
];
