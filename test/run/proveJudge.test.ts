import t from 'tap';
import type { CauseCode } from '../../lib/model/causes.ts';
import type { Aim, BatchObservation, ProofObservation, Sighting } from '../../lib/model/prove.ts';
import { upperBoundOfRate, upperBoundOfUnseen } from '../../lib/model/statistics.ts';
import { type Verdict, failed, inconclusive, passed } from '../../lib/model/verdict.ts';
import { findingsOf, verdictOfProof } from '../../lib/run/proveJudge.ts';

const CASE = 'net.tcp[east->west]';
const said = (verdict: Verdict): Sighting => ({ verdict, durationMs: 10 });
const PASSED = said(passed('fine'));
const failedWith = (cause: CauseCode): Sighting =>
  said(failed(cause, 'broken', { expected: 'fine', seen: 'broken' }));
const UNCLEAR = said(inconclusive('cpu-saturated', 'too busy'));

const aimOf = (changes: Partial<Aim> = {}): Aim => ({
  case: CASE,
  check: 'net.tcp',
  kind: 'wan-drop',
  cause: 'request-lost',
  faults: [{ kind: 'wan-drop', from: 'east', to: 'west' }],
  gross: true,
  ...changes,
});
const batchOf = (changes: Partial<BatchObservation> = {}, aim = aimOf()): BatchObservation => ({
  faults: aim.faults,
  aims: [aim],
  injection: { outcome: 'held' },
  during: { [CASE]: [failedWith('request-lost')] },
  after: { [CASE]: [PASSED] },
  ...changes,
});
const observationOf = (changes: Partial<ProofObservation> = {}): ProofObservation => ({
  cases: [{ id: CASE, check: 'net.tcp' }],
  withoutFaults: [],
  healthy: { [CASE]: [PASSED] },
  batches: [batchOf()],
  leftovers: [],
  ...changes,
});

const outcomeOf = (changes: Partial<ProofObservation>) =>
  findingsOf(observationOf(changes)).proofs.map(({ outcome }) => outcome);

t.test('what a case says under a fault', async (t) => {
  const under = (sighting: Sighting) => outcomeOf({ batches: [batchOf({ during: { [CASE]: [sighting] } })] });
  t.same(under(failedWith('request-lost')), ['caught']);
  t.same(under(failedWith('reply-lost')), ['caught otherwise']);
  t.same(under(PASSED), ['missed']);
  t.same(under(UNCLEAR), ['missed']);
  t.same(
    outcomeOf({ batches: [batchOf({ during: { [CASE]: [UNCLEAR, failedWith('request-lost')] } })] }),
    ['caught'],
    'the last attempt counts',
  );
});

t.test('what proves nothing is neither caught nor missed', async (t) => {
  const injected = (injection: BatchObservation['injection']) =>
    outcomeOf({ batches: [batchOf({ injection, during: {}, after: {} })] });
  t.same(injected({ outcome: 'not applicable', reason: 'no injector' }), ['not applicable']);
  t.same(injected({ outcome: 'did not hold' }), ['not proved']);
  t.same(injected({ outcome: 'failed', reason: 'nft is broken' }), ['not proved']);
  t.same(outcomeOf({ healthy: { [CASE]: [failedWith('request-lost')] } }), ['not proved']);
  t.same(outcomeOf({ healthy: {} }), ['not proved']);
});

