import t from 'tap';
import type { KubernetesObject } from '../../../lib/model/cluster.ts';
import { Arrivals } from '../../../lib/provider/kubernetes/arrivals.ts';
import type { Clock } from '../../../lib/system/clock.ts';

const METADATA = { namespace: 'mcnet', name: 'echo' };
const POD = { apiVersion: 'v1', kind: 'Pod', metadata: METADATA };

/** A cluster whose node is there after so many seconds and takes pods then, or never. */
function cluster({ nodeReadyAt = 0, takesAt = Infinity }: { nodeReadyAt?: number; takesAt?: number }) {
  let now = 0;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (milliseconds) => {
      now += milliseconds;
      return Promise.resolve();
    },
  };
  const conditions = (type: string, status: boolean) => [
    { type, status: status ? 'True' : 'False', message: 'because' },
  ];
  const pod = (): KubernetesObject => ({
    ...POD,
    status: {
      phase: 'Pending',
      conditions: now >= takesAt ? conditions('Ready', true) : conditions('PodScheduled', false),
    },
  });
  const node = (): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'a' },
    status: { conditions: conditions('Ready', now >= nodeReadyAt) },
  });
  const arrivals = new Arrivals(
    'east',
    'abc123',
    {
      list: ({ kind }) => Promise.resolve([kind === 'Node' ? node() : pod()]),
      read: ({ kind }) => Promise.resolve(kind === 'Pod' ? pod() : undefined),
    },
    clock,
  );
  return { arrivals, seconds: () => now / 1_000 };
}

t.test('a pod waits for a node that comes late', async (t) => {
  const late = cluster({ nodeReadyAt: 60_000, takesAt: 61_000 });
  t.match(await late.arrivals.ready(POD), {
    pod: { metadata: METADATA },
    waited: '61.0 s no node takes it: because',
  });
  t.equal(late.seconds(), 61);
});

t.test('a pod that ready nodes refuse is given up soon, one whose nodes never come in the end', async (t) => {
  const refused = cluster({});
  await t.rejects(refused.arrivals.ready(POD), { message: /no node takes it: because/ });
  t.equal(refused.seconds(), 20);
  const vain = new AbortController();
  vain.abort();
  const given = cluster({ nodeReadyAt: Infinity });
  await t.rejects(given.arrivals.ready(POD, vain.signal), { message: /no node takes it: because/ });
  t.equal(given.seconds(), 0.25, 'whoever asked waits no longer');
  const never = cluster({ nodeReadyAt: Infinity });
  await t.rejects(never.arrivals.ready(POD), { message: /no node takes it: because/ });
  t.equal(never.seconds(), 180);
});

t.test('few pods are read one by one, of many there is one list', async (t) => {
  const asked: string[] = [];
  const pods = Array.from({ length: 8 }, (_, index) => ({
    ...POD,
    metadata: { ...METADATA, name: `echo-${index}` },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  }));
  const arrivals = new Arrivals(
    'east',
    'abc123',
    {
      list: ({ kind }) => {
        asked.push(`list ${kind}`);
        return Promise.resolve(pods);
      },
      read: ({ metadata }) => {
        asked.push(`read ${metadata.name}`);
        return Promise.resolve(pods.find((pod) => pod.metadata.name === metadata.name));
      },
    },
    { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
  );
  const [first, second] = pods;
  const found = await Promise.all([arrivals.ready(first!), arrivals.ready(second!), arrivals.ready(first!)]);
  t.strictSame(found, [{ pod: first }, { pod: second }, { pod: first }]);
  t.strictSame(asked.splice(0), ['read echo-0', 'read echo-1']);
  await Promise.all(pods.map((pod) => arrivals.ready(pod)));
  t.strictSame(asked.splice(0), ['list Pod']);
  await arrivals.gone({ ...POD, metadata: { ...METADATA, name: 'gone' } });
  t.strictSame(asked, ['read gone']);
});
