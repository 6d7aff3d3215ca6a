import t from 'tap';
import { everyNode, sampleTargets } from '../../suites/nodes.ts';
import { judge, outcomeOf } from './judging.ts';
import { answeredBy, exchange, times } from './samples.ts';

const verdictOf = (paths: readonly object[], nodes = { from: 2, to: 2 }) =>
  judge(everyNode, { from: 'east', to: 'west', nodes, paths });

const path = (caller: string, target: string, passes: boolean) => ({
  caller,
  target,
  address: '10.16.0.9',
  exchanges: times(3, () => (passes ? answeredBy('west') : exchange({ outcome: 'timed-out' }))),
});

/** Paths between two nodes each; `cut` says which fail. */
const paths = (cut: (caller: string, target: string) => boolean) =>
  ['e1', 'e2'].flatMap((caller) => ['w1', 'w2'].map((target) => path(caller, target, !cut(caller, target))));

t.test('reachability.nodes', async (t) => {
  t.equal(outcomeOf(verdictOf(paths(() => false))), 'passed');
  const target = verdictOf(paths((_, to) => to === 'w2'));
  t.equal(outcomeOf(target), 'failed: node-cut');
  t.match(target.reason, /^Bad: w2 \(west\);/);
  t.match(verdictOf(paths((from) => from === 'e1')).reason, /^Bad: e1 \(east\);/);
  const single = verdictOf(paths((from, to) => from === 'e1' && to === 'w2'));
  t.equal(outcomeOf(single), 'failed: node-cut');
  t.match(single.reason, /1 of 4 paths .* no single node/);
  t.equal(outcomeOf(verdictOf(paths(() => true))), 'inconclusive: control-failed');
  t.equal(outcomeOf(verdictOf([])), 'inconclusive: probe-failed');
  t.match(verdictOf([], { from: 1, to: 1 }), { status: 'skipped' });
});

t.test('every node calls and is called by two at least', async (t) => {
  t.same(sampleTargets(2, 3), [
    [0, 1, 2],
    [0, 1, 2],
  ]);
  for (const [callers, targets] of [
    [8, 8],
    [8, 5],
    [5, 8],
    [1, 40],
  ] as const) {
    const sampled = sampleTargets(callers, targets);
    const called = new Map<number, number>();
    for (const target of sampled.flat()) called.set(target, (called.get(target) ?? 0) + 1);
    t.equal(called.size, targets, `${callers} to ${targets}: everybody is called`);
    t.ok(sampled.every((own) => own.length >= Math.min(2, targets)));
    t.ok(sampled.flat().length <= 2 * Math.max(callers, targets) + callers);
  }
});
