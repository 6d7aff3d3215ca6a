/** A proof as JUnit XML: one test case for each gross fault that a case must notice, and one for each healthy case. */
import exported, { type Builder, type TestSuite } from 'junit-report-builder';
import { suiteOf } from '../lib/model/ids.ts';
import { type Proof, type ProveResults, describeFaults } from '../lib/model/prove.ts';
import { subjectLabel } from './digest.ts';
import { proveHeadline } from './prove.ts';
import { oneLine } from './text.ts';

/** Its types describe an ES module with a default export, but node loads CommonJS that exports the builder itself. */
const builder = exported as unknown as Builder;

const attribute = (text: string): string => oneLine(text, 1_000) || '(nothing said)';
const seconds = (milliseconds: number): number =>
  (Math.max(0, milliseconds) / 1_000).toFixed(3) as unknown as number;

export function renderProveJunit(results: ProveResults): string {
  const { run, proofs, falseAlarms, inconclusive } = results;
  const report = builder.newBuilder();
  report.name(attribute(proveHeadline(results)));
  const addSuite = (name: string, milliseconds: number): TestSuite =>
    report
      .testSuite()
      .name(name)
      .time(seconds(milliseconds))
      .timestamp(run.startedAt)
      .property('subject', attribute(subjectLabel(run.subject)));
  const classname = (suite: string): string => `mcnet.${run.subject.profile}.prove.${suite}`;

  const gross = proofs.filter((proof) => proof.gross);
  for (const [suite, own] of Map.groupBy(gross, ({ check }) => suiteOf(check))) {
    const element = addSuite(
      `prove.${suite}`,
      own.reduce((sum, { durationMs }) => sum + durationMs, 0),
    );
    for (const proof of own) addProof(element, proof, classname(suite));
  }
  const healthy = addSuite('prove.healthy', 0);
  for (const check of Object.keys(results.falseAlarmRates)) {
    const element = healthy.testCase().name(attribute(check)).className(classname('healthy'));
    const isOwn = (alarm: (typeof falseAlarms)[number]): boolean => alarm.case.startsWith(`${check}[`);
    const alarm = falseAlarms.find(isOwn);
    const unclear = inconclusive.find(isOwn);
    if (alarm) element.failure(attribute(`${alarm.case}: ${alarm.verdict.reason}`), 'false-alarm');
    else if (unclear)
      element.error(
        attribute(`${unclear.case}: ${unclear.verdict.reason}`),
        unclear.verdict.cause ?? 'inconclusive',
      );
  }
  if (run.ended !== 'completed')
    healthy
      .testCase()
      .name('the proof came to its end')
      .className(classname('run'))
      .error(attribute(run.error ?? run.ended), run.ended);
  return report.build();
}

function addProof(suite: TestSuite, proof: Proof, classname: string): void {
  const element = suite
    .testCase()
    .name(attribute(`${proof.case} under ${describeFaults(proof.faults)} (${proof.cause})`))
    .className(classname)
    .time(seconds(proof.durationMs))
    .property('outcome', proof.outcome)
    .property('expected', proof.cause)
    .property('reason', attribute(proof.reason));
  switch (proof.outcome) {
    case 'missed':
      element.failure(attribute(proof.reason), 'fault-missed');
      return;
    case 'not proved':
      element.error(attribute(proof.reason), 'not-proved');
      return;
    case 'not applicable':
      element.skipped();
  }
}
