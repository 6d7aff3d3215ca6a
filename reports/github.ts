/** GitHub Actions: annotations on the run, and the job summary. */
import type { RunResults } from '../lib/model/results.ts';
import {
  type Explanation,
  bySuite,
  causeText,
  countsOf,
  countsText,
  explain,
  headline,
  problemsOf,
  remarks,
  runFailure,
  subjectLabel,
} from './digest.ts';
import { formatDuration } from './format.ts';
import { MARKS } from './style.ts';
import { counted, oneLine } from './text.ts';

/** GitHub shows this many errors of a step and drops the rest. */
const ANNOTATIONS = 10;
/** A summary may have 1 MiB; problems beyond these are in the other reports. */
const PROBLEMS = 20;

const escapeData = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const escapeProperty = (text: string): string =>
  escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');

const command = (level: 'error' | 'warning', title: string, message: string): string =>
  `::${level} title=${escapeProperty(oneLine(title))}::${escapeData(message)}`;

const plain = (explanation: readonly Explanation[]): string =>
  explanation.map(({ label, text }) => `${label}: ${text}`).join('\n');

/** Workflow commands, one line each: an error per kind of failure, a warning per kind of inconclusive case. */
export function annotations(results: RunResults): string[] {
  const failure = runFailure(results);
  const { roots } = problemsOf(results.cases);
  return [
    ...(failure
      ? [command('error', failure.id, `expected: ${failure.expected}\nseen: ${failure.seen}`)]
      : []),
    ...roots.map(({ status, cases }) => {
      const [first] = cases;
      const title = cases.length === 1 ? first.id : `${first.id} and ${cases.length - 1} like it`;
      return command(status === 'failed' ? 'error' : 'warning', title, plain(explain(first)));
    }),
  ].slice(0, ANNOTATIONS);
}

/** Text between tags of HTML inside Markdown: nothing of it is markup. */
export const escaped = (text: string): string =>
  oneLine(text).replace(/[&<>`|*_[\]\\~#@]/g, (character) => `&#${character.codePointAt(0)};`);

/** Markdown for the file that GITHUB_STEP_SUMMARY names. */
export function renderStepSummary(all: readonly RunResults[]): string {
  return `${all.flatMap((results) => summaryOf(results, all.length > 1)).join('\n')}\n`;
}

function summaryOf(results: RunResults, several: boolean): string[] {
  const failure = runFailure(results);
  const { roots, notStarted } = problemsOf(results.cases);
  return [
    `### ${escaped(headline(results))}`,
    '',
    ...(several ? [escaped(subjectLabel(results.subject)), ''] : []),
    `${escaped(countsText(countsOf(results.cases)))} in ${formatDuration(results.durationMs)}`,
    '',
    ...remarks(results).map((remark) => `- ${MARKS.remark} ${escaped(remark)}`),
    '',
    '| suite | passed | failed | inconclusive | skipped |',
    '|---|---:|---:|---:|---:|',
    ...bySuite(results.cases).map(({ suite, checks }) => {
      const counts = countsOf(checks.flatMap(({ cases }) => cases));
      return `| ${escaped(suite)} | ${[counts.passed, counts.failed, counts.inconclusive, counts.skipped].join(' | ')} |`;
    }),
    '',
    ...(failure
      ? details(failure.id, [
          { label: 'expected', text: failure.expected },
          { label: 'seen', text: failure.seen },
        ])
      : []),
    ...roots
      .slice(0, PROBLEMS)
      .flatMap(({ status, cases, of, dependants }) =>
        details(
          `${MARKS[status]} ${cases[0].id}${cases.length > 1 ? ` (${cases.length} of ${of})` : ''}`,
          explain(cases[0]),
          dependants.length > 0
            ? `${counted(dependants.length, 'case')} inconclusive because of it`
            : undefined,
        ),
      ),
    ...(roots.length > PROBLEMS ? [`… and ${roots.length - PROBLEMS} more kinds of failure`] : []),
    ...notStarted.map(
      ({ cause, cases }) => `- ${counted(cases.length, 'case')} inconclusive: ${escaped(causeText(cause))}`,
    ),
  ];
}

const details = (title: string, explanation: readonly Explanation[], note?: string): string[] => [
  `<details><summary><code>${escaped(title)}</code></summary>`,
  '',
  ...explanation.map(
    ({ label, text }) =>
      `- **${label}** ${label === 'reproduce' ? `<code>${escaped(text)}</code>` : escaped(text)}`,
  ),
  ...(note === undefined ? [] : [`- ${escaped(note)}`]),
  '',
  '</details>',
  '',
];
