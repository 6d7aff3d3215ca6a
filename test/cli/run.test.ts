import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { cli, emptyFolder } from './fixtures/process.ts';

interface Report {
  readonly results: readonly {
    readonly run: string;
    readonly exitCode: number;
    readonly cases: readonly { readonly id: string; readonly status: string }[];
  }[];
}

const verdicts = (report: Report): string[] =>
  (report.results[0]?.cases ?? []).map(({ id, status }) => `${id} ${status}`);

const asRoot = process.getuid?.() === 0;

void t.test(
  'a run, its reports, and its record judged again',
  { skip: !asRoot && 'needs root' },
  async (t) => {
    const folder = emptyFolder(t);
    const ready = await cli(folder, ['doctor']);
    t.equal(ready.code, 0, ready.out);
    const args = ['--suite', 'addressing', '--check', 'addressing.*', '--check', 'reachability.tcp'];
    const { code, out, err } = await cli(folder, [
      ...args,
      '--suite',
      'reachability',
      '--underlay',
      'direct',
    ]);
    t.equal(code, 0, out + err);
    t.match(out.split('\n')[0], /underlay: partial/, 'the first line says class and verdict');
    t.match(err, /reachability\.tcp/, 'progress');
    t.strictSame(readdirSync(path.join(folder, 'mcnet-report')), [
      'junit.xml',
      'record.ndjson',
      'report.json',
    ]);
    const report = JSON.parse(
      readFileSync(path.join(folder, 'mcnet-report', 'report.json'), 'utf8'),
    ) as Report;
    t.ok(verdicts(report).includes('reachability.tcp[east->west] passed'));

    const again = await cli(folder, ['report', 'mcnet-report/record.ndjson', '--report', 'json=-']);
    t.equal(again.code, 0, again.err);
    t.strictSame(verdicts(JSON.parse(again.out) as Report), verdicts(report));
    t.match((await cli(folder, ['report', 'mcnet-report/record.ndjson'])).out, /reachability\.tcp/);
    t.notOk(
      existsSync(path.join(folder, '.state', 'mcnet-conformance', 'runs', `${report.results[0]?.run}.json`)),
    );
  },
);

void t.test(
  'reports go where the user says, and out of the way of the console',
  { skip: !asRoot && 'needs root' },
  async (t) => {
    const folder = emptyFolder(t);
    // Overlapping ranges: a failed case, and nothing is created.
    writeFileSync(path.join(folder, 'mcnet.yaml'), 'clusters: [a, {name: b, pods: 10.0.0.0/13}]\n');
    const { code, out, err } = await cli(folder, ['--report', 'json=-', '--report', 'junit=elsewhere/j.xml']);
    t.equal(code, 1);
    t.ok(verdicts(JSON.parse(out) as Report).includes('addressing.overlap[fleet] failed'));
    t.match(err, /not conformant/);
    t.ok(existsSync(path.join(folder, 'elsewhere', 'j.xml')));
    t.notOk(existsSync(path.join(folder, 'mcnet-report', 'junit.xml')));
    t.ok(existsSync(path.join(folder, 'mcnet-report', 'record.ndjson')));

    writeFileSync(path.join(folder, 'file'), '');
    const unwritable = await cli(folder, [
      '--quiet',
      '--report',
      'junit=file/j.xml',
      '--report',
      'console=c.txt',
    ]);
    t.equal(unwritable.code, 2, 'results that cannot be read are none');
    t.match(unwritable.err, /not conformant.*Could not be written.*junit \(file\/j\.xml\)/s);
    t.ok(existsSync(path.join(folder, 'c.txt')), 'the others are written');
  },
);

void t.test('globs that match nothing end a run before anything exists', async (t) => {
  const folder = emptyFolder(t);
  const { code, err } = await cli(folder, ['--check', 'reachability.tpc']);
  t.equal(code, 2);
  t.match(err, /"reachability\.tpc" matches nothing/);
  t.match(err, /"reachability\.tcp"/);
  t.notOk(existsSync(path.join(folder, '.state')));
});
