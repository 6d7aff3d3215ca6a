import t from 'tap';
import { runBriefly } from '../../lib/probe/agent/brief.ts';
import { killAllTools } from '../../lib/probe/agent/tools.ts';

const { signal } = new AbortController();
t.teardown(() => killAllTools());
const limit = { timeoutMs: 60_000, signal };

t.test('each gets its own words and exit code, however many run at once', async (t) => {
  const words = Array.from({ length: 50 }, (_, index) => `it's "${index}" $(id) \\ * ;`);
  const results = await Promise.all(words.map((word) => runBriefly(['printf', '%s', word], limit)));
  t.same(
    results,
    words.map((output) => ({ output, exitCode: 0 })),
  );
  t.same(await runBriefly(['sh', '-c', 'echo out; echo err >&2; exit 3'], limit), {
    output: 'out\nerr',
    exitCode: 3,
  });
  t.match(await runBriefly(['mcnet-no-such-program'], limit), { exitCode: 127 });
  await t.rejects(runBriefly(['echo', 'two\nlines'], limit), TypeError);
});

t.test('one that hangs is given up, and the next runs', async (t) => {
  t.equal(await runBriefly(['sleep', '600'], { timeoutMs: 50, signal }), 'killed');
  t.same(await runBriefly(['echo', 'here'], limit), { output: 'here', exitCode: 0 });
});

t.test('nobody waits when the caller does not', async (t) => {
  const caller = new AbortController();
  const running = runBriefly(['sleep', '600'], { timeoutMs: 60_000, signal: caller.signal });
  caller.abort(new Error('no longer wanted'));
  await t.rejects(running, { message: 'no longer wanted' });
  t.same(await runBriefly(['echo', 'still here'], limit), { output: 'still here', exitCode: 0 });
});
