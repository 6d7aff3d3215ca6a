/** Several runs on one machine, and several in one output folder. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { FILE_LIMIT_MS, Home, endedWell, endedWith, leftOf, runIdOf, skip, suites } from './fixtures/home.ts';

t.setTimeout(FILE_LIMIT_MS);

void t.test('two runs at once do not meet', { skip }, async (t) => {
  const home = new Home(t);
  const selected = suites('reachability', 'dns', 'policy', 'mtu', 'encryption');
  const names = ['one', 'two'] as const;
  const running = names.map((out) => home.start(['--out', out, ...selected]));
  for (const [index, out] of names.entries()) {
    const ended = await (running[index] as (typeof running)[number]).ended;
    const results = endedWell(t, ended, home, out);
    t.strictSame(await leftOf(results.run, home), []);
  }
  t.not(home.results('one').run, home.results('two').run);
});

void t.test('one output folder', { skip }, async (t) => {
  const home = new Home(t);
  const first = home.start(suites('reachability'));
  const run = await runIdOf(first);

  const second = await home.run(suites('reachability'));
  endedWith(t, second, 2);
  t.match(second.err, 'Another run writes there now');
  t.match(second.err, `process ${first.pid}`);
  t.strictSame(home.runs().length <= 1, true, 'the second made nothing');

  endedWith(t, await first.ended, 0);
  t.equal(home.results().run, run, 'its results are untouched');
  t.notOk(existsSync(home.at('mcnet-report', 'previous')));

  writeFileSync(home.at('mcnet-report', 'notes.txt'), 'mine');
  // Nobody has the first start time: this process id means another process by now.
  writeFileSync(home.at('mcnet-report', '.lock'), JSON.stringify({ pid: process.pid, startTime: '0' }));
  endedWith(t, await home.run(suites('addressing')), 0);
  t.not(home.results().run, run);
  t.strictSame(readdirSync(home.at('mcnet-report', 'previous')), [
    'junit.xml',
    'record.ndjson',
    'report.json',
  ]);
  t.match(readFileSync(home.at('mcnet-report', 'previous', 'report.json'), 'utf8'), run);
  t.equal(readFileSync(home.at('mcnet-report', 'notes.txt'), 'utf8'), 'mine');

  const wrong = await home.run(['--suite', 'no-such-suite']);
  endedWith(t, wrong, 2);
  t.notOk(
    existsSync(home.at('mcnet-report', 'report.json')),
    'yesterday’s success does not outlive a wrong start',
  );
  t.ok(existsSync(home.at('mcnet-report', 'previous', 'report.json')));
});
