import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import type { JsonComparison } from '../../reports/comparisonJson.ts';
import { SOURCE, cli, emptyFolder } from './fixtures/process.ts';

const asRoot = process.getuid?.() === 0;

/** Records of runs on two kind clusters, as they were written; the home folder of the machine is another one. */
function unpackRecords(folder: string, names: readonly string[]): string[] {
  return names.map((name) => {
    const packed = readFileSync(path.join(import.meta.dirname, 'fixtures', `${name}.ndjson.gz`));
    const file = path.join(folder, `${name}.ndjson`);
    writeFileSync(file, gunzipSync(packed));
    return file;
  });
}

const recordsIn = (t: Test, ...names: readonly string[]): { folder: string; files: string[] } => {
  const folder = emptyFolder(t);
  return { folder, files: unpackRecords(folder, names) };
};

void t.test('help names the flags that make sense', async (t) => {
  const folder = emptyFolder(t);
  const { code, out } = await cli(folder, ['compare', '--help']);
  t.equal(code, 0);
  for (const flag of [
    '--from',
    '--report',
    '--clusters',
    '--underlay',
    '--tuning',
    '--deadline',
    '--istio-topology',
  ]) {
    t.match(out, `  ${flag}`);
  }
  for (const flag of ['--keep', '--attach', '--bail', '  --profile']) t.notMatch(out, flag);
  t.match(out, 'compare none istio istio:multi-network');
  t.ok(
    out.split('\n').every((line) => line.length <= 80),
    'wrapped',
  );
  t.strictSame(readdirSync(folder), []);
});

void t.test('what cannot be compared ends with 2 and the nearest name, before anything exists', async (t) => {
  const folder = emptyFolder(t);
  const cases: [string[], RegExp, RegExp][] = [
    [[], /nothing to compare/, /none istio/],
    [['none', 'istoi'], /no profile "istoi"/, /"istio"/],
    [['none', 'istio:multi-netwrk'], /no variant "multi-netwrk"/, /"multi-network"/],
    [['none:big', 'istio'], /profile none has no variants/, /Write none/],
    [['none', 'none'], /named twice/, /--from/],
    [['none', 'istio', '--from', 'a.ndjson'], /both given/, /Choose one/],
    [['--from', 'a.ndjson'], /cannot be read/, /record\.ndjson/],
    [['none', 'istio', '--suite', 'performanc'], /"performanc"/, /"performance"/],
    [['none', 'istio', '--provider', 'lab', '--nodes', '2'], /creates no Kubernetes/, /kind/],
    [['none', 'istio', '--report', 'junit=-'], /"junit" is not a known report format/, /console|json/],
    [['none', '--keep'], /Unknown flag --keep/, /compare --help/],
  ];
  for (const [args, what, remedy] of cases) {
    const { code, out, err } = await cli(folder, ['compare', ...args]);
    const name = args.join(' ');
    t.equal(code, 2, name);
    t.equal(out, '', name);
    t.match(err, what, name);
    t.match(err, remedy, name);
  }
  t.notOk(existsSync(path.join(folder, '.state')), 'nothing was begun');
  t.notOk(existsSync(path.join(folder, 'mcnet-report', 'none')));
});

void t.test('results of yesterday do not outlive a comparison that cannot start', async (t) => {
  const folder = emptyFolder(t);
  const out = path.join(folder, 'mcnet-report');
  mkdirSync(out);
  writeFileSync(path.join(out, 'comparison.json'), 'yesterday');
  t.equal((await cli(folder, ['compare', 'none', 'istoi'])).code, 2);
  t.notOk(existsSync(path.join(out, 'comparison.json')));
  t.equal(readFileSync(path.join(out, 'previous', 'comparison.json'), 'utf8'), 'yesterday');
});

void t.test('records of real runs become a table, and nothing is created', async (t) => {
  const { folder, files } = recordsIn(t, 'none', 'istio');
  const { code, out, err } = await cli(folder, ['compare', '--from', ...files]);
  t.equal(err, '');
  t.match(out, /^ +none, local build +istio, local build$/m);
  t.match(out, /^class +underlay +mesh-flat$/m);
  t.match(out, /^build +local \w +local \w$/m);
  t.match(out, /^new workload known +not measured \w +\S/m);
  t.match(out, /^technology installed +0 ms +\S+ s$/m);
  t.match(out, /^control plane, idle +has none +\S+ MB/m);
  t.match(out, /Istio control plane 1\.31\.0/);
  t.strictSame(readdirSync(folder).toSorted(), ['istio.ndjson', 'none.ndjson']);

  const asJson = await cli(folder, ['compare', '--from', ...files, '--report', 'json=-']);
  const comparison = JSON.parse(asJson.out) as JsonComparison;
  t.equal(asJson.code, code);
  t.strictSame(
    comparison.columns.map(({ name }) => name),
    ['none', 'istio'],
  );
  t.match(comparison.on, /^kind · wireguard · full-mesh of 2 · ipv4 · fast timers$/);
});

void t.test('several records of one subject are one column with more samples', async (t) => {
  const { folder, files } = recordsIn(t, 'none', 'istio');
  const twice = ['compare', '--from', ...files, files[1] as string, '--report', 'json=-'];
  const { columns, groups } = JSON.parse((await cli(folder, twice)).out) as JsonComparison;
  t.match(columns, [
    { name: 'none', runs: { length: 1 } },
    { name: 'istio', runs: { length: 2 } },
  ]);
  const installed = groups.flatMap(({ rows }) => rows).find(({ name }) => name === 'technology installed');
  t.match(installed?.cells, [{ samples: 1 }, { samples: 2 }]);
});

