import t from 'tap';
import { gathering } from '../../lib/probe/gather.ts';

/** Holds every call until it is let go. */
function desk() {
  const calls: { requests: readonly number[]; answer: () => void; fail: (error: Error) => void }[] = [];
  const ask = (requests: readonly number[]) =>
    new Promise<string[]>((resolve, reject) => {
      calls.push({ requests, answer: () => resolve(requests.map(String)), fail: reject });
    });
  return { calls, ask };
}
const LONG_MS = 60_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('whoever calls alone is not held up, and what comes meanwhile leaves as one', async (t) => {
  const { calls, ask } = desk();
  const call = gathering(ask, { holdMs: LONG_MS, most: 100 });
  const first = call([1, 2]);
  t.same(
    calls.map(({ requests }) => requests),
    [[1, 2]],
  );
  const second = call([3]);
  const third = call([4, 5]);
  t.equal(calls.length, 1);
  calls[0]?.answer();
  t.same(await first, ['1', '2']);
  await turn();
  t.same(calls[1]?.requests, [3, 4, 5]);
  calls[1]?.answer();
  t.same(await Promise.all([second, third]), [['3'], ['4', '5']]);
  const later = call([6]);
  t.same(calls[2]?.requests, [6], 'alone again');
  calls[2]?.answer();
  t.same(await later, ['6']);
});

t.test('nobody waits for long, and no message grows without bound', async (t) => {
  const { calls, ask } = desk();
  const call = gathering(ask, { holdMs: 1, most: 3 });
  const all = [call([0]), call([1, 2]), call([3, 4]), call([5, 6, 7, 8])];
  while (calls.length < 4) await turn();
  t.same(
    calls.map(({ requests }) => requests),
    [[0], [1, 2], [3, 4], [5, 6, 7, 8]],
    'while the first is still under way',
  );
  for (const { answer } of calls) answer();
  t.same(await Promise.all(all), [['0'], ['1', '2'], ['3', '4'], ['5', '6', '7', '8']]);
});

t.test('one that cannot be answered fails nobody else', async (t) => {
  const { calls, ask } = desk();
  const call = gathering(ask, { holdMs: LONG_MS, most: 100 });
  const first = call([1]);
  const both = Promise.allSettled([call([2]), call([3])]);
  calls[0]?.answer();
  await first;
  await turn();
  calls[1]?.fail(new Error('2 is no address'));
  await turn();
  t.same(
    calls.slice(2).map(({ requests }) => requests),
    [[2], [3]],
    'each is asked again alone',
  );
  calls[2]?.fail(new Error('2 is no address'));
  calls[3]?.answer();
  t.match(await both, [{ reason: { message: '2 is no address' } }, { value: ['3'] }]);
  const next = call([4]);
  calls[4]?.answer();
  t.same(await next, ['4']);
});
