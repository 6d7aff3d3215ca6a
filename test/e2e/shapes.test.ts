/** Fleets of other shapes than two clusters in IPv4, and what is written of them. */
import { existsSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { JsonResults } from '../../reports/json.ts';
import { FILE_LIMIT_MS, Home, endedWell, endedWith, leftOf, skip, suites, tallyOf } from './fixtures/home.ts';
import { judgeAgain } from './fixtures/judgeAgain.ts';
import { junitErrors } from './fixtures/junit.ts';

t.setTimeout(FILE_LIMIT_MS);

const QUICK = suites('addressing', 'reachability', 'dns', 'mtu', 'encryption');

/** A run that ends well, with its reports valid and nothing left of it. */
async function succeed(t: Test, home: Home, args: readonly string[]): Promise<JsonResults> {
  const ended = await home.run(args);
  const results = endedWell(t, ended, home);
  t.notMatch(ended.out + ended.err, '\u001B', 'no terminal, no colour');
  t.strictSame(await junitErrors(home.at('mcnet-report', 'junit.xml')), []);
  t.strictSame(await leftOf(results.run, home), []);
  return results;
}

void t.test('three clusters, everything by the hub', { skip }, async (t) => {
  const home = new Home(t);
  const results = await succeed(t, home, ['--clusters', '3', '--topology', 'hub-and-spoke', ...QUICK]);
  const { passed } = tallyOf(results);
  t.ok(passed.includes('reachability.path[west->north]'), 'proved to pass the hub');
  t.ok(passed.includes('reachability.path[east->north]'));
  await judgeAgain(t, home, 0);
});

void t.test('both families', { skip }, async (t) => {
  const results = await succeed(t, new Home(t), ['--ip-family', 'dual', ...QUICK]);
  const { passed } = tallyOf(results);
  for (const id of ['reachability.tcp', 'mtu.path', 'encryption.wire']) {
    t.ok(passed.includes(`${id}[east->west,ipv4]`) && passed.includes(`${id}[east->west,ipv6]`), id);
  }
});

void t.test('IPv6 alone', { skip }, async (t) => {
  const results = await succeed(t, new Home(t), ['--ip-family', 'ipv6', ...QUICK, ...suites('policy')]);
  t.strictSame(results.subject.ipFamilies, ['ipv6']);
});

void t.test('routes without a tunnel', { skip }, async (t) => {
  const results = await succeed(t, new Home(t), ['--underlay', 'direct', ...QUICK]);
  const skipped = results.cases.filter(({ status }) => status === 'skipped');
  t.ok(skipped.length > 0 && skipped.every(({ suite, reason }) => suite === 'encryption' && reason !== ''));
});

void t.test('clusters that must not reach each other', { skip }, async (t) => {
  const home = new Home(t);
  home.configure(
    [
      'clusters:',
      '  - shared',
      '  - { name: prod, segments: [production] }',
      '  - { name: staging, segments: [test] }',
      'topology: hub-and-spoke',
      '',
    ].join('\n'),
  );
  const { passed } = tallyOf(await succeed(t, home, suites('addressing', 'reachability', 'dns')));
  for (const pair of ['prod->staging', 'staging->prod']) {
    t.ok(passed.includes(`reachability.forbidden[${pair}]`), `${pair} is proved closed`);
    t.notOk(passed.includes(`reachability.tcp[${pair}]`));
  }
  for (const pair of ['shared->prod', 'staging->shared']) t.ok(passed.includes(`reachability.tcp[${pair}]`));
});

void t.test('ranges that overlap', { skip }, async (t) => {
  const home = new Home(t);
  home.configure('clusters: [a, {name: b, pods: 10.0.0.0/13}]\n');
  const ended = await home.run([]);
  endedWith(t, ended, 1);
  t.match(ended.out, /10\.0\.0\.0\/13/);
  const results = home.results();
  t.strictSame(tallyOf(results).failed, { 'addressing.overlap[fleet]': 'ranges-overlap' });
  t.strictSame(tallyOf(results).doubtful, []);
  t.strictSame(
    tallyOf(results).passed.filter((id) => !id.startsWith('addressing.')),
    [],
  );
  t.notOk(
    results.phases.some(({ phase }) => phase === 'create'),
    'nothing was created',
  );
  t.notOk(existsSync(home.at('state')));
  t.strictSame(await junitErrors(home.at('mcnet-report', 'junit.xml')), []);
  await judgeAgain(t, home, 1);
  endedWith(t, await home.run(['plan']), 1);
});

void t.test('colour only where it is wanted', { skip }, async (t) => {
  const home = new Home(t);
  const args = suites('addressing');
  const forced = await home.run(args, { FORCE_COLOR: '1' });
  t.match(forced.out, '\u001B[', 'the control: there is colour to leave out');
  const plain: Record<string, string>[] = [{ NO_COLOR: '1' }, { CI: 'true' }, { TERM: 'dumb' }];
  for (const environment of plain) {
    const { out, err } = await home.run(args, environment);
    t.notMatch(out + err, '\u001B');
  }
  t.match(readFileSync(home.at('mcnet-report', 'junit.xml'), 'utf8'), '<testsuites');
});
