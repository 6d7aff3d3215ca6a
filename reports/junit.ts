/** JUnit XML as Jenkins, GitLab and GitHub's readers have it in common; `junit.xsd` beside this file is the shape. */
import exported, { type Builder, type TestCase, type TestSuite } from 'junit-report-builder';
import type { RunSubject } from '../lib/model/record.ts';
import type { CaseResult, RunResults } from '../lib/model/results.ts';
import {
  type RunFailure,
  bySuite,
  causeText,
  explain,
  headline,
  pageOf,
  remarks,
  runFailure,
  subjectLabel,
} from './digest.ts';
import { againText, formatFigure } from './format.ts';
import type { Reporter } from './reporter.ts';
import { clean, oneLine } from './text.ts';

/** Its types describe an ES module with a default export, but node loads CommonJS that exports the builder itself. */
const builder = exported as unknown as Builder;

/** Attributes are shown in lists: one line, not a page. */
const ATTRIBUTE_LIMIT = 1_000;
const attribute = (text: string): string => oneLine(text, ATTRIBUTE_LIMIT) || '(nothing said)';

/** The builder splits only the first end of a CDATA section; with a space between there is none to split. */
const characterData = (text: string): string => text.replaceAll(']]>', ']] >');

/** An XSD decimal knows no exponent. */
const seconds = (milliseconds: number): string =>
  (Number.isFinite(milliseconds) ? Math.max(0, milliseconds) / 1_000 : 0).toFixed(3);

export const junitReporter: Reporter = {
  format: 'junit',
  defaultFile: 'junit.xml',
  render(all) {
    const report = builder.newBuilder();
    report.name(attribute(all.map((results) => describe(results, all.length > 1)).join(' | ')));
    for (const [index, results] of all.entries()) {
      const label = subjectLabel(results.subject);
      const failure = runFailure(results);
      const suites = bySuite(results.cases);
      const addSuite = (name: string, milliseconds: number): TestSuite => {
        const suite = report.testSuite().name(name);
        // The summed time of the cases, which no builder method derives; the type wants a number and prints it as text.
        suite.time(seconds(milliseconds) as unknown as number);
        suite.timestamp(results.startedAt);
        describeRun(suite, results);
        // Readers keep suites of one name apart by their id (Jenkins) and package.
        withAttributes(suite, { id: `${index}.${name}`, package: label });
        return suite;
      };
      if (failure) addRunFailure(addSuite('run', results.durationMs), results.subject, failure);
      for (const { suite, checks } of suites) {
        const cases = checks.flatMap((check) => check.cases);
        const element = addSuite(
          suite,
          cases.reduce((sum, { durationMs }) => sum + durationMs, 0),
        );
        for (const result of cases) addCase(element.testCase(), results.subject, result);
      }
    }
    return report.build();
  },
};

const describe = (results: RunResults, several: boolean): string =>
  several ? `${subjectLabel(results.subject)}: ${headline(results)}` : headline(results);

const classname = (subject: RunSubject, suite: string): string => `mcnet.${subject.profile}.${suite}`;

function describeRun(suite: TestSuite, results: RunResults): void {
  const { subject, conformance } = results;
  const properties: Record<string, string> = {
    class: conformance.class,
    verdict: conformance.verdict,
    subject: subjectLabel(subject),
    clusters: subject.clusters.join(' '),
    ended: results.ended,
    teardown: results.teardown,
    tuning: subject.tuning,
    build: [subject.build.kind, subject.build.differs].filter(Boolean).join(': '),
    seed: subject.seed,
  };
  for (const [name, value] of Object.entries(subject.versions)) properties[`version.${name}`] = value;
  for (const [name, value] of Object.entries(properties)) suite.property(attribute(name), attribute(value));
  for (const entry of conformance.skippedCore) suite.property('skipped-core', attribute(entry));
  for (const remark of remarks(results)) suite.property('remark', attribute(remark));
}

function addRunFailure(suite: TestSuite, subject: RunSubject, failure: RunFailure): void {
  const text = `expected: ${failure.expected}\nseen: ${failure.seen}`;
  suite
    .testCase()
    .name(failure.id)
    .className(classname(subject, 'run'))
    .error(attribute(failure.seen), failure.id.slice(0, failure.id.indexOf('[')), characterData(text));
}

function addCase(element: TestCase, subject: RunSubject, result: CaseResult): void {
  const { verdict } = result;
  element.name(attribute(result.id)).className(attribute(classname(subject, result.suite)));
  element.time(seconds(result.durationMs) as unknown as number);
  for (const [name, value] of Object.entries(propertiesOf(result))) element.property(name, attribute(value));
  const message = attribute(verdict.reason);
  switch (verdict.status) {
    case 'passed':
      return;
    case 'skipped':
      element.skipped();
      withAttributes(element, { message }, 'skipped');
      return;
    case 'failed':
      element.failure(message, verdict.cause ?? 'failed').stacktrace(characterData(explanation(result)));
      return;
    case 'inconclusive':
      element.error(message, verdict.cause ?? 'inconclusive', characterData(explanation(result)));
  }
}

function propertiesOf(result: CaseResult): Record<string, string> {
  const { verdict } = result;
  const wrong = verdict.status === 'failed' || verdict.status === 'inconclusive';
  const properties: Record<string, string | undefined> = {
    title: result.title,
    level: result.level,
    verdict: verdict.status,
    reason: verdict.reason,
    cause: verdict.cause && causeText(verdict.cause),
    expected: verdict.expected,
    seen: verdict.seen,
    hint: wrong ? result.hint : undefined,
    reproduce: wrong ? (result.reproduceCommand ?? verdict.reproduce?.command) : undefined,
    see: wrong ? pageOf(result.check) : undefined,
    reference: result.reference,
    attempts: result.attempts === undefined ? undefined : againText(result.attempts),
    repeated: result.repeated && 'the worse of several results',
    kept: result.kept,
  };
  for (const [name, figure] of Object.entries(verdict.figures ?? {})) {
    properties[`figure.${attribute(name)}`] = formatFigure(figure);
  }
  return Object.fromEntries(
    Object.entries(properties).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

const explanation = (result: CaseResult): string =>
  [clean(result.title), ...explain(result).map(({ label, text }) => `${label}: ${text}`)].join('\n');

/** Attributes that the format has and the builder has no method for, set when it builds the element (or a child). */
function withAttributes(
  node: TestSuite | TestCase,
  attributes: Readonly<Record<string, string>>,
  child?: string,
): void {
  const build: TestCase['build'] = node.build.bind(node);
  node.build = (parent: Parameters<TestCase['build']>[0]) => {
    const element = build(parent);
    const target =
      child === undefined
        ? element
        : element.children.find((inner) => 'name' in inner && inner.name === child);
    for (const [name, value] of Object.entries(attributes)) (target as typeof element).att(name, value);
    return element;
  };
}
