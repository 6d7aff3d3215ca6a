import t from 'tap';
import type { Exchange } from '../../../lib/model/probe.ts';
import { READINESS, checkReadiness } from '../../../lib/provider/kubernetes/readiness.ts';
import type { Clock } from '../../../lib/system/clock.ts';

/** A clock whose sleeps end when they are told to. */
function steppedClock() {
  const sleepers: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    sleep: (_milliseconds, signal) =>
      new Promise((resolve, reject) => {
        sleepers.push(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
  /** Lets one look happen. */
  const step = async (): Promise<void> => {
    sleepers.shift()?.();
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { clock, step };
}

function checked(outcomes: Exchange['outcome'][]) {
  const { clock, step } = steppedClock();
  const changes: boolean[] = [];
  const asked: unknown[] = [];
  const stop = checkReadiness(
    {
      probe: {
        exchange: async (requests) => {
          asked.push(...requests);
          const outcome = outcomes.shift() ?? 'error';
          return [{ outcome } as Exchange];
        },
      },
      address: '10.0.0.9',
      port: 9_000,
      onChange: async (ready) => void changes.push(ready),
    },
    clock,
  );
  return { step, changes, asked, stop };
}

t.test('two failures in a row make a backend unready, one success makes it ready again', async (t) => {
  const { step, changes, asked, stop } = checked([
    'answered',
    'timed-out',
    'answered',
    'timed-out',
    'refused',
    'timed-out',
    'answered',
    'answered',
  ]);
  for (const wanted of [[], [], [], [], [false], [false], [false, true], [false, true]]) {
    await step();
    t.same(changes, wanted);
  }
  t.match(asked[0], { protocol: 'http', address: '10.0.0.9', port: 9_000, timeoutMs: READINESS.timeoutMs });
  await stop();
});

t.test('nothing changes once it is stopped, or its agent is gone', async (t) => {
  const { step, changes, asked, stop } = checked(['timed-out', 'timed-out', 'timed-out']);
  await step();
  await stop();
  await step();
  t.same(changes, []);
  t.equal(asked.length, 1);
  const { clock, step: next } = steppedClock();
  const gone = checkReadiness(
    {
      probe: { exchange: async () => Promise.reject(new Error('the session is gone')) },
      address: '10.0.0.9',
      port: 9_000,
      onChange: async () => void t.fail('nobody said anything'),
    },
    clock,
  );
  await next();
  await gone();
});
