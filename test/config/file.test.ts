import t from 'tap';
import { MAXIMUM_FILE_BYTES, parseConfigurationFile } from '../../lib/config/file.ts';
import { refusal } from './fixtures/written.ts';

const parse = (text: string) => parseConfigurationFile(new TextEncoder().encode(text), 'mcnet.yaml');

void t.test('values and the places where they stand', async (t) => {
  const { values, locate } = parse('hub: east\nclusters:\n  - east\n  - name: west\n    segments: [a, b]\n');
  t.strictSame(values, { hub: 'east', clusters: ['east', { name: 'west', segments: ['a', 'b'] }] });
  t.equal(locate(['hub']), 'mcnet.yaml:1:6', 'a value');
  t.equal(locate([], 'hub'), 'mcnet.yaml:1:1', 'a key');
  t.equal(locate(['clusters', 1, 'segments', 1]), 'mcnet.yaml:5:19');
  t.equal(locate(['clusters', 1], 'segments'), 'mcnet.yaml:5:5');
  t.equal(locate(['clusters', 7, 'name']), 'mcnet.yaml:3:3', 'the deepest that there is');
});

void t.test('places are found through aliases', async (t) => {
  const { locate } = parse('clusters:\n  - &first\n    name: east\n  - *first\n');
  t.equal(locate(['clusters', 1, 'name']), 'mcnet.yaml:3:11');
});

void t.test('an empty file holds nothing', async (t) => {
  t.equal(parse('').values, null);
  t.equal(parse('# only a remark\n').values, null);
});

void t.test('what is refused, and where', async (t) => {
  const cases: [string, RegExp, string][] = [
    ['a: 1\nb: 2\na: 3\n', /"a" stands here a second time/, 'mcnet.yaml:3:1'],
    ['a:\n  b: 1\n  b: 2\n', /"b" stands here a second time/, 'mcnet.yaml:3:3'],
    ['a: [1, 2\n', /Flow sequence/, 'mcnet.yaml:2:1'],
    ['a: "open\n', /quote/, 'mcnet.yaml:2:1'],
    ['a: 1\n---\nb: 2\n', /multiple documents/, 'mcnet.yaml:2:1'],
    ['a: !!js/function "x"\n', /Unresolved tag/, 'mcnet.yaml:1:4'],
    ['a: !own 1\n', /Unresolved tag/, 'mcnet.yaml:1:4'],
    ['? [a, b]\n: 1\n', /must be plain text/, 'mcnet.yaml:1:3'],
    ['a: *nowhere\n', /aliases cannot be resolved/, 'mcnet.yaml'],
    [`${'['.repeat(30)}1${']'.repeat(30)}`, /levels of nesting/, 'mcnet.yaml:1:18'],
  ];
  for (const [text, what, where] of cases) {
    const error = refusal(t, () => parse(text));
    t.match(error.message, what, text);
    t.equal(error.where, where, text);
    t.type(error.remedy, 'string');
  }
});

void t.test('text that is not UTF-8 is refused with its line', async (t) => {
  const bytes = Uint8Array.from([...Buffer.from('a: 1\nb: '), 0xff, 0xfe, 0x0a]);
  const error = refusal(t, () => parseConfigurationFile(bytes, 'mcnet.yaml'));
  t.match(error.message, /not UTF-8/);
  t.equal(error.where, 'mcnet.yaml:2:1');
});

void t.test('hostile files end with a sentence of ours', async (t) => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let index = 1; index < 9; index++) {
    const [name, before] = ['abcdefghi'[index], 'abcdefghi'[index - 1]];
    bomb.push(`${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]`);
  }
  const hostile: Record<string, string> = {
    'aliases that multiply': bomb.join('\n'),
    'ten megabytes': 'a: 1\n'.repeat(2_000_000),
    'brackets without end': '['.repeat(MAXIMUM_FILE_BYTES),
    'maps without end': '{a: '.repeat(MAXIMUM_FILE_BYTES / 4),
    'lists without end': '- '.repeat(20_000),
    'an error in every character': '}'.repeat(MAXIMUM_FILE_BYTES),
    'a quote in every word': '"a" '.repeat(MAXIMUM_FILE_BYTES / 4),
    'one key twice among many': `${Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join('\n')}\nk7: 2`,
    'a key named as a prototype, twice': '__proto__: {a: 1}\n__proto__: {a: 2}',
  };
  for (const [what, text] of Object.entries(hostile)) {
    const error = refusal(t, () => parse(text));
    t.ok(error.message.length < 500, `${what}: ${error.message.slice(0, 80)}`);
    t.match(error.where, /^mcnet\.yaml/, what);
  }
});

void t.test('a prototype cannot be reached through the file', async (t) => {
  parse('__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}');
  t.equal(({} as Record<string, unknown>)['polluted'], undefined);
});
