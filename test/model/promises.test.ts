import t from 'tap';
import { allEnded } from '../../lib/model/promises.ts';

t.test('rejects only when none goes on', async (t) => {
  let ended = false;
  const slow = new Promise<string>((resolve) => {
    setImmediate(() => {
      ended = true;
      resolve('slow');
    });
  });
  await t.rejects(allEnded([slow, Promise.reject(new Error('first')), Promise.reject(new Error('second'))]), {
    message: 'first',
  });
  t.ok(ended);
  t.strictSame(await allEnded([slow, 1]), ['slow', 1]);
});
