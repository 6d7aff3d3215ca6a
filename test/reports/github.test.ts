import t from 'tap';
import { annotations, renderStepSummary } from '../../reports/github.ts';
import { healthy, hostile, ninetyPairs, setUpDied, troubled } from './support.ts';

t.test('an annotation per kind of failure, escaped', async (t) => {
  t.same(annotations(healthy()), []);
  const lines = annotations(troubled());
  t.equal(lines.length, 3);
  t.match(lines[0], /^::error title=dns\.shared\[west->east\]::expected: east and west answer.*%0Aseen: /);
  t.match(lines[2], /^::warning title=performance\.throughput\[east->west\] and 1 like it::/);
  t.match(annotations(setUpDied())[0], /^::error title=run\.set-up\[fleet\]::/);
  for (const line of annotations(hostile())) t.notMatch(line, /[\r\n\u001B]/);
});

t.test('a summary in Markdown', async (t) => {
  const text = renderStepSummary([ninetyPairs()]);
  t.match(text, /^### underlay: not conformant/);
  t.match(text, /\n\| suite \| passed \| failed \| inconclusive \| skipped \|\n\|---\|/);
  t.match(text, /\n\| mtu \| 72 \| 8 \| 10 \| 0 \|\n/);
  t.match(text, /46 cases inconclusive because of it/);
});

t.test('hostile text is no markup in it', async (t) => {
  const text = renderStepSummary([hostile(), healthy()]);
  t.notMatch(text, /<tag|<\/testcase|\u001B/);
  t.match(text, /&#60;tag/);
});
