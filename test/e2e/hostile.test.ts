/** Tools that lie, servers that die, disks that are full, input that is nonsense: a clear word, and never *passed*. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { runtimeFolder } from '../../lib/system/files.ts';
import { markedProcesses } from '../../lib/system/processes.ts';
import {
  FILE_LIMIT_MS,
  Home,
  type Running,
  endedWith,
  leftOf,
  runIdOf,
  skip,
  suites,
  tallyOf,
  until,
} from './fixtures/home.ts';

t.setTimeout(FILE_LIMIT_MS);

const THROUGHPUT = ['--check', 'performance.throughput'];

/** A PATH on which this program stands before the real one. */
function withProgram(home: Home, name: string, script: string): Record<string, string> {
  const folder = home.at('programs');
  mkdirSync(folder);
  writeFileSync(path.join(folder, name), `#!/bin/sh\nPATH="\${PATH#*:}"\n${script}\n`, { mode: 0o755 });
  return { PATH: `${folder}:${process.env['PATH']}` };
}

const setUp = (running: Running): Promise<unknown> =>
  until(running, 'its set-up was through', () => /√ intents/.test(running.said()) || undefined);

void t.test('iperf3 that is not installed', { skip }, async (t) => {
  const home = new Home(t);
  const folder = home.at('programs');
  mkdirSync(folder);
  for (const name of readdirSync('/usr/bin')) {
    if (name !== 'iperf3') symlinkSync(path.join('/usr/bin', name), path.join(folder, name));
  }
  const ended = await home.run(THROUGHPUT, { PATH: `${folder}:/usr/sbin:/sbin` });
  endedWith(t, ended, 2);
  t.match(ended.out, /apt-get install .*iperf3/);
  t.strictSame(tallyOf(home.results()).passed, []);
  t.strictSame(home.runs(), []);
});

const LIE = JSON.stringify({
  start: {},
  intervals: [],
  end: {
    streams: [{ sender: { mean_rtt: 10 } }],
    sum_sent: { bytes: 1_000, seconds: 1, bits_per_second: 9e9, retransmits: 0 },
    sum_received: { bytes: 1_000, seconds: 1, bits_per_second: 9e9 },
  },
});

for (const [what, client, cause] of [
  ['vanishes', 'exit 127', 'probe-failed'],
  ['lies in its JSON', `echo '${LIE}'`, 'probe-failed'],
  ['prints no JSON', 'echo all is well', 'probe-failed'],
  ['hangs', 'exec sleep 1000', 'probe-failed'],
] as const) {
  void t.test(`iperf3 that ${what}`, { skip }, async (t) => {
    const home = new Home(t);
    const script = `case " $* " in *" -c "*) ${client};; *) exec iperf3 "$@";; esac`;
    const ended = await home.run(THROUGHPUT, withProgram(home, 'iperf3', script));
    endedWith(t, ended, 3);
    const { cases, run } = home.results();
    t.ok(cases.length > 0);
    for (const one of cases) t.match(one, { status: 'inconclusive', cause });
    t.match(cases[0]?.reason, /iperf3/);
    t.strictSame(await leftOf(run, home), []);
  });
}

void t.test('a DNS server that dies during the run', { skip }, async (t) => {
  const home = new Home(t);
  const running = home.start(suites('reachability', 'dns'));
  const run = await runIdOf(running);
  await setUp(running);
  process.kill(Number(readFileSync(path.join(runtimeFolder(run), 'west', 'dnsmasq.pid'), 'utf8')), 'SIGKILL');
  endedWith(t, await running.ended, 1);
  const { failed, doubtful } = tallyOf(home.results());
  t.ok('dns.latency[west]' in failed);
  for (const [id, cause] of Object.entries(failed)) {
    t.match(id, /^dns\..*\[west\]$/);
    t.equal(cause, 'dns-refused');
  }
  t.strictSame(doubtful, []);
  t.strictSame(await leftOf(run, home), []);
});

void t.test('a probe agent that is frozen during the run', { skip }, async (t) => {
  const home = new Home(t);
  const running = home.start(suites('reachability', 'dns'));
  const run = await runIdOf(running);
  await setUp(running);
  const wanted = '--cluster\0east\0--namespace\0mcnet\0--workload\0client\0';
  const pids = (await markedProcesses(run)).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(wanted),
  );
  t.equal(pids.length, 1);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  const ended = await running.ended;
  endedWith(t, ended, 3);
  const { failed, passed, doubtful } = tallyOf(home.results());
  t.strictSame(failed, {}, 'nothing is said of the clusters');
  t.ok(doubtful.length > 0 && doubtful.every((told) => /probe-failed.*no answer from the agent/.test(told)));
  t.ok(passed.includes('reachability.tcp[west->east]'), 'what does not need it is proved');
  t.strictSame(await leftOf(run, home), []);
});

void t.test('a disk that is full', { skip }, async (t) => {
  const home = new Home(t);
  const disk = home.at('disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
  t.teardown(() => execFileSync('umount', [disk]));
  const running = home.start([...suites('reachability', 'dns'), '--out', 'disk']);
  const run = await runIdOf(running);
  const ended = await running.ended;
  endedWith(t, ended, 2);
  t.match(ended.err, /ENOSPC/);
  t.match(ended.err, /underlay: /, 'the verdict is on standard error');
  t.notMatch(ended.err, /underlay: conformant/);
  t.strictSame(await leftOf(run, home), []);
});

void t.test('a folder that cannot be written', async (t) => {
  const home = new Home(t);
  writeFileSync(home.at('file'), '');
  const ended = await home.run(['--out', 'file/report']);
  endedWith(t, ended, 2);
  t.match(ended.err, 'The output folder cannot be written');
  t.strictSame(home.runs(), []);
});

void t.test('a configuration of 10 MB', async (t) => {
  const home = new Home(t);
  for (const yaml of [
    `clusters:\n${'  - east\n'.repeat(1_000_000)}`,
    `seed: ${'x'.repeat(10_000_000)}\n`,
    `a: ${'['.repeat(10_000_000)}\n`,
    `a: &a [${'x, '.repeat(1000)}]\n${Array.from({ length: 20 }, (_, index) => `b${index}: &b${index} [${'*a, '.repeat(100_000)}]\n`).join('')}`,
  ]) {
    home.configure(yaml);
    const ended = await home.run(['plan']);
    endedWith(t, ended, 2);
    t.ok(ended.err.length < 2_000, 'a word, not ten million');
    t.notMatch(ended.err, 'defect');
  }
});

void t.test('what nobody knows, with the nearest that somebody does', async (t) => {
  const home = new Home(t);
  for (const [args, told] of [
    [['--suit', 'dns'], /Unknown flag --suit.*--suite/s],
    [['--suite', 'reachabilty'], /"reachabilty" matches nothing.*"reachability"/s],
    [['--check', 'mtu.pth'], /"mtu\.pth" matches nothing.*"mtu\.path"/s],
    [['--check', 'mtu.path[nowhere->*]'], /matches nothing/],
    [['--profile', 'nine'], /nine.*none/s],
    [['--underlay', 'wiregard'], /wiregard.*wireguard/s],
    [['rum'], /Unknown command "rum".*run/s],
    [['--clusters', 'east,east'], /east/],
  ] as const) {
    const ended = await home.run(args);
    endedWith(t, ended, 2);
    t.match(ended.err, told);
    t.notMatch(ended.err, 'defect');
  }
  home.configure('topologi: tree\n');
  const ended = await home.run([]);
  endedWith(t, ended, 2);
  t.match(ended.err, /mcnet\.yaml:1.*topology/s);
  t.strictSame(home.runs(), []);
});
