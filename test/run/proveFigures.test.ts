/** On the lab, as root: every check that measures how fast something is, under the largest of each of its faults. */
import t from 'tap';
import { MEASURING, provesAll, skip } from './fixtures/proving.ts';

t.setTimeout(900_000);

t.test('the table of the lab: what measures', { skip }, (t) =>
  provesAll(t, { suite: MEASURING }, { proofs: 9, excused: 2 }),
);
