import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import type { Resource, UndoAction } from '../../lib/model/cluster.ts';
import { UserError } from '../../lib/model/errors.ts';
import { openOutput, thisProcess } from '../../lib/run/output.ts';
import {
  EXPIRY_MS,
  StateFile,
  attachedSpecOf,
  cleanDeadRuns,
  cleanRun,
  listRuns,
  loadRun,
} from '../../lib/run/state.ts';
import { type Undoer, undoAll } from '../../lib/run/undoAll.ts';
import { startTimeOf } from '../../lib/system/processes.ts';
import { fastClock, specOf, temporaryFolder } from './support.ts';

const namespace = (name: string): Resource => ({ description: name, undo: { kind: 'delete-netns', name } });
const command = (name: string): Resource => ({ description: name, undo: { kind: 'run', command: [name] } });
const dead = { pid: 1, startTime: 'long ago' };

class FakeUndoer implements Undoer {
  readonly undone: string[] = [];
  readonly gone = new Set<string>();
  readonly stuck = new Set<string>();
  executeUndo(action: UndoAction): Promise<void> {
    const name = action.kind === 'run' ? action.command[0] : (action as { name: string }).name;
    if (this.stuck.has(name)) return Promise.reject(new Error('device busy'));
    this.undone.push(name);
    this.gone.add(name);
    return Promise.resolve();
  }
  stillExists(action: UndoAction): Promise<boolean> {
    return Promise.resolve(!this.gone.has((action as { name: string }).name));
  }
}

const create = (folder: string, run: string, owner = dead, now = Date.now()) =>
  StateFile.create(folder, { run, owner, spec: attachedSpecOf(specOf()), now });

t.test(
  'what is added is on disk when it resolves, and hundreds at once cost a handful of writes',
  async (t) => {
    const folder = await temporaryFolder();
    const state = await create(folder, 'abc123');
    const file = path.join(folder, 'runs', 'abc123.json');
    t.equal((await stat(file)).mode & 0o777, 0o600);
    const names = Array.from({ length: 300 }, (_, index) => `ns-${index}`);
    await state.add(namespace('first'));
    t.match(await readFile(file, 'utf8'), /"first"/);
    const inodes = new Set<number>();
    await Promise.all(
      names.map(async (name) => {
        await state.add(namespace(name));
        inodes.add((await stat(file)).ino);
      }),
    );
    t.ok(inodes.size <= 5, `${inodes.size} writes`);
    const stored = await loadRun(folder, 'abc123');
    t.strictSame(
      stored.resources.map(({ description }) => description),
      ['first', ...names],
    );
    state.close();
    await t.rejects(state.add(namespace('late')));
  },
);

t.test(
  'undo goes in reverse, neighbours of a kind together, commands one by one; a failure stops nothing',
  async (t) => {
    const undoer = new FakeUndoer();
    undoer.stuck.add('b');
    undoer.gone.add('d');
    const resources = ['a', 'b', 'c', 'd'].map(namespace);
    const undone = await undoAll([command('x'), command('y'), ...resources, command('z')], { undoer });
    t.strictSame(undoer.undone, ['z', 'c', 'a', 'y', 'x']);
    t.strictSame(
      undone.map(({ resource, outcome }) => `${resource.description} ${outcome}`),
      ['z removed', 'd was gone', 'c removed', 'b failed', 'a removed', 'y removed', 'x removed'],
    );
  },
);

t.test('what was made one way is attached to in that way', async (t) => {
  t.equal(attachedSpecOf({ ...specOf(), istioTopology: 'primary-remote' }).istioTopology, 'primary-remote');
});

t.test('what is not undone in time has failed', async (t) => {
  const hanging: Undoer = {
    stillExists: () => Promise.resolve(true),
    executeUndo: () => new Promise(() => undefined),
  };
  const controller = new AbortController();
  const undoing = undoAll([namespace('a'), command('b')], { undoer: hanging, signal: controller.signal });
  controller.abort(new Error('too late'));
  t.match(await undoing, [
    { outcome: 'failed', error: 'too late' },
    { outcome: 'failed', error: 'too late' },
  ]);
});

