import t from 'tap';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import { nodeProblem, podState } from '../../../lib/provider/kubernetes/podState.ts';

const pod = (status: unknown, metadata: Record<string, unknown> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'client', namespace: 'mcnet', ...metadata },
  status,
});
const waiting = (reason: string, message?: string) =>
  pod({
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'True' }],
    containerStatuses: [{ name: 'agent', ready: false, state: { waiting: { reason, message } } }],
  });

t.test('ready', (t) => {
  const ready = pod({
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    podIPs: [{ ip: '10.0.0.5' }, { ip: 'fd00::5' }],
  });
  t.same(podState(ready), { state: 'ready', addresses: { ipv4: '10.0.0.5', ipv6: 'fd00::5' } });
  t.end();
});

t.test('on its way', (t) => {
  t.match(podState(waiting('ContainerCreating')), {
    state: 'waiting',
    why: 'not ready: agent (ContainerCreating)',
  });
  t.match(podState(waiting('ErrImagePull', 'try again')), { state: 'waiting' }, 'the kubelet tries again');
  t.match(podState(pod(undefined)), { state: 'waiting', why: 'its phase is unknown' });
  t.end();
});

t.test('of containers that begin one after the other, those that have begun are named', (t) => {
  const blocked = { state: { waiting: { reason: 'PodInitializing' } } };
  const agent = { name: 'agent', ...blocked };
  const init = (...states: object[]) =>
    pod({
      initContainerStatuses: states.map((state, index) => ({ name: `init-${index}`, ...state })),
      containerStatuses: [agent],
    });
  t.match(podState(init(blocked, blocked)), { why: 'not ready: init-0 (PodInitializing)' });
  t.match(podState(init({ ready: true }, { state: { running: {} } })), {
    why: 'not ready: init-1 (not ready)',
  });
  t.match(podState(init({ ready: true })), { why: 'not ready: agent (PodInitializing)' });
  t.end();
});

t.test('what no waiting mends', (t) => {
  t.match(podState(waiting('ImagePullBackOff', 'Back-off pulling image "probe:1"')), {
    state: 'settled',
    why: 'container agent: ImagePullBackOff: Back-off pulling image "probe:1"',
    remedy: /--probe-image/,
  });
  t.match(
    podState(
      pod({
        initContainerStatuses: [
          {
            name: 'istio-init',
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: { exitCode: 2 } },
          },
        ],
      }),
    ),
    { state: 'settled', why: 'container istio-init: CrashLoopBackOff (last ended with 2)' },
  );
  t.match(podState(pod({ phase: 'Failed', reason: 'Evicted', message: 'low on memory' })), {
    state: 'settled',
    why: 'it was evicted from its node: low on memory',
    remedy: /Free memory/,
  });
  t.match(podState(pod({ phase: 'Running' }, { deletionTimestamp: '2026-11-25T20:00:00Z' })), {
    state: 'settled',
    why: /deleted by somebody else/,
  });
  t.end();
});

t.test('no node', (t) => {
  const unschedulable = pod({
    phase: 'Pending',
    conditions: [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' },
    ],
  });
  t.match(podState(unschedulable), {
    state: 'unschedulable',
    why: 'no node takes it: 0/1 nodes are available',
    remedy: /--node-selector/,
  });
  t.end();
});

t.test('nodes', (t) => {
  const node = (status: string): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    status: { conditions: [{ type: 'Ready', status, message: 'Kubelet stopped posting node status.' }] },
  });
  t.equal(nodeProblem(node('True')), undefined);
  t.equal(nodeProblem(node('Unknown')), 'node n1 is not ready: Kubelet stopped posting node status.');
  t.end();
});
