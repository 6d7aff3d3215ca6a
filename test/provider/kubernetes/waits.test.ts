import t from 'tap';
import { Waits } from '../../../lib/provider/kubernetes/waits.ts';

t.test('what a pod waited for, each with its time, the longest first', async (t) => {
  const waits = new Waits(1_000);
  waits.saw('no node takes it. preemption: it does not help', 1_250);
  waits.saw('no node takes it', 6_000);
  waits.saw('a moment', 6_250);
  waits.saw('not ready: agent (ContainerCreating)', 9_250);
  waits.saw('not ready: agent (not ready)', 10_000);
  t.same(waits.ended(10_500), {
    waited:
      '5.0 s no node takes it; 3.0 s not ready: agent (ContainerCreating); 1.3 s not ready: agent (not ready)',
  });
});

t.test('a pod that was ready at the first look, or at once, waited for nothing', async (t) => {
  t.same(new Waits(0).ended(5_000), {});
  const waits = new Waits(0);
  waits.saw('its phase is Pending', 250);
  t.same(waits.ended(499), {});
});
