import t from 'tap';
import { defaultScope } from '../../suites/policyScope.ts';
import { judge, outcomeOf } from './judging.ts';
import { exchange, times } from './samples.ts';

const open = times(4, () => exchange());
const closed = times(4, () => exchange({ outcome: 'timed-out' }));
const mixed = [...open.slice(1), ...closed.slice(3)];
const look = (own: object, other: object) => ({ own, other });

const verdict = (means: string, under: readonly object[], before = look(open, open)) =>
  outcomeOf(
    judge(defaultScope, {
      from: 'east',
      to: 'west',
      address: '10.16.0.3',
      means,
      before,
      under,
      elapsedMs: 80,
    }),
  );

t.test('policy.default-scope', async (t) => {
  const own = look(open, closed);
  const every = look(open, open);
  t.equal(verdict('local', [own, own]), 'passed');
  t.equal(verdict('every', [every, every]), 'passed');
  t.equal(verdict('local', [every, every]), 'failed: policy-not-enforced');
  t.equal(verdict('local', [own, look(open, mixed)]), 'failed: policy-not-enforced', 'it must hold');
  t.equal(verdict('every', [own, own]), 'failed: policy-too-strict');
  t.equal(verdict('local', [look(closed, closed), own]), 'failed: policy-too-strict');
  t.equal(verdict('local', [own, own], look(open, closed)), 'inconclusive: control-failed');
  t.equal(verdict('local', [own]), 'inconclusive: probe-failed');
  t.equal(verdict('unknown', [own, own]), 'skipped');
});
