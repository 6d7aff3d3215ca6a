import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { readingsOf } from '../../../lib/provider/kubernetes/readings.ts';

const summary: unknown = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'fixtures', 'stats-summary.json'), 'utf8'),
);

void t.test('containers as the kubelet of a node told of them', async (t) => {
  const readings = readingsOf(summary);
  t.strictSame(readings.map(({ namespace, container }) => `${namespace}/${container}`).toSorted(), [
    'istio-system/discovery',
    'kube-system/cilium-agent',
    'kube-system/etcd',
    'mcnet/agent',
    'mcnet/istio-proxy',
  ]);
  const proxy = readings.find(({ container }) => container === 'istio-proxy');
  t.match(proxy, { pod: 'client', cpuAt: Date.parse('2026-11-26T15:52:38Z') });
  t.ok((proxy?.memoryBytes ?? 0) > 20e6 && (proxy?.cpuNanoseconds ?? 0) > 0.5e9);
});

void t.test('a kubelet that says little, or something else, is no error', async (t) => {
  for (const answer of [undefined, null, {}, { pods: [] }, { pods: [{}] }])
    t.strictSame(readingsOf(answer), []);
  const pod = { podRef: { name: 'new', namespace: 'mcnet' }, containers: [{ name: 'agent' }] };
  t.strictSame(readingsOf({ pods: [pod] }), [{ namespace: 'mcnet', pod: 'new', container: 'agent' }]);
  const broken = { ...pod, containers: [{ name: 'agent', cpu: { time: 'soon', usageCoreNanoSeconds: 1 } }] };
  t.strictSame(readingsOf({ pods: [broken] }), [{ namespace: 'mcnet', pod: 'new', container: 'agent' }]);
});
