import t from 'tap';
import { renderComparisonMarkdown } from '../../reports/comparisonMarkdown.ts';
import { nasty, sample } from './comparisonSupport.ts';

void t.test('tables with as many cells as columns, notes and lists', async (t) => {
  const text = renderComparisonMarkdown(sample());
  const rows = text.split('\n').filter((line) => line.startsWith('|'));
  t.ok(rows.length > 15);
  for (const row of rows) t.equal(row.split(' | ').length, 5, row);
  for (const expected of [
    /^# Comparison$/m,
    /^\| {2}\| none, local build \| istio, local build \| istio:multi-network \| cilium \|$/m,
    /^\| class \| underlay \| mesh-flat \| underlay \| not measured \w \|$/m,
    /^\| throughput \| \*\*.+ % &#42;\*\* \| 31 % \|/m,
    /^## Time to fail over, and back$/m,
    /^\| crash: back again \|/m,
    /^## Notes$/m,
    /^- \*\*\w\*\* build: built on this machine$/m,
    /^## What each was not asked, or cannot do$/m,
  ]) {
    t.match(text, expected);
  }
});

void t.test('nothing that systems under test say is markup', async (t) => {
  const text = renderComparisonMarkdown(nasty());
  t.notMatch(text, /<tag|\]\]>|\u001B|\u202E/);
  for (const row of text.split('\n').filter((line) => line.startsWith('|'))) {
    t.equal(row.split(' | ').length, 3, row);
  }
});
