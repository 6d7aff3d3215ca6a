import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t from 'tap';
import { Launcher } from '../../../lib/system/launcher/client.ts';
import { startTimeOf } from '../../../lib/system/processes.ts';

const MAIN = path.resolve(import.meta.dirname, '../../../lib/system/launcher/main.ts');
const newLauncher = (): Launcher => new Launcher([process.execPath, MAIN]);
const launcher = newLauncher();
const run = (command: [string, ...string[]], more: { input?: string; timeoutMs?: number } = {}) =>
  launcher.run({ command, input: '', timeoutMs: 60_000, ...more });

t.test('a command gets its input and gives back both streams and its exit code', async (t) => {
  const end = await run(['sh', '-c', 'cat; echo worse >&2; exit 3'], { input: 'better' });
  t.match(end, { stdout: 'better', stderr: 'worse\n', exitCode: 3, timedOut: false, notFound: false });
});

t.test('its environment is the own one and what is added', async (t) => {
  const { stdout } = await launcher.run({
    command: ['sh', '-c', 'echo "$ADDED ${PATH:+path}"; pwd'],
    input: '',
    timeoutMs: 60_000,
    environment: { ADDED: 'here' },
    cwd: '/',
  });
  t.equal(stdout, 'here path\n/\n');
});

t.test('commands run beside each other', async (t) => {
  const fifo = path.join(mkdtempSync(path.join(tmpdir(), 'mcnet-')), 'fifo');
  await run(['mkfifo', fifo]);
  const [read] = await Promise.all([run(['cat', fifo]), run(['sh', '-c', `echo met > ${fifo}`])]);
  t.equal(read.stdout, 'met\n');
});

t.test('what is not installed is told from what fails', async (t) => {
  t.match(await run(['mcnet-no-such-program']), { notFound: true, exitCode: undefined });
});

t.test('a command that does not end in time is killed', async (t) => {
  t.match(await run(['sleep', '600'], { timeoutMs: 50 }), { timedOut: true, exitCode: undefined });
});

t.test('an aborted command rejects with the reason', async (t) => {
  const controller = new AbortController();
  const running = launcher.run(
    { command: ['sleep', '600'], input: '', timeoutMs: 600_000 },
    controller.signal,
  );
  controller.abort(new Error('enough'));
  await t.rejects(running, { message: 'enough' });
});

t.test('a daemon writes to its log and outlives the launcher', async (t) => {
  const logPath = path.join(mkdtempSync(path.join(tmpdir(), 'mcnet-')), 'log');
  const own = newLauncher();
  const { stdout } = await own.run({ command: ['sh', '-c', 'echo $PPID'], input: '', timeoutMs: 60_000 });
  const started = await own.startDaemon({ command: ['sh', '-c', 'echo up; exec sleep 600'], logPath });
  const pid = 'pid' in started ? started.pid : 0;
  t.teardown(() => process.kill(pid, 'SIGKILL'));
  const waiting = own.run({ command: ['sleep', '600'], input: '', timeoutMs: 600_000 });
  process.kill(Number(stdout), 'SIGKILL');
  await t.rejects(waiting);
  while (readFileSync(logPath, 'utf8') !== 'up\n') await wait(20);
  t.type(await startTimeOf(pid), 'string');
  t.match(await own.startDaemon({ command: ['mcnet-no-such-program'], logPath }), { notFound: true });
});

t.test('who waits for a launcher that is lost is told, and the next command has a new one', async (t) => {
  const { stdout } = await run(['sh', '-c', 'echo $PPID']);
  const waiting = run(['sleep', '600']);
  process.kill(Number(stdout), 'SIGKILL');
  await t.rejects(waiting, { message: 'the launcher of commands ended (SIGKILL)' });
  t.match(await run(['true']), { exitCode: 0 });
});
