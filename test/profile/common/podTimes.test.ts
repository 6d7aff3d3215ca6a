import t from 'tap';
import { podTimes } from '../../../lib/profile/common/podTimes.ts';

const pod = (name: string, labels: Record<string, string>, conditions: readonly object[]) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels, creationTimestamp: '2026-11-27T12:00:10Z' },
  status: { conditions },
});
const since = (type: string, second: number, status = 'True') => ({
  type,
  status,
  lastTransitionTime: `2026-11-27T12:00:${second}Z`,
});

t.test('pods say when they were on a node and ready, since they were made', async (t) => {
  const pods = [
    pod('istiod-7d9f-x2x', { app: 'istiod' }, [since('PodScheduled', 19), since('Ready', 24)]),
    pod('eastwest-0', {}, [since('PodScheduled', 10), since('Ready', 12, 'False')]),
    pod('new', {}, []),
  ];
  t.equal(podTimes(pods), 'istiod on a node after 9 s, ready after 14 s; eastwest-0 on a node after 0 s');
  t.equal(podTimes([pod('new', {}, [])]), undefined);
  t.equal(podTimes([]), undefined);
});