t.test('clean: dead and expired runs go, kept ones only by name, living ones never', async (t) => {
  const folder = await temporaryFolder();
  const undoer = new FakeUndoer();
  const make = async (run: string, changes: { owner?: typeof dead; kept?: boolean; now?: number }) => {
    const state = await create(folder, run, changes.owner, changes.now);
    await state.add(namespace(`ns-${run}`));
    if (changes.kept) await state.update({ kept: true });
  };
  await make('dead01', {});
  await make('kept01', { kept: true });
  await make('old001', { kept: true, now: Date.now() - EXPIRY_MS - 1 });
  await make('alive1', { owner: await thisProcess() });
  t.match(
    (await listRuns(folder, fastClock)).map(({ state, living, expired }) => [state.run, living, expired]),
    [
      ['alive1', true, false],
      ['dead01', false, false],
      ['kept01', false, false],
      ['old001', false, true],
    ],
  );
  const dry = await cleanDeadRuns(folder, fastClock, { dryRun: true, undoer });
  t.match(dry, [{ run: 'dead01', resources: [{ outcome: 'would be removed' }] }, { run: 'old001' }]);
  t.strictSame(undoer.undone, []);
  const cleaned = await cleanDeadRuns(folder, fastClock, { dryRun: false, undoer });
  t.match(cleaned, [
    { run: 'dead01', clean: true },
    { run: 'old001', clean: true },
  ]);
  t.strictSame(undoer.undone, ['ns-dead01', 'ns-old001']);
  await t.rejects(cleanRun(folder, 'alive1', { dryRun: false, undoer }), UserError);
  await t.rejects(cleanRun(folder, 'nobody', { dryRun: false, undoer }), UserError);
  await t.rejects(cleanRun(folder, '../../x', { dryRun: false, undoer }), UserError);
  undoer.stuck.add('ns-kept01');
  t.match(await cleanRun(folder, 'kept01', { dryRun: false, undoer }), { clean: false });
  t.equal((await loadRun(folder, 'kept01')).resources.length, 1, 'what is left stays noted');
  undoer.stuck.clear();
  t.match(await cleanRun(folder, 'kept01', { dryRun: false, undoer }), { clean: true });
  t.strictSame(
    (await listRuns(folder, fastClock)).map(({ state }) => state.run),
    ['alive1'],
  );
});

t.test('a state file that cannot be read is the user to be told', async (t) => {
  const folder = await temporaryFolder();
  await mkdir(path.join(folder, 'runs'), { recursive: true });
  await writeFile(path.join(folder, 'runs', 'broken.json'), '{"v":');
  await t.rejects(loadRun(folder, 'broken'), UserError);
  await writeFile(path.join(folder, 'runs', 'future.json'), '{"v":99}');
  await t.rejects(loadRun(folder, 'future'), UserError);
});

t.test(
  'the output folder: earlier results move, other files stay, a second live run is refused',
  async (t) => {
    const out = path.join(await temporaryFolder(), 'report');
    const first = await openOutput(out);
    await writeFile(path.join(out, 'record.ndjson'), 'one');
    await writeFile(path.join(out, 'notes.txt'), 'mine');
    await t.rejects(openOutput(out), { name: 'UserError' });
    await first.release();
    const second = await openOutput(out);
    t.equal(await readFile(path.join(out, 'previous', 'record.ndjson'), 'utf8'), 'one');
    t.equal(await readFile(path.join(out, 'notes.txt'), 'utf8'), 'mine');
    await second.release();
    const third = await openOutput(out);
    t.equal(
      await readFile(path.join(out, 'previous', 'record.ndjson'), 'utf8'),
      'one',
      'no results: nothing moves',
    );
    await third.release();
  },
);

t.test('the lock of a dead owner, or a garbled one, is taken over', async (t) => {
  const out = await temporaryFolder();
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  const startTime = await startTimeOf(child.pid!);
  await once(child, 'exit');
  await writeFile(path.join(out, '.lock'), JSON.stringify({ pid: child.pid, startTime }));
  const fromDead = await openOutput(out);
  await t.rejects(openOutput(out), { name: 'UserError' }, 'it is held now');
  await fromDead.release();
  await writeFile(path.join(out, '.lock'), 'garbled');
  const fromGarbled = await openOutput(out);
  await t.rejects(openOutput(out), { name: 'UserError' }, 'it is held now');
  await fromGarbled.release();
});

t.test('a folder that cannot be written is a user error', async (t) => {
  const file = path.join(await temporaryFolder(), 'file');
  await writeFile(file, '');
  await t.rejects(openOutput(path.join(file, 'report')), { name: 'UserError' });
});
