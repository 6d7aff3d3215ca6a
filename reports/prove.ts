/** What came of a proof of the checks, for people: console and Markdown; and for programs: `prove.json`. */
import type { FaultKind } from '../lib/model/fault.ts';
import {
  type Proof,
  type ProofOutcome,
  type ProveResults,
  type Rate,
  describeFaults,
} from '../lib/model/prove.ts';
import { subjectLabel } from './digest.ts';
import { formatDuration } from './format.ts';
import { type Style, styleOf } from './style.ts';
import { counted, oneLine, padEnd, widthOf, wrap } from './text.ts';

/** Grows when something of the shape changes its meaning or goes; additions do not count. */
export const PROVE_VERSION = 1;

const OUTCOME_MARKS: Readonly<Record<ProofOutcome, string>> = {
  caught: '√',
  'caught otherwise': '~',
  missed: '×',
  'not applicable': '–',
  'not proved': '?',
};

const OUTCOME_COLOURS = {
  caught: 'green',
  'caught otherwise': 'yellow',
  missed: 'red',
  'not applicable': 'gray',
  'not proved': 'yellow',
} as const;

const OUTCOMES = Object.keys(OUTCOME_MARKS) as readonly ProofOutcome[];

export const renderProveJson = (results: ProveResults): string =>
  `${JSON.stringify({ v: PROVE_VERSION, headline: proveHeadline(results), ...summaryOf(results) }, undefined, 2)}\n`;

/** The cases of the run around the proof are the proof itself, which stands here whole. */
function summaryOf({ run, ...findings }: ProveResults): object {
  const {
    subject,
    run: id,
    startedAt,
    durationMs,
    ended,
    exitCode,
    phases,
    teardown,
    leftovers,
    error,
  } = run;
  return {
    run: { subject, run: id, startedAt, durationMs, ended, exitCode, phases, teardown, leftovers, error },
    ...findings,
  };
}

const grossOf = ({ proofs }: ProveResults): Proof[] => proofs.filter(({ gross }) => gross);

const percent = (share: number): string =>
  `${(share * 100).toLocaleString('en', { maximumSignificantDigits: 2 })} %`;

/** `0 of 42, below 6.9 % at 95 %`. */
export const rateText = ({ seen, tries, upperBound }: Rate): string =>
  `${seen} of ${tries}, below ${percent(upperBound)} at 95 %`;

/** The first line of every format. */
export function proveHeadline(results: ProveResults): string {
  const { run, falseAlarms, falseAlarmRate } = results;
  if (run.ended === 'set-up-failed') return `the set-up died: ${oneLine(run.error ?? 'unknown')}`;
  const gross = grossOf(results);
  const counts = OUTCOMES.flatMap((outcome) => {
    const count = gross.filter((proof) => proof.outcome === outcome).length;
    return count > 0 || outcome === 'missed' ? [`${count} ${outcome}`] : [];
  });
  const alarms = `${counted(falseAlarms.length, 'false alarm')} (${rateText(falseAlarmRate)})`;
  const unfinished = run.ended === 'completed' ? '' : `${run.ended}: `;
  return `${unfinished}${counted(gross.length, 'fault')}: ${counts.join(', ')}; ${alarms}`;
}

export interface ProvePage {
  readonly colour: boolean;
  /** Columns. */
  readonly width: number;
}

