/** A comparison as rows of text, which console and Markdown lay out. */
import { type Status, STATUSES } from '../lib/model/verdict.ts';
import { type Cell, type Column, type Comparison, type Row, isMeasured } from './comparison.ts';
import type { Counts } from './digest.ts';
import { formatDuration, formatFigure } from './format.ts';
import { MARKS } from './style.ts';
import { oneLine } from './text.ts';

/** How a cell is to be shown. */
export type Tone = Status | 'remark' | 'ahead' | 'absent' | 'plain';

export interface TextCell {
  readonly text: string;
  readonly tone: Tone;
}

export interface TextRow {
  readonly name: string;
  /** Without what stands in the row above. */
  readonly short: string;
  /** One for each column. */
  readonly cells: readonly TextCell[];
}

export interface TextSection {
  /** None for the first, which says what each column is. */
  readonly title?: string;
  readonly rows: readonly TextRow[];
}

export interface TextTable {
  /** Headings. */
  readonly columns: readonly string[];
  readonly sections: readonly TextSection[];
  /** What cells refer to, by letter. */
  readonly notes: readonly (readonly [letter: string, text: string])[];
}

const plain = (text: string): TextCell => ({ text, tone: 'plain' });

export function textTable(comparison: Comparison): TextTable {
  const { columns, groups } = comparison;
  const notes = new Notes();
  return {
    columns: columns.map(({ heading }) => heading),
    sections: [
      { rows: factRows(columns, notes) },
      { title: 'Cases by suite', rows: suiteRows(columns, notes) },
      { title: 'Checks that failed, or could not be judged', rows: wrongRows(comparison, notes) },
      ...groups.map(({ title, rows }) => ({
        title,
        rows: rows.map((row) => textRow(row, columns, notes)),
      })),
    ].filter(({ rows }) => rows.length > 0),
    notes: notes.all,
  };
}

/** Gives each text a letter, the same one whenever it comes again. */
class Notes {
  readonly #letters = new Map<string, string>();

  refer(text: string): string {
    const known = this.#letters.get(text);
    if (known !== undefined) return known;
    const index = this.#letters.size;
    const letter = `${index < 26 ? '' : String.fromCodePoint(96 + Math.floor(index / 26))}${String.fromCodePoint(97 + (index % 26))}`;
    this.#letters.set(text, letter);
    return letter;
  }

