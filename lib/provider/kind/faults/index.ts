/** Faults that the provider injects itself: those of the wan, of whole clusters and of their names. */
import type { FaultInjector } from '../../../model/cluster.ts';
import { kubernetesInjectors } from '../../kubernetes/index.ts';
import { freezeCluster, stopDns, takeClusterAway } from './containers.ts';
import { injector } from './injector.ts';
import {
  answerFromElsewhere,
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
  injector('wan-drop', dropOnWan),
  injector('wan-loss', loseOnWan),
  injector('rate-limited', limitRate),
  injector('large-packets-dropped', dropLargePackets),
  injector('duplicated', duplicate),
  injector('workload-cut', cutWorkload),
  injector('source-rewritten', rewriteSource),
  injector('wrong-answerer', answerFromElsewhere),
  injector('cluster-gone', takeClusterAway),
  injector('cluster-frozen', freezeCluster),
  injector('dns-stopped', stopDns),
];
