/** However a run is ended, nothing of it stays but its reports; what a killed one leaves, `clean` removes. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { runtimeFolder } from '../../lib/system/files.ts';
import { junitErrors } from './fixtures/junit.ts';
import {
  type Exited,
  FILE_LIMIT_MS,
  Home,
  type Running,
  endedWith,
  leftOf,
  namespacesOf,
  runIdOf,
  skip,
  suites,
  tallyOf,
  until,
} from './fixtures/home.ts';

t.setTimeout(FILE_LIMIT_MS);

const OUT = 'mcnet-report';
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type Ending = keyof typeof EXIT_CODES;

/** Waits for a moment in the life of a run. */
type Moment = (running: Running, home: Home) => Promise<unknown>;

const later =
  (milliseconds: number): Moment =>
  async (running) => {
    await runIdOf(running);
    await wait(milliseconds);
  };

const idIn = (err: string): string | undefined => /conformance run ([a-z][a-z0-9]{5})$/m.exec(err)?.[1];

/** A line of the progress. */
const said =
  (pattern: RegExp): Moment =>
  (running) =>
    until(running, `it said ${pattern}`, () => (pattern.test(running.said()) ? true : undefined));

const firstNamespace: Moment = async (running) => {
  const run = await runIdOf(running);
  await until(running, 'it made a namespace', () => (namespacesOf(run).length > 0 ? true : undefined));
};

/** When a case has injected a fault: then there is something to mend. */
const disturbed: Moment = (running, home) =>
  until(running, 'a fault', () =>
    existsSync(home.at(OUT, 'record.ndjson')) &&
    readFileSync(home.at(OUT, 'record.ndjson'), 'utf8').includes('"type":"fault"')
      ? true
      : undefined,
  );

/** When the client of a cluster is gone already, and gateways are not. */
const halfCleaned: Moment = async (running, home) => {
  const run = await runIdOf(running);
  await said(/√ reachability\.path/)(running, home);
  await until(running, 'it began to clean', () =>
    namespacesOf(run).some((name) => name.endsWith('-mcnet-client')) ? undefined : true,
  );
};

/** A PATH on which namespaces take their time to go, so that there is time for a signal. */
function slowCleaning(home: Home): Record<string, string> {
  const folder = home.at('slow');
  mkdirSync(folder);
  const script = `#!/bin/sh\ncase "$*" in "netns delete"*) sleep 2;; esac\nPATH="\${PATH#*:}" exec ip "$@"\n`;
  writeFileSync(path.join(folder, 'ip'), script, { mode: 0o755 });
  return { PATH: `${folder}:${process.env['PATH']}` };
}

const SELECTED = suites('reachability', 'encryption');

async function judgeEnd(t: Test, home: Home, name: Ending, ended: Exited): Promise<void> {
  const run = idIn(ended.err) as string;
  endedWith(t, ended, EXIT_CODES[name]);
  t.strictSame(await leftOf(run, home), [], 'nothing is left');
  t.notOk(existsSync(home.at(OUT, '.lock')));
  const last = home.record().at(-1);
  t.match(last, {
    type: 'run.end',
    run,
    ended: 'interrupted',
    exitCode: EXIT_CODES[name],
    teardown: 'clean',
  });
  t.strictSame(await junitErrors(home.at(OUT, 'junit.xml')), []);
  const results = home.results();
  t.match(results, { ended: 'interrupted', exitCode: EXIT_CODES[name] });
  t.ok(results.cases.length > 0 && results.cases.every(({ status }) => status !== 'failed'));
}

const MOMENTS: readonly (readonly [string, Ending, Moment])[] = [
  ['when a run has just begun', 'SIGTERM', runIdOf],
  ['0.1 s later', 'SIGINT', later(100)],
  ['when the first namespace is there', 'SIGTERM', firstNamespace],
  ['0.5 s later', 'SIGTERM', later(500)],
  ['1.5 s later', 'SIGINT', later(1_500)],
  ['when the gateways are joined', 'SIGTERM', said(/√ join/)],
  ['when services are set up', 'SIGINT', said(/√ services/)],
  ['in a suite', 'SIGTERM', said(/√ reachability\.tcp/)],
  ['while a case has something to mend', 'SIGINT', disturbed],
];

