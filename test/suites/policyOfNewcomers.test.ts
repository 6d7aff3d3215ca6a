import t from 'tap';
import { ofNewcomers, openFor, passedAfter } from '../../suites/policyOfNewcomers.ts';
import { judge, outcomeOf } from './judging.ts';

const flows = [
  { port: 7_000, protocol: 'tcp', expected: 'allow' },
  { port: 7_001, protocol: 'udp', expected: 'deny' },
] as const;
type Pair = readonly ['answered' | 'timed-out', 'answered' | 'timed-out'];
const RIGHT: Pair = ['answered', 'timed-out'];
const CLOSED: Pair = ['timed-out', 'timed-out'];
const OPEN: Pair = ['answered', 'answered'];
const seen = (end: 'caller' | 'target', ...outcomes: Pair[]) => ({
  end,
  source: 'east/mcnet-policy-x/a',
  address: '10.16.0.9',
  flows,
  looks: outcomes.map((outcome, index) => ({ atMs: index * 100, outcomes: outcome })),
});

t.test('when a newcomer is known, and how long it was open', async (t) => {
  t.equal(passedAfter(seen('target', CLOSED, CLOSED, RIGHT, RIGHT)), 200);
  t.equal(passedAfter(seen('target', RIGHT, RIGHT)), 0);
  t.equal(passedAfter(seen('target', RIGHT, CLOSED)), undefined, 'it was, and is no more');
  t.equal(openFor(seen('target', OPEN, CLOSED, OPEN, RIGHT)), 200);
  t.equal(openFor(seen('target', CLOSED, RIGHT)), undefined);
});

t.test('policy.newcomers', async (t) => {
  const verdict = (target: Pair[], caller: Pair[] = [RIGHT], more: object = {}) =>
    outcomeOf(
      judge(ofNewcomers, {
        from: 'east',
        to: 'west',
        newcomers: [seen('target', ...target), seen('caller', ...caller)],
        ...more,
      }),
    );
  t.equal(verdict([CLOSED, RIGHT]), 'passed');
  t.equal(verdict([OPEN, RIGHT]), 'failed: policy-not-enforced', 'open for a moment');
  t.equal(verdict([RIGHT], [OPEN, RIGHT]), 'failed: policy-not-enforced');
  t.equal(verdict([CLOSED, CLOSED]), 'failed: policy-too-strict');
  t.equal(
    verdict([...Array.from({ length: 200 }, () => CLOSED), RIGHT]),
    'failed: policy-too-strict',
    'too late',
  );
  t.equal(verdict([]), 'inconclusive: probe-failed');
  t.equal(verdict([RIGHT], [RIGHT], { newcomers: [seen('target', RIGHT)] }), 'inconclusive: probe-failed');
  const plain = (expected: string) => ({
    newcomers: [seen('target', RIGHT), seen('caller', RIGHT)].map((one) => ({
      ...one,
      flows: flows.map((flow) => ({ ...flow, expected })),
    })),
  });
  t.equal(verdict([], [], plain('allow')), 'inconclusive: control-failed');
  t.equal(verdict([], [], plain('inexpressible')), 'skipped');
});

t.test('no two newcomers of a cluster have the same name, whatever pairs are observed at once', async (t) => {
  const started: string[] = [];
  const startWorkload = async ({ namespace, name }: { namespace: string; name: string }, cluster: string) => {
    started.push(`${cluster}/${namespace}/${name}`);
    throw new Error('enough');
  };
  const names = ['east', 'west', 'north'];
  for (const from of names) {
    for (const to of names.filter((name) => name !== from)) {
      const context = { from: { name: from }, to: { name: to }, startWorkload };
      await t.rejects(ofNewcomers.observe(context as never, { known: 1, holds: 1 }));
    }
  }
  t.equal(new Set(started).size, 6);
});
