import { readFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { RecordWriter, readRecords } from '../../lib/run/record.ts';
import { Redactor } from '../../lib/run/redact.ts';
import { type AppendableFile, openAppendable } from '../../lib/system/storage.ts';
import { fastClock, temporaryFolder } from './support.ts';

const start = { type: 'run.start', tool: 'test', subject: {}, addressing: {} } as never;

async function written(
  work: (writer: RecordWriter, redactor: Redactor) => void,
  open?: () => Promise<AppendableFile>,
): Promise<{ writer: RecordWriter; lines: string[] }> {
  const file = path.join(await temporaryFolder(), 'out', 'record.ndjson');
  const redactor = new Redactor();
  const writer = new RecordWriter({
    run: 'abc123',
    clock: fastClock,
    redactor,
    open: open ?? (() => openAppendable(file)),
  });
  work(writer, redactor);
  await writer.close();
  const text = await readFile(file, 'utf8').catch(() => '');
  return { writer, lines: text.split('\n') };
}

const threePhases = (writer: RecordWriter): void => {
  writer.write({ type: 'phase', phase: 'create', durationMs: 1 });
  writer.begin([start]);
  writer.write({ type: 'phase', phase: 'join', durationMs: 2 });
};

t.test(
  'the subject comes first, what was held back follows, each with the hash of the line before',
  async (t) => {
    const { lines } = await written(threePhases);
    t.equal(lines.pop(), '', 'the last line is complete');
    const [record] = readRecords(lines);
    t.strictSame(record?.problems, []);
    t.notOk(record?.broken);
    t.match(record?.events, [
      { v: 1, seq: 0, type: 'run.start', monoMs: 0, run: 'abc123' },
      { seq: 1, type: 'phase', phase: 'create' },
      { seq: 2, type: 'phase', phase: 'join' },
    ]);
    t.match(record?.events[2]?.at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  },
);

t.test(
  'a changed, missing or garbled line breaks the chain and is named; a cut-off last line is only said',
  async (t) => {
    const { lines } = await written(threePhases);
    lines.pop();
    const changed = lines.with(1, lines[1]!.replace('create', 'crea1e'));
    t.match(readRecords(changed)[0], { broken: true, problems: [/line 3 does not follow/] });
    t.match(readRecords(lines.toSpliced(1, 1))[0], { broken: true, problems: [/line 2 does not follow/] });
    t.match(readRecords(lines.with(1, lines[1]!.slice(0, 20)))[0], { broken: true });
    const cut = readRecords(lines.with(2, lines[2]!.slice(0, 20)))[0];
    t.match(cut, { broken: false, problems: [/line 3, the last, is cut off/] });
    t.equal(cut?.events.length, 2);
  },
);

t.test('several records one after the other', async (t) => {
  const { lines } = await written(threePhases);
  lines.pop();
  const killed = lines.with(2, '{"v":1,');
  const records = readRecords([...killed, ...lines]);
  t.equal(records.length, 2);
  t.match(records[0]?.problems, [/cut off/]);
  t.strictSame(records[1]?.problems, []);
});

t.test('a full disk ends the writing and is remembered', async (t) => {
  let appended = 0;
  const full: AppendableFile = {
    append: () => (++appended > 1 ? Promise.reject(new Error('ENOSPC: no space left')) : Promise.resolve()),
    close: () => Promise.resolve(),
  };
  const writer = new RecordWriter({
    run: 'abc123',
    clock: fastClock,
    redactor: new Redactor(),
    open: () => Promise.resolve(full),
  });
  threePhases(writer);
  await new Promise<void>((resolve) => setImmediate(resolve));
  t.equal(writer.failure, undefined, 'the first lines still fit');
  threePhases(writer);
  await writer.close();
  t.match(writer.failure, /ENOSPC/);
  t.equal(appended, 2, 'nothing is tried after the failure');
});

t.test('a record that cannot be opened is remembered too', async (t) => {
  const { writer } = await written(threePhases, () =>
    Promise.reject(new Error('EROFS: read-only file system')),
  );
  t.match(writer.failure, /read-only/);
});

t.test('secrets never enter', async (t) => {
  const key = 'aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvMTI=';
  const pem = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----';
  const { lines } = await written((writer, redactor) => {
    redactor.register('hunter2-hunter2');
    writer.begin([start]);
    const detail = {
      nested: [
        `[Interface]\nPrivateKey = ${key}\nListenPort = 51820`,
        pem,
        'Authorization: Bearer abcdefghijkl',
      ],
      known: 'it is hunter2-hunter2, really',
      token: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl',
    };
    writer.write({ type: 'step', case: 'a', step: 'b', durationMs: 0, detail });
  });
  const text = lines.join('\n');
  for (const secret of [key, 'MHcCAQEE', 'abcdefghijkl', 'hunter2', 'c2lnbmF0dXJl']) t.notMatch(text, secret);
  t.match(text, /ListenPort = 51820/, 'what is no secret stays');
  t.strictSame(readRecords(lines)[0]?.problems, []);
});

t.test('plain values are what the record would hold', (t) => {
  const redactor = new Redactor();
  t.strictSame(redactor.plain({ a: undefined, b: Number.NaN, c: [1] }), { b: null, c: [1] });
  t.equal(redactor.plain(undefined), null);
  t.throws(() => redactor.plain({ big: 1n }));
  t.end();
});
