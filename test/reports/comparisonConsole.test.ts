import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { renderComparisonConsole } from '../../reports/comparisonConsole.ts';
import { widthOf } from '../../reports/text.ts';
import { nasty, sample } from './comparisonSupport.ts';

void t.test('everything is there', async (t) => {
  const text = renderComparisonConsole(sample(), { colour: false, width: 100 });
  for (const expected of [
    /^none, local build: underlay, conformant; istio, local build: mesh-flat, not conformant;/,
    /^class +underlay +mesh-flat/m,
    /^Throughput and latency/m,
    /^throughput +\S+ % \* +31 %/m,
    /^ {2}back again/m,
    /^control plane, idle +has none +41\.2 MB/m,
    /^What each was not asked, or cannot do$/m,
    /Istio control plane 1\.31\.0/,
    /build: built on this machine/,
    /the set-up failed: `ip link add/,
    /Welch, 95 %/,
    /‼ istio:multi-network: Clean-up failed/,
  ]) {
    t.match(
      text.replaceAll(/\n {2,}(?=\S)/g, (found) => found),
      expected,
    );
  }
});

void t.test('it fits its columns, and columns that do not fit follow below', async (t) => {
  for (const width of [80, 100, 200]) {
    const lines = renderComparisonConsole(sample(), { colour: false, width }).split('\n');
    for (const line of lines) t.ok(widthOf(line) <= width, `${width}: ${line}`);
    const heads = lines.filter((line) => /^ +none|^ +cilium|^ +istio/.test(line));
    t.match(heads.join(' '), /none.*istio.*istio:multi-network.*cilium/);
  }
  const wide = renderComparisonConsole(sample(), { colour: false, width: 200 });
  const narrow = renderComparisonConsole(sample(), { colour: false, width: 60 });
  t.ok((narrow.match(/^throughput /gm) ?? []).length > (wide.match(/^throughput /gm) ?? []).length);
});

void t.test('colour changes nothing but colour', async (t) => {
  const coloured = renderComparisonConsole(sample(), { colour: true, width: 100 });
  t.match(coloured, '\u001B[');
  t.equal(
    stripVTControlCharacters(coloured),
    renderComparisonConsole(sample(), { colour: false, width: 100 }),
  );
});

void t.test('what systems under test say does no harm', async (t) => {
  const text = renderComparisonConsole(nasty(), { colour: false, width: 100 });
  t.notMatch(text, /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202E]/);
});
