import { test } from 'tap';
import { durationOf, tableOf } from '../../../ci/offline/console.ts';
import type { Step } from '../../../ci/offline/steps.ts';

const titled = (title: string): Step => ({
  id: title,
  title,
  lane: 'engine',
  needs: [],
  inputs: {},
  run: async () => {},
});

test('durations read well', async (t) => {
  t.equal(durationOf(420), '0.4 s');
  t.equal(durationOf(12_300), '12 s');
  t.equal(durationOf(59_900), '1 min 0 s');
  t.equal(durationOf(187_000), '3 min 7 s');
});

test('the table has a line for each step and a sum', async (t) => {
  const outcomes = [
    { step: titled('node image'), built: true, tookMs: 15_000 },
    { step: titled('helm'), built: false, tookMs: 0 },
  ];
  t.equal(
    tableOf(outcomes, 16_000),
    [
      'node image                     built       15 s',
      'helm                           up to date',
      'in all: 1 built, 1 up to date              16 s',
    ].join('\n'),
  );
});
