import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { SUITES } from '../../suites/index.ts';
import { SOURCE, cli, emptyFolder } from './fixtures/process.ts';

const ESCAPE = '\u001B[';
const BOLD = `${ESCAPE}1m`;

void t.test('help of the program and of each command', async (t) => {
  const folder = emptyFolder(t);
  const main = await cli(folder, ['--help']);
  t.equal(main.code, 0);
  t.equal(main.err, '');
  for (const expected of [
    'Usage:',
    'Examples:',
    'The fleet:',
    '--ip-family',
    'Exit codes:',
    '--version',
    '--help',
  ]) {
    t.match(main.out, expected);
  }
  t.notMatch(main.out, ESCAPE, 'no colour where nobody looks');
  t.ok(
    main.out.split('\n').every((line) => line.length <= 80),
    'wrapped',
  );
  for (const command of ['run', 'list', 'plan', 'report', 'doctor', 'clean', 'prove', 'compare']) {
    t.match(main.out, new RegExp(`^  ${command}`, 'm'));
    const { code, out } = await cli(folder, [command, '--help']);
    t.equal(code, 0, command);
    t.match(out, `Usage: mcnet-conformance ${command}`);
  }
  t.strictSame(readdirSync(folder), [], 'nothing was created');
});

void t.test('colour is forced and forbidden by the usual variables', async (t) => {
  const folder = emptyFolder(t);
  t.match((await cli(folder, ['--help'], { env: { FORCE_COLOR: '1' } })).out, BOLD);
  t.match((await cli(folder, ['list', 'checks'], { env: { FORCE_COLOR: '1' } })).out, BOLD);
  t.notMatch((await cli(folder, ['list', 'checks'], { env: { NO_COLOR: '1' } })).out, ESCAPE);
});

void t.test('lists, for people and for programs', async (t) => {
  const folder = emptyFolder(t);
  const checks = await cli(folder, ['list', 'checks']);
  const asJson = await cli(folder, ['list', 'checks', '--json']);
  const listed = JSON.parse(asJson.out) as {
    id: string;
    budgets: Record<string, { value: number; reason: string }>;
  }[];
  t.strictSame(
    listed.map(({ id }) => id),
    SUITES.flatMap((suite) => suite.checks.map((check) => check.id)),
  );
  for (const { id, budgets } of listed) {
    t.match(checks.out, id);
    t.ok(
      Object.values(budgets).every(({ reason }) => reason.length > 0),
      `${id}: every budget has a reason`,
    );
  }
  const suites = JSON.parse((await cli(folder, ['list', 'suites', '--json'])).out) as { id: string }[];
  t.strictSame(
    suites.map(({ id }) => id),
    SUITES.map(({ id }) => id),
  );
  const profiles = JSON.parse((await cli(folder, ['list', 'profiles', '--json'])).out) as { name: string }[];
  const names = profiles.map(({ name }) => name);
  t.ok(names.includes('none'));
  const faults = JSON.parse((await cli(folder, ['list', 'faults', '--json'])).out) as {
    kind: string;
    noticedBy: { check: string; cause: string }[];
  }[];
  t.ok(
    faults.find(({ kind }) => kind === 'mtu-lowered')?.noticedBy.some(({ check }) => check === 'mtu.path'),
  );
});

void t.test('what nobody knows ends with 2 and the nearest name, without a stack', async (t) => {
  const folder = emptyFolder(t);
  const cases: [string[], RegExp, RegExp][] = [
    [['lst'], /Unknown command "lst"/, /"list"/],
    [['--quiet', 'list'], /Unknown command "list"/, /Put it first/],
    [['--clustres', '3'], /Unknown flag --clustres/, /--clusters/],
    [['--clustres=3'], /Unknown flag --clustres/, /--clusters/],
    [['plan', '--jsn'], /Unknown flag --jsn/, /--json/],
    [['plan', '--topology', 'full-mash'], /"full-mash"/, /"full-mesh"/],
    [['plan', '--suite', 'reachabilty'], /"reachabilty"/, /"reachability"/],
    [['plan', '--check', 'mtu.pth'], /"mtu.pth"/, /"mtu.path"/],
    [['plan', '--profile', 'consl'], /"consl"/, /"consul"/],
    [['plan', '--underlay', 'existing'], /have no underlay that exists/, /wireguard/],
    [['plan', '--config', 'none.yaml'], /no such file/, /--config/],
    [['plan', '--hub'], /argument missing/, /--help/],
    [['list'], /missing required argument/, /list --help/],
    [['list', 'profile'], /no list of "profile"/, /"profiles"/],
    [['report'], /missing required argument/, /report --help/],
    [['report', 'none.ndjson'], /cannot be read/, /record\.ndjson/],
    [['clean', 'abc123'], /no run "abc123"/, /--dry-run/],
    [['prove', '--fault', 'wan-dorp'], /"wan-dorp"/, /"wan-drop"/],
  ];
  for (const [args, what, remedy] of cases) {
    const { code, out, err } = await cli(folder, args);
    const name = args.join(' ');
    t.equal(code, 2, name);
    t.equal(out, '', name);
    t.match(err, what, name);
    t.match(err, remedy, name);
    t.notMatch(err, /\n\s+at /, `${name}: no stack`);
  }
  const { err } = await cli(folder, ['plan', '--level', 'cor', '--verbose']);
  t.match(err, /\n\s+at /, 'a stack for those who ask');
});

