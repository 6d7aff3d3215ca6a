import t from 'tap';
import { type ProofReport, unexcusedIn } from '../../ci/excuses.ts';
import type { CauseCode } from '../../lib/model/causes.ts';
import type { FalseAlarm, Proof } from '../../lib/model/prove.ts';
import { inconclusive } from '../../lib/model/verdict.ts';

const NAME = 'mtu.path[east->west]';
const proof = (change: Partial<Proof> = {}): Proof => ({
  case: NAME,
  check: 'mtu.path',
  kind: 'mtu-lowered',
  cause: 'mtu-masked',
  faults: [],
  gross: true,
  outcome: 'not proved',
  reason: 'Without the fault it is inconclusive (cpu-saturated)',
  durationMs: 0,
  ...change,
});
const without = (cause: CauseCode, afterFault?: string): FalseAlarm => ({
  case: NAME,
  verdict: inconclusive(cause, 'no verdict'),
  ...(afterFault !== undefined && { afterFault }),
});
const report = (change: Partial<ProofReport>): ProofReport => ({
  proofs: [],
  inconclusive: [],
  leftovers: [],
  ...change,
});

t.test('a machine without time is an excuse', async (t) => {
  t.strictSame(unexcusedIn(report({ proofs: [proof()], inconclusive: [without('cpu-saturated')] })), []);
  t.strictSame(unexcusedIn(report({ inconclusive: [without('spread-too-wide', 'mtu-lowered east')] })), []);
  t.strictSame(
    unexcusedIn(report({ proofs: [proof({ outcome: 'caught' }), proof({ outcome: 'not applicable' })] })),
    [],
  );
});

t.test('nothing else is', async (t) => {
  t.match(unexcusedIn(report({ inconclusive: [without('cpu-saturated'), without('probe-failed')] })), [
    /came to no verdict: probe-failed/,
  ]);
  t.match(unexcusedIn(report({ proofs: [proof({ reason: 'The fault did not take hold' })] })), [
    'mtu.path[east->west], mtu-lowered: The fault did not take hold',
  ]);
  t.equal(
    unexcusedIn(
      report({
        proofs: [proof({ reason: 'The fault did not take hold' })],
        inconclusive: [without('cpu-saturated')],
      }),
    ).length,
    1,
    'what came to no verdict once, and then passed, has no part in it',
  );
  t.equal(
    unexcusedIn(report({ proofs: [proof()], inconclusive: [without('cpu-saturated', 'another fault')] }))
      .length,
    1,
    'nor what came to none after some other fault',
  );
  t.strictSame(unexcusedIn(report({ leftovers: ['a table'] })), ['not taken back: a table']);
  t.strictSame(
    unexcusedIn(report({ proofs: [proof({ gross: false, reason: 'The fault did not take hold' })] })),
    [],
    'finer sizes are no part of the verdict',
  );
});
