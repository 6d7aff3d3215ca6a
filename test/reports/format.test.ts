import t from 'tap';
import { formatDuration, formatFigure, formatRange } from '../../reports/format.ts';

t.test('durations choose their unit', async (t) => {
  const samples: [number, string][] = [
    [0, '0 ms'],
    [0.3412, '0.34 ms'],
    [12.34, '12.3 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [1_234, '1.2 s'],
    [99_940, '99.9 s'],
    [99_960, '100 s'],
    [320_000, '5 min 20 s'],
    [Number.NaN, 'unknown'],
  ];
  for (const [value, text] of samples) t.equal(formatDuration(value), text);
});

t.test('figures are read with their unit', async (t) => {
  const samples: [number, string, string][] = [
    [941.3, 'Mbit/s', '941 Mbit/s'],
    [9_410, 'Mbit/s', '9.4 Gbit/s'],
    [9.41e9, 'bit/s', '9.4 Gbit/s'],
    [1_420, 'bytes', '1420 bytes'],
    [1, 'bytes', '1 byte'],
    [5e6, 'bytes', '5 MB'],
    [0.934, 'of baseline', '93.4 % of baseline'],
    [3, 'of 40 requests', '3 of 40 requests'],
    [2.13, '× baseline', '2.1 × baseline'],
    [0.0125, '%', '0.013 %'],
    [0.2, 's', '200 ms'],
    [Number.POSITIVE_INFINITY, 'ms', 'unknown'],
  ];
  for (const [value, unit, text] of samples) t.equal(formatFigure({ value, unit }), text);
  t.equal(formatFigure(JSON.parse('{"value":null,"unit":"ms"}')), 'unknown', 'not a number, after JSON');
});

t.test('a range names its unit once', async (t) => {
  const range = (unit: string, ...values: number[]) => formatRange(values.map((value) => ({ value, unit })));
  t.equal(range('ms', 1.2, 0.3), '0.3–1.2 ms');
  t.equal(range('ms', 900, 1_200), '900 ms–1.2 s');
  t.equal(range('ms', 7, 7), '7 ms');
  t.equal(range('of baseline', 0.3, 0.94), '30–94 % of baseline');
  t.equal(range('ms', Number.NaN, 4), '4 ms');
  t.equal(range('ms'), 'unknown');
});