void t.test('records of one profile that are not of the same subject are told apart', async (t) => {
  const { folder, files } = recordsIn(t, 'none', 'istio');
  const changed = (name: string, change: (line: string) => string): string => {
    const file = path.join(folder, `${name}.ndjson`);
    writeFileSync(
      file,
      readFileSync(files[1] as string, 'utf8')
        .split('\n')
        .map(change)
        .join('\n'),
    );
    return file;
  };
  const direct = changed('direct', (line) => line.replace('"underlay":"wireguard"', '"underlay":"direct"'));
  const apart = changed('apart', (line) =>
    line.replace('"configuration":{', '"configuration":{"istioTopology":"multi-network",'),
  );
  const newer = changed('newer', (line) =>
    line.replace('"Istio control plane":"1.31.0"', '"Istio control plane":"1.32.0"'),
  );
  const namesOf = async (...records: readonly string[]): Promise<string[]> => {
    const { out } = await cli(folder, ['compare', '--report', 'json=-', '--from', ...records]);
    return (JSON.parse(out) as JsonComparison).columns.map(({ name }) => name);
  };
  const [, istio = ''] = files;
  t.strictSame(await namesOf(istio, direct), ['istio (wireguard)', 'istio (direct)']);
  t.strictSame(await namesOf(istio, apart), ['istio', 'istio:multi-network']);
  t.strictSame(await namesOf(istio, newer), [
    'istio (Istio control plane 1.31.0)',
    'istio (Istio control plane 1.32.0)',
  ]);
});

void t.test('files are written where the user says', async (t) => {
  const { folder, files } = recordsIn(t, 'none', 'istio');
  const args = ['compare', '--out', 'table', '--report', 'markdown=elsewhere/t.md', '--from', ...files];
  const { out } = await cli(folder, args);
  t.match(out, /^ +none, local build +istio, local build$/m, 'the console as always');
  t.match(readFileSync(path.join(folder, 'elsewhere', 't.md'), 'utf8'), /^# Comparison/);
  t.strictSame(readdirSync(path.join(folder, 'table')), ['comparison.json']);
  writeFileSync(path.join(folder, 'file'), '');
  const unwritable = await cli(folder, ['compare', '--report', 'json=file/t.json', '--from', ...files]);
  t.equal(unwritable.code, 2);
  t.match(unwritable.err, /Could not be written/);
});

void t.test('runs in turn, each with a record of its own', { skip: !asRoot && 'needs root' }, async (t) => {
  const folder = emptyFolder(t);
  t.equal((await cli(folder, ['doctor'])).code, 0);
  const args = [
    'compare',
    'none',
    '--underlay',
    'direct',
    '--suite',
    'reachability',
    '--check',
    'reachability.tcp',
  ];
  const { code, out, err } = await cli(folder, args);
  t.equal(code, 0, out + err);
  t.match(err, /1 of 1: none, in .*mcnet-report\/none/);
  t.match(err, /none: underlay: partial/);
  t.match(out, /^reachability +√ 2$/m);
  t.match(out, /clusters of the lab have no containers/);
  const report = path.join(folder, 'mcnet-report');
  t.strictSame(readdirSync(report), ['comparison.json', 'comparison.md', 'none']);
  t.strictSame(readdirSync(path.join(report, 'none')), ['junit.xml', 'record.ndjson', 'report.json']);
  const again = await cli(folder, [
    'compare',
    '--from',
    'mcnet-report/none/record.ndjson',
    '--report',
    'json=-',
  ]);
  // Closing the record takes time that its last line cannot know.
  const timeless = (text: string): unknown =>
    JSON.parse(text.replaceAll(/"durationMs": [\d.]+/g, '"durationMs": 0'));
  t.same(
    timeless(again.out),
    timeless(readFileSync(path.join(report, 'comparison.json'), 'utf8')),
    'the record tells the same',
  );
});

const REACHABILITY = ['--provider', 'kind', '--suite', 'reachability', '--check', '*.tcp'];

void t.test('one that cannot be set up is named in its place, and the next begins', async (t) => {
  const folder = emptyFolder(t);
  const env = { DOCKER_HOST: `unix://${folder}/docker.sock` };
  const { code, out, err } = await cli(folder, ['compare', 'istio', 'none', ...REACHABILITY], { env });
  t.equal(code, 2, err);
  t.match(out, /^class +mesh-flat +underlay$/m);
  t.match(out, /^verdict +× not measured a +× not measured [ab]$/m);
  t.match(out, /^a {2}the set-up failed: /m);
  for (const name of ['istio', 'none'])
    t.ok(existsSync(path.join(folder, 'mcnet-report', name, 'record.ndjson')), name);
  t.notOk(existsSync(path.join(folder, '.state')), 'nothing that could be left was begun');
});

void t.test('a signal ends them all, and the table is written', async (t) => {
  const folder = emptyFolder(t);
  // An engine that never answers.
  writeFileSync(path.join(folder, 'docker'), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  const child = spawn(process.execPath, [SOURCE, 'compare', 'none', 'istio', ...REACHABILITY], {
    cwd: folder,
    env: {
      PATH: `${folder}:${process.env['PATH']}`,
      HOME: folder,
      XDG_STATE_HOME: path.join(folder, '.state'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => {
    const before = err;
    err += chunk.toString();
    if (/cases/.test(err) && !/cases/.test(before)) child.kill('SIGINT');
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.equal(code, 130, err);
  t.notMatch(err, /2 of 2/);
  t.match(out, /^verdict +× not measured b +not measured a$/m);
  t.match(out, /^b {2}the run was interrupted$/m);
  t.match(out, /^a {2}the comparison was interrupted before its turn$/m);
  t.ok(existsSync(path.join(folder, 'mcnet-report', 'comparison.json')));
  t.notOk(existsSync(path.join(folder, '.state')), 'nothing that could be left was begun');
});