t.test('false alarms are counted on the healthy system, and what does not recover is one', async (t) => {
  const alarmed = findingsOf(
    observationOf({ healthy: { [CASE]: [failedWith('reply-lost'), PASSED, UNCLEAR, PASSED] } }),
  );
  t.same(alarmed.falseAlarms, [{ case: CASE, verdict: failedWith('reply-lost').verdict }]);
  t.match(alarmed.falseAlarmRate, { seen: 1, tries: 3 });
  t.equal(alarmed.inconclusive.length, 1);
  t.equal(verdictOfProof(alarmed).cause, 'false-alarm');

  const recovering = findingsOf(
    observationOf({ batches: [batchOf({ after: { [CASE]: [failedWith('request-lost'), PASSED] } })] }),
  );
  t.match(recovering.proofs, [{ recovered: true, attemptsToRecover: 2 }]);
  t.same(recovering.falseAlarms, []);

  const broken = findingsOf(
    observationOf({ batches: [batchOf({ after: { [CASE]: [failedWith('request-lost')] } })] }),
  );
  t.match(broken.falseAlarms, [{ case: CASE, afterFault: 'wan-drop east->west' }]);
  t.match(broken.proofs, [{ recovered: false }]);
});

t.test('the verdict of a proof', async (t) => {
  const verdict = (changes: Partial<ProofObservation>) => verdictOfProof(findingsOf(observationOf(changes)));
  t.equal(verdict({}).status, 'passed');
  t.match(verdict({ batches: [batchOf({ during: { [CASE]: [PASSED] } })] }), {
    status: 'failed',
    cause: 'fault-missed',
    seen: /net\.tcp\[east->west\] misses wan-drop east->west/,
  });
  const fine = aimOf({ size: '1 byte', gross: false });
  t.equal(
    verdict({ batches: [batchOf(), batchOf({ during: { [CASE]: [PASSED] } }, fine)] }).status,
    'passed',
    'a fine fault that is missed is a limit, no failure',
  );
  t.equal(verdict({ batches: [batchOf({ injection: { outcome: 'did not hold' } })] }).status, 'inconclusive');
  t.equal(verdict({ leftovers: ['a rule'] }).status, 'inconclusive');
  t.equal(
    verdict({ batches: [batchOf({ injection: { outcome: 'not applicable', reason: 'none' } })] }).status,
    'skipped',
    'nothing was executed',
  );
});

t.test('a detection limit is the finest size up to which everything was caught', async (t) => {
  const grade = (size: string, caught: boolean, gross = false) =>
    batchOf({ during: { [CASE]: [caught ? failedWith('request-lost') : PASSED] } }, aimOf({ size, gross }));
  const limits = (...batches: BatchObservation[]) => findingsOf(observationOf({ batches })).limits;
  t.match(limits(grade('5 %', true, true), grade('1 %', true), grade('0.5 %', false)), [
    { caught: '1 %', missed: '0.5 %' },
  ]);
  const [nothing] = limits(grade('5 %', false, true), grade('1 %', true));
  t.equal(nothing?.caught, undefined);
  t.equal(nothing?.missed, '5 %');
});

t.test('the blast radius names who else noticed, and only who passes without the fault', async (t) => {
  const other = 'net.dns[east]';
  const sick = 'net.sick[east]';
  const { blastRadii } = findingsOf(
    observationOf({
      healthy: { [CASE]: [PASSED], [other]: [PASSED], [sick]: [UNCLEAR] },
      batches: [
        batchOf({
          during: {
            [CASE]: [failedWith('request-lost')],
            [other]: [failedWith('dns-timeout')],
            [sick]: [failedWith('dns-timeout')],
          },
        }),
      ],
    }),
  );
  t.same(blastRadii, [
    {
      fault: 'wan-drop east->west',
      noticedBy: [{ case: other, status: 'failed', cause: 'dns-timeout' }],
    },
  ]);
});

t.test('upper bounds of rates', async (t) => {
  t.equal(upperBoundOfRate(0, 300), upperBoundOfUnseen(300));
  // Tables of Clopper and Pearson: 1 of 20 is 21.6 %, 5 of 100 is 10.2 %, both one-sided at 95 %.
  t.equal(upperBoundOfRate(1, 20).toFixed(3), '0.216');
  t.equal(upperBoundOfRate(5, 100).toFixed(3), '0.102');
  t.equal(upperBoundOfRate(3, 3), 1);
  t.equal(upperBoundOfRate(0, 0), 1);
});
