import t from 'tap';
import { clean, counted, oneLine, padEnd, padStart, truncate, widthOf, wrap } from '../../reports/text.ts';
import { HOSTILE } from './support.ts';

t.test('text is safe to print', async (t) => {
  const safe = clean(HOSTILE);
  t.notMatch(safe, /\u001B|[\0-\x08]|\x7F|\u0085|\r|[\uFFFE\uFFFF\u202E]/);
  t.ok(safe.isWellFormed());
  t.match(safe, /^red \| link \|/);
  t.match(safe, /😀/);
  t.notMatch(oneLine(HOSTILE), /\n/);
});

t.test('long text says how much is missing', async (t) => {
  t.equal(clean('a'.repeat(50), 10), `${'a'.repeat(10)}… (cut, 50 characters in all)`);
  t.equal(clean('a'.repeat(10), 10), 'a'.repeat(10));
  t.ok(clean('😀'.repeat(50), 11).isWellFormed(), 'no half of a pair is left');
});

t.test('columns are those of a terminal', async (t) => {
  t.equal(widthOf('abc'), 3);
  t.equal(widthOf('√ ×'), 3);
  t.equal(widthOf('\u001B[31mred\u001B[0m'), 3);
  t.equal(widthOf('漢字'), 4);
  t.equal(widthOf('한글'), 4);
  t.equal(widthOf('😀'), 2);
  t.equal(widthOf('e\u0301'), 1, 'a combining mark');
  t.equal(padEnd('漢', 4), '漢  ');
  t.equal(padStart('漢', 4), '  漢');
});

t.test('truncation never exceeds its columns', async (t) => {
  t.equal(truncate('reachability', 12), 'reachability');
  t.equal(truncate('reachability', 6), 'reach…');
  t.equal(truncate('漢字漢字', 5), '漢字…');
  t.equal(truncate('漢字漢字', 4), '漢…');
  t.equal(truncate('anything', 0), '');
});

t.test('lines break between words and never in an id', async (t) => {
  t.same(wrap('one two three', 7), ['one two', 'three']);
  t.same(wrap('see reachability.tcp[east->west] now', 10), ['see', 'reachability.tcp[east->west]', 'now']);
  t.same(wrap('first\nsecond', 20), ['first', 'second']);
  t.same(wrap('', 20), []);
});

t.test('plurals', async (t) => {
  t.equal(counted(1, 'case'), '1 case');
  t.equal(counted(1_234, 'case'), '1,234 cases');
});