for (const [what, name, moment] of MOMENTS) {
  void t.test(`${name} ${what}`, { skip }, async (t) => {
    const home = new Home(t);
    const running = home.start(SELECTED);
    await moment(running, home);
    running.child.kill(name);
    await judgeEnd(t, home, name, await running.ended);
  });
}

void t.test('signals while everything is removed', { skip }, async (t) => {
  const home = new Home(t);
  const running = home.start(suites('reachability'), slowCleaning(home));
  await halfCleaned(running, home);
  running.child.kill('SIGTERM');
  running.child.kill('SIGINT');
  const ended = await running.ended;
  const name = /^SIGINT: cleaning/m.test(ended.err) ? 'SIGINT' : 'SIGTERM';
  await judgeEnd(t, home, name, ended);
  t.strictSame(tallyOf(home.results()).passed.length, 12, 'what was proved before stays proved');
});

void t.test(
  'a signal again after a second leaves at once, and clean removes the rest',
  { skip },
  async (t) => {
    const home = new Home(t);
    const running = home.start(SELECTED, slowCleaning(home));
    await said(/√ services/)(running, home);
    running.child.kill('SIGINT');
    await said(/SIGINT: cleaning up/)(running, home);
    await wait(1_100);
    running.child.kill('SIGINT');
    const { code, err } = await running.ended;
    const run = idIn(err) as string;
    t.equal(code, 130);
    t.match(err, `mcnet-conformance clean ${run}`);
    t.ok((await leftOf(run, home)).length > 0);
    const cleaned = await home.run(['clean', run]);
    endedWith(t, cleaned, 0);
    t.strictSame(await leftOf(run, home), []);
    endedWith(t, await home.run(suites('addressing')), 0);
  },
);

void t.test('a signal before anything is asked of the machine', { skip }, async (t) => {
  const home = new Home(t);
  const running = home.start(SELECTED);
  await until(running, 'it locked its folder', () => existsSync(home.at(OUT, '.lock')) || undefined);
  running.child.kill('SIGTERM');
  endedWith(t, await running.ended, 143);
  t.notOk(existsSync(home.at(OUT, '.lock')), 'the next run finds no lock');
  t.strictSame(home.runs(), []);
});

for (const [what, moment] of [
  ['in its set-up', said(/√ join/)],
  ['with a fault in force', disturbed],
] as const) {
  void t.test(`SIGKILL of a run ${what}, beside one that lives`, { skip }, async (t) => {
    const home = new Home(t);
    const victim = home.start(['--out', 'mcnet-report', ...SELECTED]);
    await moment(victim, home);
    victim.child.kill('SIGKILL');
    const killed = idIn((await victim.ended).err) as string;
    const made = await leftOf(killed, home);
    t.ok(made.length > 0);

    const survivor = home.start(['--out', 'other', ...suites('reachability', 'encryption')]);
    const living = await runIdOf(survivor);
    await said(/√ join/)(survivor, home);

    const looked = await home.run(['clean', '--dry-run']);
    endedWith(t, looked, 0);
    const named = [...looked.out.matchAll(/network namespace (\S+)/g)].map(([, name]) => name as string);
    t.strictSame(
      named.toSorted(),
      namespacesOf(killed).toSorted(),
      'every namespace of that run, and no other',
    );
    t.match(looked.out, runtimeFolder(killed));
    t.notMatch(looked.out, living);
    t.match(looked.err, `Run ${living} is alive`);
    t.strictSame(await leftOf(killed, home), made, 'only looked');

    const refused = await home.run(['clean', living]);
    endedWith(t, refused, 2);
    t.match(refused.err, `The run ${living} is still going on`);

    const cleaned = await home.run(['clean']);
    endedWith(t, cleaned, 0);
    t.match(cleaned.out, `Run ${killed}: removed`);
    t.strictSame(await leftOf(killed, home), []);
    t.strictSame(home.runs(), [living]);

    endedWith(t, await survivor.ended, 0);
    t.strictSame(tallyOf(home.results('other')).failed, {});
    t.strictSame(await leftOf(living, home), []);

    const judged = await home.run(['report', 'mcnet-report/record.ndjson']);
    t.not(judged.code, 0, 'a record without an end is no success');
  });
}
