import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t from 'tap';
import { DAEMON_MARK, runningDaemon } from '../../../lib/provider/kind/gateway.ts';
import { runCommand } from '../../../lib/system/commands.ts';

t.test('whether a daemon runs is read from its process', async (t) => {
  const proc = t.testdir({ 'some.pid': '7\n' });
  const ask = async () =>
    (await runCommand(['sh', '-c', runningDaemon(path.join(proc, 'some.pid'), 'some', proc)])).trim();
  const process = async (environment: string, state = 'S (sleeping)') => {
    await mkdir(path.join(proc, '7'), { recursive: true });
    await writeFile(path.join(proc, '7/status'), `Name:\tsome\nState:\t${state}\n`);
    await writeFile(path.join(proc, '7/environ'), environment);
  };
  const running = `PATH=/bin\0${DAEMON_MARK}=some\0`;
  t.equal(await ask(), '', 'nobody has this id');
  await process(running);
  t.equal(await ask(), '7');
  await process(`${DAEMON_MARK}=another\0`);
  t.equal(await ask(), '', 'another has it by now');
  await process('', 'Z (zombie)');
  t.equal(await ask(), '');
  await process('');
  const asked = ask();
  await setTimeout(200);
  await process(running);
  t.equal(await asked, '7', 'it was being executed');
  await writeFile(path.join(proc, 'some.pid'), '');
  t.equal(await ask(), '');
});