export function renderProveConsole(results: ProveResults, { colour, width }: ProvePage): string {
  const style = styleOf(colour);
  const status = results.run.exitCode === 0 ? 'caught' : results.run.exitCode === 3 ? 'not proved' : 'missed';
  const title = style(
    ['bold', OUTCOME_COLOURS[status]],
    `${OUTCOME_MARKS[status]} prove: ${proveHeadline(results)}`,
  );
  const blocks = [
    [title, style('dim', `${subjectLabel(results.run.subject)} · ${formatDuration(results.run.durationMs)}`)],
    matrix(results, style),
    ...sectionsOf(results).map(({ title: heading, lines }) => [
      style('bold', heading),
      ...lines.flatMap((line) => indent(line, Math.max(40, width - 1))),
    ]),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

const indent = (line: string, width: number): string[] =>
  wrap(line, width - 4).map((part, index) => `${index === 0 ? '  ' : '    '}${part}`);

/** Checks by kinds of fault, a mark for each expectation; the kinds are lettered, since their names are long. */
function matrix(results: ProveResults, style: Style): string[] {
  const gross = grossOf(results);
  if (gross.length === 0) return [];
  const kinds = kindsOf(gross);
  const checks = [...Map.groupBy(gross, ({ check }) => check)];
  const cells = checks.map(([, own]) => kinds.map((kind) => own.filter((proof) => proof.kind === kind)));
  const columns = kinds.map((_, index) => Math.max(...cells.map((row) => (row[index] ?? []).length), 1));
  const nameColumns = Math.max(...checks.map(([check]) => check.length));
  const padded = (text: string, index: number): string => padEnd(text, columns[index] ?? 1);
  return [
    ...legend(kinds, style),
    `${' '.repeat(nameColumns + 2)}${kinds.map((_, index) => padded(letterOf(index), index)).join(' ')}`,
    ...checks.map(([check], row) => {
      const marks = (cells[row] ?? []).map((proofs, index) => padded(marksOf(proofs, style), index));
      return `${padEnd(check, nameColumns)}  ${marks.join(' ')}`.trimEnd();
    }),
    style('dim', OUTCOMES.map((outcome) => `${OUTCOME_MARKS[outcome]} ${outcome}`).join('   ')),
  ];
}

const kindsOf = (proofs: readonly Proof[]): FaultKind[] => [...new Set(proofs.map(({ kind }) => kind))];
const letterOf = (index: number): string =>
  index < 26 ? String.fromCodePoint(65 + index) : String.fromCodePoint(97 + index - 26);
const marksOf = (proofs: readonly Proof[], style: Style): string =>
  proofs.map(({ outcome }) => style(OUTCOME_COLOURS[outcome], OUTCOME_MARKS[outcome])).join('');

function legend(kinds: readonly FaultKind[], style: Style): string[] {
  const entries = kinds.map((kind, index) => `${letterOf(index)} ${kind}`);
  const columns = Math.max(...entries.map(widthOf)) + 3;
  const lines: string[] = [];
  for (let from = 0; from < entries.length; from += 3) {
    const row = entries.slice(from, from + 3);
    lines.push(
      style(
        'dim',
        row
          .map((entry) => padEnd(entry, columns))
          .join('')
          .trimEnd(),
      ),
    );
  }
  return lines;
}

interface Section {
  readonly title: string;
  readonly lines: readonly string[];
}

/** Everything that is to be said of more than counts; empty sections are left out. */
function sectionsOf(results: ProveResults): Section[] {
  const { proofs, falseAlarms, inconclusive, limits, blastRadii, withoutFaults, run } = results;
  const gross = grossOf(results);
  const of = (outcome: ProofOutcome): string[] =>
    gross.filter((proof) => proof.outcome === outcome).map(proofLine);
  const alarmLine = ({ case: id, afterFault, verdict }: (typeof falseAlarms)[number]): string =>
    `${id}${afterFault === undefined ? '' : ` after ${afterFault} was mended`}: ${oneLine(verdict.reason)}${verdict.cause ? ` (${verdict.cause})` : ''}`;
  const limitLine = ({ check, kind, cause, caught, missed }: (typeof limits)[number]): string =>
    `${check}: ${kind} (${cause}) ${caught === undefined ? 'not even caught at its largest' : `caught at ${caught}`}${missed === undefined ? '' : `, missed at ${missed}`}`;
  const slow = proofs.filter((proof) => proof.recovered === false).map((proof) => proof.case);
  const sections: Section[] = [
    { title: 'Missed', lines: of('missed') },
    { title: 'Caught otherwise', lines: of('caught otherwise') },
    { title: 'False alarms', lines: falseAlarms.map(alarmLine) },
    { title: 'Not passed again after mending', lines: slow },
    { title: 'Not proved', lines: of('not proved') },
    { title: 'Healthy, yet inconclusive', lines: inconclusive.map(alarmLine) },
    { title: 'Not applicable', lines: notApplicable(gross) },
    // Of one size nothing can be said but caught or not, and that stands above.
    {
      title: 'Detection limits',
      lines: proofs.some(({ gross: largest }) => !largest) ? limits.map(limitLine) : [],
    },
    {
      title: 'Blast radius',
      lines: blastRadii.map(({ fault, noticedBy }) => {
        const names = noticedBy.map(({ case: id, status, cause }) => `${id} (${cause ?? status})`);
        return `${fault}: ${names.join(', ') || 'nobody else noticed'}`;
      }),
    },
    { title: 'Without faults', lines: withoutFaults.map(({ check, reason }) => `${check}: ${reason}`) },
    { title: 'Rates', lines: ratesOf(results) },
    { title: 'Left behind', lines: [...results.leftovers, ...run.leftovers] },
  ];
  return sections.filter(({ lines }) => lines.length > 0);
}

const proofLine = ({ case: id, faults, size, cause, reason }: Proof): string =>
  `${id} under ${describeFaults(faults)}${size === undefined ? '' : ` (${size})`}, expected ${cause}: ${oneLine(reason)}`;

function notApplicable(gross: readonly Proof[]): string[] {
  const none = gross.filter(({ outcome }) => outcome === 'not applicable');
  return [...Map.groupBy(none, ({ reason }) => reason)].map(
    ([reason, own]) => `${reason}: ${[...new Set(own.map(({ check }) => check))].join(', ')}`,
  );
}

function ratesOf({ missRate, falseAlarmRate, falseAlarmRates }: ProveResults): string[] {
  const own = Object.entries(falseAlarmRates).filter(([, { seen }]) => seen > 0);
  return [
    ...(missRate.tries > 0 ? [`missed: ${rateText(missRate)}`] : []),
    ...(falseAlarmRate.tries > 0 ? [`false alarms: ${rateText(falseAlarmRate)}`] : []),
    ...own.map(([check, rate]) => `false alarms of ${check}: ${rateText(rate)}`),
  ];
}

const escapeCell = (text: string): string => oneLine(text).replaceAll('\\', '\\\\').replaceAll('|', '\\|');

export function renderProveMarkdown(results: ProveResults): string {
  const rows = grossOf(results).map((proof) =>
    [
      `${OUTCOME_MARKS[proof.outcome]} ${proof.outcome}`,
      proof.case,
      `${describeFaults(proof.faults)}${proof.size === undefined ? '' : ` (${proof.size})`}`,
      proof.cause,
      proof.verdict?.cause ?? proof.verdict?.status ?? '',
    ]
      .map(escapeCell)
      .join(' | '),
  );
  const table = [
    '| outcome | case | fault | expected | said |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
  ];
  const sections = sectionsOf(results).map(({ title, lines }) =>
    [`## ${title}`, '', ...lines.map((line) => `- ${escapeCell(line)}`)].join('\n'),
  );
  return `${['# Proof of the checks', proveHeadline(results), subjectLabel(results.run.subject), table.join('\n'), ...sections].join('\n\n')}\n`;
}
