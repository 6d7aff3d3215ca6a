import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t, { type Test } from 'tap';
import { randomHex } from '../../lib/system/clock.ts';
import { runCommand, startDetached } from '../../lib/system/commands.ts';
import { runtimeFolder } from '../../lib/system/files.ts';
import { RUN_MARK, isAlive, startTimeOf } from '../../lib/system/processes.ts';
import { type UndoAction, executeUndo, stillExists } from '../../lib/system/undo.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: network namespaces';

async function start(
  folder: string,
  script: string,
  run?: string,
): Promise<{ pid: number; startTime: string }> {
  const ready = path.join(folder, `ready-${randomHex(4)}`);
  const pid = await startDetached(['sh', '-c', script.replace('READY', `: > ${ready}`)], {
    logPath: path.join(folder, 'log'),
    ...(run && { environment: { [RUN_MARK]: run } }),
  });
  while (await isMissing(ready));
  return { pid, startTime: (await startTimeOf(pid)) as string };
}

const isMissing = (file: string): Promise<boolean> =>
  access(file).then(
    () => false,
    () => true,
  );

async function undoTwice(t: Test, action: UndoAction): Promise<void> {
  t.equal(await stillExists(action), true);
  await executeUndo(action);
  t.equal(await stillExists(action), false);
  await executeUndo(action);
}

t.test('a path goes with all that is in it', async (t) => {
  const folder = path.join(t.testdir(), 'run');
  await mkdir(folder);
  await writeFile(path.join(folder, 'key'), '');
  await undoTwice(t, { kind: 'remove-path', path: folder });
});

t.test('a process goes with its group, also one that ignores SIGTERM or is stopped', async (t) => {
  const scripts = ['READY; sleep 600 & sleep 600', "trap '' TERM; READY; while :; do sleep 1; done"];
  for (const script of scripts) {
    const process = await start(t.testdir(), script);
    await undoTwice(t, { kind: 'kill-process', ...process });
  }
  const stopped = await start(t.testdir(), 'READY; kill -STOP $$');
  await undoTwice(t, { kind: 'kill-process', ...stopped });
});

t.test('a process that only has the same id is left alone', async (t) => {
  const process = await start(t.testdir(), 'READY; sleep 600');
  await executeUndo({ kind: 'kill-process', pid: process.pid, startTime: '1' });
  t.equal(await isAlive(process.pid, process.startTime), true);
  await executeUndo({ kind: 'kill-process', ...process });
});

t.test('every process of a run goes, and those of another run stay', async (t) => {
  const [mine, other] = [randomHex(4), randomHex(4)];
  const folder = t.testdir();
  const processes = await Promise.all([
    start(folder, 'READY; sleep 600 & wait', mine),
    start(folder, 'READY; sleep 600', mine),
    start(folder, 'READY; sleep 600', other),
  ]);
  await undoTwice(t, { kind: 'kill-marked-processes', run: mine });
  const alive = await Promise.all(processes.map(({ pid, startTime }) => isAlive(pid, startTime)));
  t.same(alive, [false, false, true]);
  await executeUndo({ kind: 'kill-marked-processes', run: other });
});

t.test('a client that waits for a container is waited for, and nobody asks for another one', async (t) => {
  const folder = t.testdir({
    docker: t.fixture('symlink', '/bin/sh'),
    kind: t.fixture('symlink', '/bin/sh'),
    // Scripts under the names of subcommands, so that the processes look like those of the real programs.
    run: 'sleep 0.5; echo made >> containers',
    create: ': > asked; ./docker run; ./docker run',
  });
  const run = randomHex(3);
  await startDetached(['./kind', 'create'], {
    logPath: path.join(folder, 'log'),
    environment: { [RUN_MARK]: run },
    cwd: folder,
  });
  while (await isMissing(path.join(folder, 'asked')));
  await undoTwice(t, { kind: 'kill-marked-processes', run });
  t.equal(await readFile(path.join(folder, 'containers'), 'utf8'), 'made\n');
});

t.test('a command runs, and its failure is told', async (t) => {
  const file = path.join(t.testdir(), 'mended');
  await executeUndo({ kind: 'run', command: ['touch', file] });
  await access(file);
  await t.rejects(executeUndo({ kind: 'run', command: ['false'] }));
  t.equal(await stillExists({ kind: 'run', command: ['false'] }), false);
});

t.test('a network namespace goes, also while a process lives in it', { skip }, async (t) => {
  const name = `mcnet-test-${randomHex(4)}`;
  await runCommand(['ip', 'netns', 'add', name]);
  const process = await start(t.testdir(), `exec nsenter --net=/run/netns/${name} sh -c 'READY; sleep 600'`);
  await undoTwice(t, { kind: 'delete-netns', name });
  t.equal(await isAlive(process.pid, process.startTime), true);
  await executeUndo({ kind: 'kill-process', ...process });
});

t.test('an interface goes, and counts as gone with its namespace', { skip }, async (t) => {
  const netns = `mcnet-test-${randomHex(4)}`;
  await runCommand(['ip', 'netns', 'add', netns]);
  const action = { kind: 'delete-link', name: 'b0', netns } as const;
  await runCommand(['ip', '-n', netns, 'link', 'add', 'b0', 'type', 'bridge']);
  await undoTwice(t, action);
  await runCommand(['ip', '-n', netns, 'link', 'add', 'b0', 'type', 'bridge']);
  await executeUndo({ kind: 'delete-netns', name: netns });
  t.equal(await stillExists(action), false);
  await executeUndo(action);
});

t.test('objects of a cluster that is gone need no restoring; those of a cluster of others may', async (t) => {
  const restoring = (kubeconfig: string): UndoAction => ({
    kind: 'restore-objects',
    kubeconfig,
    context: 'east',
    fieldManager: 'test',
    apply: [],
    remove: [],
  });
  t.notOk(
    await stillExists(restoring(path.join(runtimeFolder(`gone${randomHex(2)}`), 'east', 'kubeconfig'))),
  );
  t.ok(await stillExists(restoring(path.join(t.testdir(), 'kubeconfig'))));
});
