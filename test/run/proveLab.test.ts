/** On the lab, as root: every check under the largest of each of its faults, and what an interruption leaves. */
import t from 'tap';
import { MEASURING, interrupted, proveOnLab, provesAll, skip } from './fixtures/proving.ts';

t.setTimeout(900_000);

t.test('the table of the lab, but for what measures', { skip }, (t) =>
  provesAll(t, { skip: MEASURING }, { proofs: 66, excused: 1 }),
);

t.test('interrupted while a fault stands, nothing is left', { skip }, async (t) => {
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(interrupted('SIGTERM'));
  const { results, namespaces, state } = await proveOnLab(
    t,
    { check: ['reachability.icmp'] },
    interrupt,
    controller,
  );
  t.equal(results.run.exitCode, 143);
  t.same([...namespaces, ...state], []);
});
