/** Comparisons as renderers get them: measured and not, ahead and level, good and bad. */
import type { ClusterUsage } from '../../lib/model/usage.ts';
import { failed, passed, skipped } from '../../lib/model/verdict.ts';
import { type Comparison, compareRuns } from '../../reports/comparison.ts';
import { HOSTILE, healthy, hostile, resultsOf, setUpDied } from './support.ts';

const usage: readonly ClusterUsage[] = ['east', 'west'].map((cluster) => ({
  cluster,
  moment: 'idle',
  windowMs: 30_000,
  containers: [
    {
      namespace: 'istio-system',
      pod: 'istiod',
      container: 'discovery',
      part: 'control plane',
      memoryBytes: 41_200_000,
      cores: 0.0123,
    },
    {
      namespace: 'kube-system',
      pod: 'etcd',
      container: 'etcd',
      part: 'kubernetes',
      memoryBytes: 50_000_000,
      cores: 0.02,
    },
  ],
}));

const slow = resultsOf(({ check }) => {
  if (check === 'performance.throughput') {
    return passed('measured', {
      ratio: { value: 0.31, unit: 'of baseline' },
      baseline: { value: 700, unit: 'Mbit/s' },
    });
  }
  if (check === 'encryption.wire') return skipped('needs wan.capture');
  return check === 'failover.crash'
    ? failed('no-failover', 'nobody took over', { expected: 'answers', seen: 'none' })
    : undefined;
});

const plain = healthy();

export const sample = (): Comparison =>
  compareRuns([
    {
      name: 'none',
      runs: [
        {
          ...plain,
          subject: { ...plain.subject, build: { kind: 'local', differs: 'a node image of our own' } },
          usage: usage.map((one) => ({ ...one, containers: one.containers.slice(1) })),
        },
      ],
    },
    {
      name: 'istio',
      runs: [
        {
          ...slow,
          subject: {
            ...slow.subject,
            profile: 'istio',
            class: 'mesh-flat',
            build: { kind: 'local', differs: 'built on this machine' },
            versions: { ...slow.subject.versions, 'Istio control plane': '1.31.0' },
          },
          usage,
        },
      ],
    },
    { name: 'istio:multi-network', runs: [setUpDied()] },
    { name: 'cilium', runs: [], notRun: 'the comparison was interrupted before its turn' },
  ]);

export const nasty = (): Comparison => {
  const results = hostile();
  return compareRuns([
    {
      name: HOSTILE,
      runs: [{ ...results, subject: { ...results.subject, build: { kind: 'local', differs: HOSTILE } } }],
    },
    { name: 'none', runs: [], notRun: HOSTILE },
  ]);
};