void t.test('a file of the user is named with line and column', async (t) => {
  const folder = emptyFolder(t);
  writeFileSync(path.join(folder, 'mcnet.yaml'), 'level: core\nipFamly: dual\n');
  const { code, err } = await cli(folder, ['plan']);
  t.equal(code, 2);
  t.match(err, /mcnet\.yaml:2:1/);
  t.match(err, /"ipFamily"/);
  writeFileSync(path.join(folder, 'mcnet.yaml'), 'a: 1\n'.repeat(2_000_000));
  const large = await cli(folder, ['plan']);
  t.equal(large.code, 2);
  t.match(large.err, /larger than 256 KiB/);
});

void t.test('plan shows everything and creates nothing', async (t) => {
  const folder = emptyFolder(t);
  const args = ['plan', '--clusters', '3', '--topology', 'hub-and-spoke', '--ip-family', 'dual'];
  const { code, out, err } = await cli(folder, args);
  t.equal(code, 0, err);
  for (const expected of [
    'east (hub)',
    'hub-and-spoke',
    '4 direct, 2 via',
    '10.16.0.0/13',
    'reachability.tcp[east->west,ipv6]',
  ]) {
    t.match(out, expected);
  }
  const data = JSON.parse((await cli(folder, [...args, '--json'])).out) as { cases: { id: string }[] };
  t.ok(data.cases.some(({ id }) => id === 'reachability.tcp[west->north,ipv4]'));
  t.strictSame(readdirSync(folder), [], 'nothing was created');
});

void t.test('plan shows how the vendor would have it, where there is a chart', async (t) => {
  const folder = emptyFolder(t);
  const args = ['plan', '--chart', '--profile', 'consul', '--suite', 'peering'];
  const { code, out, err } = await cli(folder, args);
  t.equal(code, 0, err);
  for (const expected of ['# helm upgrade --install consul', '# west-values.yaml', 'kind: PeeringDialer']) {
    t.match(out, expected);
  }
  t.match(JSON.parse((await cli(folder, [...args, '--json'])).out), {
    clusters: [{ cluster: 'east', values: { global: { peering: { enabled: true } } } }, {}],
  });
  const without = await cli(folder, ['plan', '--chart', '--profile', 'istio']);
  t.equal(without.code, 2);
  t.match(without.err, /profile istio is not shown by a chart/);
});

void t.test('plan judges the addresses, as far as that needs no cluster', async (t) => {
  const folder = emptyFolder(t);
  writeFileSync(path.join(folder, 'mcnet.yaml'), 'clusters: [a, {name: b, pods: 10.0.0.0/13}]\n');
  const { code, out } = await cli(folder, ['plan']);
  t.equal(code, 1);
  t.match(out, /failed +addressing\.overlap\[fleet\]/);
  const data = JSON.parse((await cli(folder, ['plan', '--json'])).out) as {
    verdicts: Record<string, { status: string; cause: string }>;
  };
  t.match(data.verdicts['addressing.overlap[fleet]'], { status: 'failed', cause: 'ranges-overlap' });
});

void t.test('a reader who leaves early is no error', async (t) => {
  const folder = emptyFolder(t);
  const pipeline = `"$0" "$1" list checks --json | head -n 1; "$0" "$1" list checks >&-`;
  const child = spawn('sh', ['-c', pipeline, process.execPath, SOURCE], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  t.equal(err, '');
  t.equal(code, 0);
});

void t.test('results of yesterday do not outlive a run that cannot start', async (t) => {
  const folder = emptyFolder(t);
  const wrong: [string, string[], string][] = [
    ['an unknown flag', ['--clustres', '3'], 'mcnet-report'],
    ['an unknown value', ['run', '--level', 'cor'], 'mcnet-report'],
    ['another folder', ['--out', 'other', '--level', 'cor'], 'other'],
    ['another folder, written otherwise', ['--out=other', '--level', 'cor'], 'other'],
    ['a folder of the file', ['--config', 'broken.yaml'], 'of-the-file'],
  ];
  writeFileSync(path.join(folder, 'broken.yaml'), 'out: of-the-file\nlevel: cor\n');
  for (const [what, args, out] of wrong) {
    mkdirSync(path.join(folder, out), { recursive: true });
    const junit = path.join(folder, out, 'junit.xml');
    writeFileSync(junit, what);
    const { code } = await cli(folder, args);
    t.equal(code, 2, what);
    t.notOk(existsSync(junit), `${what}: moved`);
    t.equal(readFileSync(path.join(folder, out, 'previous', 'junit.xml'), 'utf8'), what);
    t.notOk(existsSync(path.join(folder, out, '.lock')), `${what}: unlocked`);
  }
  const { code } = await cli(folder, ['--out', 'broken.yaml', '--level', 'cor']);
  t.equal(code, 2, 'a folder that is none');
});
