/** Faults that the lab injects itself: those of the wan, of whole clusters, of policy and of names. */
import type { FaultInjector } from '../../model/cluster.ts';
import { delay, reorder } from './faults/delay.ts';
import { injector } from './faults/injector.ts';
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
  injector('wan-drop', dropOnWan),
  injector('wan-loss', loseOnWan),
  injector('rate-limited', limitRate),
  injector('large-packets-dropped', dropLargePackets),
  injector('delayed', delay),
  injector('reordered', reorder),
  injector('duplicated', duplicate),
  injector('workload-cut', cutWorkload),
  injector('source-rewritten', rewriteSource),
  injector('wrong-answerer', answerFromElsewhere),
  injector('cluster-gone', takeClusterAway),
  injector('cluster-frozen', freezeCluster),
  injector('policy-flushed', flushPolicies),
  injector('policy-ignored', ignorePolicies),
  injector('policy-loosened', loosenPolicy),
  injector('policy-added', addPolicy),
  injector('dns-stopped', stopDns),
  injector('dns-slow', slowDns),
  injector('dns-nxdomain', denyNames),
  injector('dns-stale', keepOldRecords),
  injector('dns-ttl-long', keepNamesLong),
  injector('dns-wrong-address', answerFromOtherCluster),
  injector('service-not-shared', stopSharing),
];
