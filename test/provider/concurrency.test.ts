import t from 'tap';
import { limiter, shared } from '../../lib/provider/concurrency.ts';

t.test('no more than the width run at once, and all run', async (t) => {
  const limit = limiter(2);
  let running = 0;
  let most = 0;
  const results = await Promise.all(
    [1, 2, 3, 4, 5].map((value) =>
      limit(async () => {
        most = Math.max(most, ++running);
        await new Promise(setImmediate);
        running--;
        return value;
      }),
    ),
  );
  t.same(results, [1, 2, 3, 4, 5]);
  t.equal(most, 2);
});

t.test('a failure frees its place', async (t) => {
  const limit = limiter(1);
  await t.rejects(limit(() => Promise.reject(new Error('no'))));
  t.equal(await limit(async () => 'yes'), 'yes');
});

t.test('callers at the same time share a run that sees all they changed', async (t) => {
  let value = 0;
  const seen: number[] = [];
  const follow = shared(async () => {
    seen.push(value);
    await new Promise(setImmediate);
  });
  const change = (to: number): Promise<void> => {
    value = to;
    return follow();
  };
  const first = [change(1), change(2)];
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  await new Promise<void>((resolve) => queueMicrotask(resolve));
  await Promise.all([...first, change(3), change(4)]);
  t.equal(seen.at(-1), 4);
  t.ok(seen.length < 4, `${seen.length} runs for 4 changes`);
});

t.test('a failed run is reported to its callers, and the next one runs', async (t) => {
  let fail = true;
  const follow = shared(async () => {
    if (fail) throw new Error('no');
  });
  await t.rejects(follow(), { message: 'no' });
  fail = false;
  await follow();
});
