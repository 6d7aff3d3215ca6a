import t from 'tap';
import { compareMeans } from '../../lib/model/statistics.ts';

void t.test('means differ when they lie further apart than their spread explains', async (t) => {
  t.equal(compareMeans([10, 11, 10, 11], [20, 21, 20, 21]), 'less');
  t.equal(compareMeans([20, 21, 20, 21], [10, 11, 10, 11]), 'more');
  t.equal(compareMeans([10, 20, 30], [15, 25, 35]), 'same', 'far from each other, and wide');
  t.equal(compareMeans([19, 641], [4_800, 7_700]), 'same', 'two of each, and wide: nothing is known');
});

void t.test('what was measured once is not known to differ from anything', async (t) => {
  t.equal(compareMeans([1], [100, 101]), 'unknown');
  t.equal(compareMeans([], []), 'unknown');
});

void t.test('values that agree by chance are not taken for exact', async (t) => {
  t.equal(compareMeans([100, 100], [110, 110]), 'same', 'a twentieth is what two values may lie apart');
  t.equal(compareMeans([100, 100], [200, 200]), 'less');
  t.equal(compareMeans([0, 0], [50, 50], 50), 'same', 'a step of the measurement is no difference');
  t.equal(compareMeans([0, 0], [5_000, 5_100], 50), 'less');
  t.equal(compareMeans([0, 0], [0, 0]), 'same');
});

void t.test('as Welch says of 15 and 15 values', async (t) => {
  // t = -2.85 with 27.9 degrees of freedom, for which 2.048 is the quantile; the error of the difference is 0.993.
  const x = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
  const y = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 24.4];
  t.equal(compareMeans(x, y), 'less');
  const nearer = (by: number): number[] => y.map((value) => value - by);
  t.equal(compareMeans(x, nearer(0.75)), 'less', 't = -2.10');
  t.equal(compareMeans(x, nearer(0.85)), 'same', 't = -2.00');
});
