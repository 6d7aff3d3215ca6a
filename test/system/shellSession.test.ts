import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type CommandStream, openCommand } from '../../lib/system/commands.ts';
import { SHELL_SESSION, ShellSession } from '../../lib/system/shellSession.ts';

const LIMIT = { timeoutMs: 10_000 };

function sessionHere() {
  const streams: CommandStream[] = [];
  const session = new ShellSession(() => {
    const stream = openCommand(SHELL_SESSION);
    streams.push(stream);
    return stream;
  });
  t.teardown(() => streams.forEach((stream) => stream.destroy()));
  return { session, streams };
}

t.test('programs get their words and their input as they are, and what they print comes back', async (t) => {
  const { session, streams } = sessionHere();
  const words = ['two words', "it's", '$HOME', 'a\nb', ''];
  t.equal((await session.run(['printf', '%s|', ...words], LIMIT)).toString(), `${words.join('|')}|`);
  t.equal((await session.run(['cat'], { ...LIMIT, input: 'Grüße\n' })).toString(), 'Grüße\n');
  t.equal((await session.run(['cat'], LIMIT)).toString(), '', 'without input it is empty');
  const bytes = await session.run(['sh', '-c', 'head -c 300000 /dev/zero; printf "\\377"'], LIMIT);
  t.equal(bytes.length, 300_001);
  t.equal(bytes.at(-1), 255);
  t.equal(streams.length, 1);
});

t.test('many run side by side, each with its own answer', async (t) => {
  const { session } = sessionHere();
  const script = 'date +%s%N; sleep 1; date +%s%N; seq $1 20000';
  const answers = await Promise.all(
    [1, 2, 3].map(async (first) =>
      (await session.run(['sh', '-c', script, 'sh', String(first)], LIMIT)).toString().split('\n'),
    ),
  );
  const [begins, ends] = [0, 1].map((line) => answers.map((answer) => Number(answer[line])));
  t.ok(Math.max(...(begins as number[])) < Math.min(...(ends as number[])), 'not one after the other');
  t.strictSame(
    answers.map((answer) => answer[2]),
    ['1', '2', '3'],
  );
});

t.test('one that fails says so, one that hangs is left behind, and none spoils the next', async (t) => {
  const { session } = sessionHere();
  await t.rejects(session.run(['sh', '-c', 'echo said; echo why >&2; exit 3'], LIMIT), {
    name: 'CommandError',
    exitCode: 3,
    output: 'said\nwhy\n',
  });
  await t.rejects(session.run(['sleep', '1'], { timeoutMs: 100 }), { name: 'CommandError', timedOut: true });
  await t.rejects(
    session.run(['no-such-program'], { ...LIMIT, shown: ['docker', 'exec', 'x'] }),
    /`docker exec x` ended with 127/,
  );
  t.equal((await session.run(['echo', 'on'], LIMIT)).toString(), 'on\n');
});

t.test('a shell that goes takes its programs along, and another one takes its place', async (t) => {
  const { session, streams } = sessionHere();
  const hanging = t.rejects(session.run(['sleep', '5'], LIMIT));
  await sleep(100);
  streams[0]?.destroy(new Error('the container is gone'));
  await hanging;
  t.equal((await session.run(['echo', 'again'], LIMIT)).toString(), 'again\n');
  t.equal(streams.length, 2);
});
