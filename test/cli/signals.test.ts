import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const FIXTURE = fileURLToPath(import.meta.resolve('./fixtures/interruptible.ts'));

for (const name of ['SIGINT', 'SIGTERM'] as const) {
  void t.test(`${name}: the first cleans up, a repetition is none, the next one leaves`, async (t) => {
    const child = spawn(process.execPath, [FIXTURE], { stdio: ['ignore', 'pipe', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const line = async (): Promise<string> => String((await lines.next()).value);
    const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
    t.equal(await line(), 'ready');
    child.kill(name);
    t.equal(await line(), 'now 600');
    t.equal(await line(), `aborted by ${name}`);
    child.kill(name);
    t.equal(await line(), 'now 1200', '600 ms later: the same signal twice');
    child.kill(name);
    t.equal(await line(), 'now 1800');
    t.equal(await ended, 130);
    t.match(err, /cleaning up/);
    t.match(err, /something is left/);
  });
}

t.test('a connection that goes with its last streams ends no run, a defect does', async (t) => {
  const fixture = fileURLToPath(import.meta.resolve('./fixtures/stray.ts'));
  const child = spawn(process.execPath, [fixture], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  await new Promise((resolve) => child.on('close', resolve));
  t.equal(out, 'false false\ntrue true\n');
  t.match(err, /a mistake/);
  t.notMatch(err, /other side closed/);
});
