import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { hashOf } from '../../../ci/offline/inputs.ts';

test('the same inputs give the same hash, whatever their order', async (t) => {
  t.equal(hashOf({ a: '1', b: '2' }, { x: 'h', y: 'i' }), hashOf({ b: '2', a: '1' }, { y: 'i', x: 'h' }));
  t.match(hashOf({}), /^[0-9a-f]{32}$/);
});

test('nothing can pass for something else', async (t) => {
  const hashes = [
    hashOf({ a: 'bc' }),
    hashOf({ ab: 'c' }),
    hashOf({ a: 'b', c: '' }),
    hashOf({ a: '' }, { a: 'bc' }),
    hashOf({}, { a: 'bc' }),
    hashOf({}),
  ];
  t.equal(new Set(hashes).size, hashes.length);
});

test('files count with their names, bytes and whether they run, not with where or when', async (t) => {
  const folder = t.testdir({ one: { 'a.txt': 'A', deep: { 'b.sh': 'B' } } });
  const one = path.join(folder, 'one');
  const two = path.join(folder, 'two');
  mkdirSync(path.join(two, 'deep'), { recursive: true });
  writeFileSync(path.join(two, 'a.txt'), 'A');
  writeFileSync(path.join(two, 'deep/b.sh'), 'B');
  const before = hashOf({ files: { path: one } });
  t.equal(hashOf({ files: { path: two } }), before);

  chmodSync(path.join(two, 'deep/b.sh'), 0o755);
  t.not(hashOf({ files: { path: two } }), before, 'a file that runs');
  chmodSync(path.join(two, 'deep/b.sh'), 0o644);
  writeFileSync(path.join(two, 'deep/b.sh'), 'C');
  t.not(hashOf({ files: { path: two } }), before, 'other bytes');
  t.not(hashOf({ file: { path: path.join(one, 'a.txt') } }), before, 'a single file');
});
