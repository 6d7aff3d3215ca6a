import t from 'tap';
import type { CaseResult } from '../../lib/model/results.ts';
import { type Verdict, failed, inconclusive, passed, skipped } from '../../lib/model/verdict.ts';
import { conformanceOf, exitCodeOf, judgeAgain, judgeCase, mergeCases } from '../../lib/run/judge.ts';
import { registryOf } from '../../lib/run/registry.ts';
import { checkOf, plannedCase, suiteOf } from './support.ts';

const lost = failed('request-lost', 'lost', { expected: 'an answer', seen: 'silence' });
const unsure = inconclusive('probe-failed', 'the probe broke');

const result = (id: string, verdict: Verdict, changes: Partial<CaseResult> = {}): CaseResult => ({
  ...plannedCase({ id, check: id.split('[')[0] as string }),
  verdict,
  durationMs: 1,
  ...changes,
});

t.test('malformed observations never pass', (t) => {
  const lenient = checkOf('s.a', { judge: () => passed('always') });
  const planned = plannedCase({ id: 's.a[fleet]' });
  for (const observed of [null, undefined, 'text', 3]) {
    t.match(judgeCase(lenient, planned, observed).verdict, { status: 'inconclusive', cause: 'probe-failed' });
  }
  const throwing = checkOf('s.a', {
    judge: (seen: { deep: { value: number } }) => passed(String(seen.deep.value)),
  });
  const judgement = judgeCase(throwing, planned, {});
  t.match(judgement.verdict, { status: 'inconclusive', cause: 'probe-failed' });
  t.match(judgement.stack, /judge/);
  const counting = checkOf('s.a', {
    judge: (seen: { n: number }) => passed('counted', { n: { value: seen.n * 2, unit: '' } }),
  });
  t.equal(judgeCase(counting, planned, { n: 2 }).verdict.status, 'passed');
  t.equal(judgeCase(counting, planned, {}).verdict.status, 'inconclusive', 'a figure that is no number');
  t.end();
});

t.test('judging again: what cannot be judged keeps its verdict, marked', (t) => {
  const registry = registryOf([suiteOf('s', checkOf('s.a', { judgeVersion: 2 }))]);
  const planned = plannedCase({ id: 's.a[fleet]', check: 's.a', judgeVersion: 2 });
  const observation = { observed: { ok: true } };
  t.strictSame(judgeAgain({ planned, observation, verdict: lost }, registry), {
    verdict: passed('It is fine'),
  });
  t.match(judgeAgain({ planned: { ...planned, judgeVersion: 3 }, observation, verdict: lost }, registry), {
    verdict: lost,
    kept: /version 3/,
  });
  t.match(judgeAgain({ planned: { ...planned, check: 's.gone' }, observation, verdict: lost }, registry), {
    verdict: lost,
    kept: /s\.gone/,
  });
  t.strictSame(judgeAgain({ planned, verdict: unsure }, registry), { verdict: unsure });
  t.strictSame(judgeAgain({ planned: { ...planned, skip: 'no' } }, registry), { verdict: skipped('no') });
  t.equal(judgeAgain({ planned }, registry).verdict.cause, 'deadline-reached');
  t.equal(
    judgeAgain({ planned, verdict: passed('trust me') }, registry).verdict.status,
    'inconclusive',
    'a pass without observation',
  );
  t.end();
});

t.test('the same case twice keeps the worse verdict, marked', (t) => {
  const merged = mergeCases([
    [result('s.a[x]', passed('fine')), result('s.b[x]', lost), result('s.c[x]', skipped('not sampled'))],
    [
      result('s.a[x]', lost),
      result('s.b[x]', unsure),
      result('s.c[x]', passed('fine')),
      result('s.d[x]', passed('fine')),
    ],
  ]);
  t.match(merged, [
    { id: 's.a[x]', verdict: lost, repeated: true },
    { id: 's.b[x]', verdict: lost, repeated: true },
    { id: 's.c[x]', verdict: { status: 'passed' }, repeated: true },
    { id: 's.d[x]', verdict: { status: 'passed' } },
  ]);
  t.notOk(merged[3]?.repeated);
  t.end();
});

t.test('conformance', (t) => {
  const fine = result('s.a[x]', passed('fine'));
  const of = (cases: CaseResult[], unselected: string[] = []) => conformanceOf('underlay', cases, unselected);
  t.strictSame(of([fine]), { class: 'underlay', verdict: 'conformant', skippedCore: [] });
  t.strictSame(of([fine, result('s.b[x]', skipped('no dns')), result('s.b[y]', skipped('no dns'))]), {
    class: 'underlay',
    verdict: 'partial',
    skippedCore: ['s.b: no dns (2 cases)'],
  });
  t.equal(of([fine], ['s.b: not selected']).verdict, 'partial');
  t.equal(of([fine, result('s.b[x]', skipped('no'), { level: 'extended' })]).verdict, 'conformant');
  t.equal(
    of([fine, result('s.b[x]', skipped('not its class'), { outsideClass: true })]).verdict,
    'conformant',
  );
  t.equal(of([fine, result('s.b[x]', lost, { level: 'extended' })]).verdict, 'not conformant');
  t.equal(of([fine, result('s.b[x]', unsure)]).verdict, 'not conformant');
  t.equal(of([result('s.b[x]', skipped('no'))]).verdict, 'not conformant', 'nothing was shown');
  t.end();
});

t.test('exit codes: the first that applies', (t) => {
  const code = (changes: Partial<Parameters<typeof exitCodeOf>[0]>) =>
    exitCodeOf({ broken: false, statuses: ['passed'], teardownFailed: false, ...changes });
  t.equal(code({}), 0);
  t.equal(code({ interruptedBy: 'SIGINT', broken: true, statuses: ['failed'] }), 130);
  t.equal(code({ interruptedBy: 'SIGTERM' }), 143);
  t.equal(code({ broken: true, statuses: ['failed'] }), 2);
  t.equal(code({ statuses: ['skipped', 'skipped'] }), 2);
  t.equal(code({ statuses: [] }), 2);
  t.equal(code({ statuses: ['passed', 'failed', 'inconclusive'], teardownFailed: true }), 1);
  t.equal(code({ statuses: ['passed', 'inconclusive'] }), 3);
  t.equal(code({ statuses: ['passed', 'skipped'] }), 0);
  t.equal(code({ teardownFailed: true }), 2);
  t.end();
});
