import t from 'tap';
import { figureText, textTable } from '../../reports/comparisonTable.ts';
import { sample } from './comparisonSupport.ts';

const cellsOf = (name: string): string[] => {
  const row = textTable(sample())
    .sections.flatMap(({ rows }) => rows)
    .find((one) => one.name === name);
  return row?.cells.map(({ text }) => text) ?? [];
};

void t.test('no cell is empty, and what was not measured says why', async (t) => {
  const { sections, notes, columns } = textTable(sample());
  t.strictSame(
    columns,
    ['none, local build', 'istio, local build', 'istio:multi-network', 'cilium'],
    'of what never ran nobody knows the build',
  );
  const letters = new Map(notes);
  for (const { name, cells } of sections.flatMap(({ rows }) => rows)) {
    t.equal(cells.length, columns.length, name);
    for (const { text } of cells) {
      t.notMatch(text, /^\s*$/, name);
      const letter = /^not measured (\w+)$/.exec(text)?.[1];
      if (letter !== undefined) t.ok(letters.get(letter), `${name}: ${text}`);
    }
  }
});

void t.test('cells of each kind', async (t) => {
  t.match(cellsOf('verdict'), [
    '√ conformant',
    /^× not conformant$/,
    /^× not measured \w$/,
    /^not measured \w$/,
  ]);
  t.match(cellsOf('build'), [/^local \w$/, /^local \w$/, /^not measured \w$/]);
  t.match(cellsOf('throughput'), [/^\d+–\d+ % \*$/, /^31 %$/, /^not measured \w$/, /^not measured \w$/]);
  t.match(cellsOf('crash'), [/^2\.\d–2\.\d s$/, /^× failed \w$/]);
  t.match(cellsOf('control plane, idle'), ['has none', '41.2 MB']);
  t.match(cellsOf('failover.crash'), ['√ passed', /^× failed \w$/]);
  t.match(cellsOf('mtu'), ['√ 2', '√ 2', /^not measured \w$/]);
  t.match(cellsOf('encryption'), ['√ 2', '– 2']);
});

void t.test('a reason that comes again has the same letter', async (t) => {
  const { notes } = textTable(sample());
  t.equal(new Set(notes.map(([, text]) => text)).size, notes.length);
  t.equal(new Set(notes.map(([letter]) => letter)).size, notes.length);
});

void t.test('figures as people read them', async (t) => {
  const cell = (value: number, low: number, high: number, samples: number) => ({ value, low, high, samples });
  const cases: [Parameters<typeof figureText>, string][] = [
    [[{ unit: 'ms' }, cell(24_187, 24_187, 24_187, 1)], '24.2 s'],
    [[{ unit: 'ms' }, cell(1_300, 1_040, 1_550, 2)], '1.0–1.6 s'],
    [[{ unit: 'ms' }, cell(1_300, 343, 3_700, 2)], '343 ms–3.7 s'],
    [[{ unit: 'ms' }, cell(1_300, 1_040, 1_550, 6)], '1.3 s (1.0–1.6)'],
    [[{ unit: 'ms' }, cell(0, 0, 0, 2)], '0 ms'],
    [[{ unit: '%' }, cell(86.4, 76.1, 95.8, 2)], '76–96 %'],
    [[{ unit: '×' }, cell(1.032, 1.0315, 1.04, 2)], '1.03–1.04 ×'],
    [[{ unit: 'bytes' }, cell(41.25e6, 41.2e6, 85.3e6, 2)], '41.2–85.3 MB'],
    [[{ unit: 'CPU' }, cell(0.0123, 0.0123, 0.0123, 2)], '0.012 CPU'],
    [[{ unit: 'Mbit/s' }, cell(900, 743, 1_100, 6)], '900 Mbit/s (743 Mbit/s–1.1 Gbit/s)'],
  ];
  for (const [given, expected] of cases) t.equal(figureText(...given), expected);
});