  get all(): [string, string][] {
    return [...this.#letters].map(([text, letter]) => [letter, text]);
  }
}

const TONES = { conformant: 'passed', partial: 'remark', 'not conformant': 'failed' } as const;

function factRows(columns: readonly Column[], notes: Notes): TextRow[] {
  const row = (name: string, cell: (column: Column) => TextCell): TextRow => ({
    name,
    short: name,
    cells: columns.map((column) =>
      column.class === undefined || column.verdict === undefined
        ? { text: `not measured ${notes.refer(column.failure ?? 'not run')}`, tone: 'absent' }
        : cell(column),
    ),
  });
  return [
    row('class', (column) => plain(column.class ?? '')),
    row('verdict', ({ verdict = 'not conformant', failure }) =>
      failure === undefined
        ? { text: `${MARKS[TONES[verdict]]} ${verdict}`, tone: TONES[verdict] }
        : { text: `${MARKS.failed} not measured ${notes.refer(failure)}`, tone: 'failed' },
    ),
    row('build', ({ build, failure }) => {
      if (!build) return { text: `not measured ${notes.refer(failure ?? 'not run')}`, tone: 'absent' };
      if (build.differs === undefined) return plain(build.kind);
      return plain(`${build.kind} ${notes.refer(`build: ${oneLine(build.differs)}`)}`);
    }),
    row('the whole run took', ({ durationMs }) => plain(formatDuration(durationMs))),
  ];
}

/** `√ 12  × 1  – 3`. */
export const countsCell = (counts: Counts): TextCell => {
  const said = STATUSES.toReversed().filter((status) => counts[status] > 0);
  const worst = STATUSES.find((status) => counts[status] > 0) ?? 'skipped';
  return {
    text: said.map((status) => `${MARKS[status]} ${counts[status]}`).join('  '),
    tone: worst === 'skipped' && counts.passed > 0 ? 'passed' : worst,
  };
};

function suiteRows(columns: readonly Column[], notes: Notes): TextRow[] {
  const suites = [...new Set(columns.flatMap((column) => Object.keys(column.suites)))];
  return suites.map((suite) => ({
    name: suite,
    short: suite,
    cells: columns.map((column): TextCell => {
      const counts = column.suites[suite];
      if (counts) return countsCell(counts);
      const reason = column.failure ?? whyNoSuite(column, suite);
      return { text: `not measured ${notes.refer(reason)}`, tone: 'absent' };
    }),
  }));
}

const whyNoSuite = ({ cannot }: Column, suite: string): string =>
  cannot.find(({ checks }) => checks.some((check) => check.startsWith(`${suite}.`)))?.reason ?? 'not planned';

const wrongRows = ({ wrong, columns }: Comparison, notes: Notes): TextRow[] =>
  wrong.map(({ check, verdicts }) => ({
    name: check,
    short: check,
    cells: columns.map(({ name }): TextCell => {
      const { status = 'absent', reason = '' } = verdicts[name] ?? {};
      if (status === 'passed') return { text: `${MARKS.passed} passed`, tone: 'passed' };
      return status === 'absent'
        ? { text: `not measured ${notes.refer(reason)}`, tone: 'absent' }
        : { text: `${MARKS[status]} ${status} ${notes.refer(reason)}`, tone: status };
    }),
  }));

function textRow(row: Row, columns: readonly Column[], notes: Notes): TextRow {
  return {
    name: row.name,
    short: row.name.includes(': ') ? `  ${row.name.slice(row.name.indexOf(': ') + 2)}` : row.name,
    cells: row.cells.map((cell, index): TextCell => {
      const name = columns[index]?.name ?? '';
      if (isMeasured(cell)) {
        const mark = cell.status === undefined ? '' : ` ${MARKS[cell.status]}`;
        return row.ahead.includes(name)
          ? { text: `${figureText(row, cell)} *${mark}`, tone: 'ahead' }
          : { text: `${figureText(row, cell)}${mark}`, tone: cell.status ?? 'plain' };
      }
      if (cell.none) return { text: 'has none', tone: 'absent' };
      const { reason, status } = cell;
      return status === 'failed' || status === 'inconclusive'
        ? { text: `${MARKS[status]} ${status} ${notes.refer(reason)}`, tone: status }
        : { text: `not measured ${notes.refer(reason)}`, tone: 'absent' };
    }),
  };
}

function textOf(value: number, unit: Row['unit']): string {
  // A ratio of one is told from one of 1.04.
  if (unit === '×') return `${value.toFixed(2)} ×`;
  return formatFigure({ value: unit === 'bytes' || unit === '%' ? Math.round(value) : value, unit });
}

/** `1.2 s`, `0.8–1.2 s` of two, `1.1 s (0.8–1.2)` of more. */
export function figureText({ unit }: Pick<Row, 'unit'>, cell: Extract<Cell, { value: number }>): string {
  const [value, low, high] = [cell.value, cell.low, cell.high].map((number) => textOf(number, unit)) as [
    string,
    string,
    string,
  ];
  if (cell.samples < 2 || low === high) return value;
  const unitOf = / \D.*$/.exec(high)?.[0] ?? '';
  const bare = unitOf !== '' && low.endsWith(unitOf) ? low.slice(0, -unitOf.length) : low;
  if (cell.samples === 2) return `${bare}–${high}`;
  return bare === low && unitOf !== ''
    ? `${value} (${low}–${high})`
    : `${value} (${bare}–${high.slice(0, high.length - unitOf.length)})`;
}
