/** Faults that the provider injects itself: those of the wan, of whole clusters and of their names. */
import type { FaultInjector } from '../../../model/cluster.ts';
import { kubernetesInjectors } from '../../kubernetes/index.ts';
import { delay, reorder } from './delay.ts';
import { freezeCluster, stopDns, takeClusterAway } from './containers.ts';
import { injectorOf } from '../../../model/injection.ts';
import { ignorePolicies } from './enforcement.ts';
import { answerFromOtherCluster, denyNames, keepNamesLong, keepOldRecords, slowDns } from './names.ts';
import {
  answerFromElsewhere,
  cutNode,
  cutWorkload,
  dropLargePackets,
  dropOnWan,
  duplicate,
  limitRate,
  loseOnWan,
  rewriteSource,
} from './packets.ts';

export const kindInjectors: readonly FaultInjector[] = [
  ...kubernetesInjectors,
  injectorOf('wan-drop', dropOnWan),
  injectorOf('wan-loss', loseOnWan),
  injectorOf('rate-limited', limitRate),
  injectorOf('large-packets-dropped', dropLargePackets),
  injectorOf('duplicated', duplicate),
  injectorOf('delayed', delay),
  injectorOf('reordered', reorder),
  injectorOf('workload-cut', cutWorkload),
  injectorOf('node-cut', cutNode),
  injectorOf('source-rewritten', rewriteSource),
  injectorOf('wrong-answerer', answerFromElsewhere),
  injectorOf('cluster-gone', takeClusterAway),
  injectorOf('cluster-frozen', freezeCluster),
  injectorOf('policy-ignored', ignorePolicies),
  injectorOf('dns-stopped', stopDns),
  injectorOf('dns-slow', slowDns),
  injectorOf('dns-nxdomain', denyNames),
  injectorOf('dns-stale', keepOldRecords),
  injectorOf('dns-ttl-long', keepNamesLong),
  injectorOf('dns-wrong-address', answerFromOtherCluster),
];
