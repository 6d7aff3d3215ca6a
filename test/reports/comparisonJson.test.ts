import t from 'tap';
import type { z } from 'zod';
import { type JsonComparison, renderComparisonJson } from '../../reports/comparisonJson.ts';
import { comparisonSchema } from '../../reports/schemas.ts';
import { nasty, sample } from './comparisonSupport.ts';

/** Whatever the types allow, the schema allows: the compiler's word, and a line that uses it. */
const asDocument = (comparison: JsonComparison): z.input<typeof comparisonSchema> => comparison;

void t.test('it has the shape that is documented, and nothing that is not', async (t) => {
  for (const comparison of [sample(), nasty()]) {
    const document = JSON.parse(renderComparisonJson(comparison)) as JsonComparison;
    t.same(comparisonSchema.parse(asDocument(document)), document);
  }
});

void t.test('a cell is measured, or says why not', async (t) => {
  const document = JSON.parse(renderComparisonJson(sample())) as JsonComparison;
  t.match(document.columns, [{ name: 'none', heading: 'none, local build', build: { kind: 'local' } }]);
  const row = document.groups[0]?.rows[0];
  t.match(row, { name: 'throughput', unit: '%', better: 'more', ahead: ['none'] });
  t.match(row?.cells, [
    { value: Number, samples: 2 },
    { value: 31 },
    { reason: /set-up failed/ },
    { reason: /its turn/ },
  ]);
  t.notOk(comparisonSchema.safeParse({ ...document, v: 2 }).success);
  t.notOk(
    comparisonSchema.safeParse({ ...document, groups: [{ title: 'a', rows: [{ ...row, cells: [{}] }] }] })
      .success,
    'an empty cell is none',
  );
});
