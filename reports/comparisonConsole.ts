/** A comparison for the terminal. */
import { type Comparison, HOW_COMPARED, comparisonHeadline } from './comparison.ts';
import { type TextCell, type TextRow, type TextTable, type Tone, textTable } from './comparisonTable.ts';
import { type Style, inColourOf, mark, styleOf } from './style.ts';
import { padEnd, truncate, widthOf, wrap } from './text.ts';

export interface ComparisonPage {
  readonly colour: boolean;
  /** Columns. */
  readonly width: number;
}

/** A name that is longer is cut. */
const LONGEST_NAME = 42;
const GAP = 2;
/** Columns of the names of lists. */
const LABEL_COLUMNS = 14;

export function renderComparisonConsole(comparison: Comparison, { colour, width }: ComparisonPage): string {
  const style = styleOf(colour);
  const table = textTable(comparison);
  const room = Math.max(60, width);
  const blocks = [
    wrap(comparisonHeadline(comparison), room).map((line) => style('bold', line)),
    comparison.remarks.flatMap((remark) => hanging(`${mark(style, 'remark')} `, remark, room)),
    ...tableLines(table, style, room),
    ...cannotLines(comparison, style, room),
    ...versionLines(comparison, style, room),
    table.notes.flatMap(([letter, text]) => hanging(padEnd(letter, 3), text, room)),
    HOW_COMPARED.flatMap((text) => wrap(text, room)).map((line) => style('dim', line)),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

const hanging = (label: string, text: string, room: number): string[] =>
  wrap(text, Math.max(20, room - widthOf(label))).map(
    (line, index) => (index === 0 ? label : ' '.repeat(widthOf(label))) + line,
  );

/** As many columns beside each other as fit; the rest below, with the names again. */
function tableLines({ columns, sections }: TextTable, style: Style, room: number): string[][] {
  const rows = sections.flatMap((section) => section.rows);
  const names = Math.min(LONGEST_NAME, Math.max(...rows.map(({ short }) => widthOf(short))));
  const widths = columns.map((name, index) =>
    Math.max(widthOf(name), ...rows.map(({ cells }) => widthOf(cells[index]?.text ?? ''))),
  );
  const groups: number[][] = [[]];
  let taken = names;
  for (const [index, width] of widths.entries()) {
    if (taken + GAP + width > room && groups.at(-1)?.length) {
      groups.push([]);
      taken = names;
    }
    groups.at(-1)?.push(index);
    taken += GAP + width;
  }
  const gap = ' '.repeat(GAP);
  const line = (name: string, cells: readonly string[], group: readonly number[]): string =>
    [
      padEnd(truncate(name, names), names),
      ...group.map((index) => padEnd(cells[index] ?? '', widths[index] ?? 0)),
    ]
      .join(gap)
      .trimEnd();
  const rowLine = ({ short, cells }: TextRow, group: readonly number[]): string =>
    line(
      short,
      cells.map((cell) => coloured(cell, style)),
      group,
    );
  return groups.flatMap((group) => [
    [
      line(
        '',
        columns.map((name) => style('bold', name)),
        group,
      ),
    ],
    ...sections.map(({ title, rows: own }) => [
      ...(title === undefined ? [] : [style('bold', title)]),
      ...own.map((row) => rowLine(row, group)),
    ]),
  ]);
}

const COLOURS: Readonly<Partial<Record<Tone, Parameters<Style>[0]>>> = {
  ahead: ['bold', 'green'],
  absent: 'dim',
  failed: 'red',
  inconclusive: 'yellow',
  remark: 'yellow',
  passed: 'green',
};

const coloured = ({ text, tone }: TextCell, style: Style): string => {
  const format = COLOURS[tone];
  return format === undefined ? text : style(format, text);
};

function cannotLines({ columns }: Comparison, style: Style, room: number): string[][] {
  const all = columns.filter(({ cannot }) => cannot.length > 0);
  if (all.length === 0) return [];
  return [
    [
      style('bold', 'What each was not asked, or cannot do'),
      ...all.flatMap(({ name, cannot }) => [
        `  ${inColourOf(style, 'remark', name)}`,
        ...cannot.flatMap(({ reason, checks }) => hanging('    ', `${reason}: ${checks.join(', ')}`, room)),
      ]),
    ],
  ];
}

function versionLines({ versions, columns }: Comparison, style: Style, room: number): string[][] {
  const said = (all: Readonly<Record<string, string>>): string =>
    Object.entries(all)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ');
  const rows = [
    ...(Object.keys(versions).length > 0 ? [['all', said(versions)] as const] : []),
    ...columns
      .filter((column) => Object.keys(column.versions).length > 0)
      .map((column) => [column.name, said(column.versions)] as const),
  ];
  if (rows.length === 0) return [];
  const label = Math.max(LABEL_COLUMNS, ...rows.map(([name]) => widthOf(name) + 4));
  return [
    [
      style('bold', 'Versions, as observed'),
      ...rows.flatMap(([name, text]) => hanging(`  ${padEnd(name, label - 2)}`, text, room)),
    ],
  ];
}
