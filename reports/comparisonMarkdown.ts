/** A comparison for a page: `comparison.md`. */
import { type Comparison, HOW_COMPARED, comparisonHeadline } from './comparison.ts';
import { type TextCell, textTable } from './comparisonTable.ts';
import { escaped } from './github.ts';
import { MARKS } from './style.ts';

const cells = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;

const shown = ({ text, tone }: TextCell): string =>
  tone === 'ahead' ? `**${escaped(text)}**` : escaped(text);

export function renderComparisonMarkdown(comparison: Comparison): string {
  const { columns, versions, remarks } = comparison;
  const table = textTable(comparison);
  const names = table.columns.map(escaped);
  const head = (first: string): string[] => [
    cells([first, ...names]),
    cells(['---', ...names.map(() => '---')]),
  ];
  const versionsOf = (all: Readonly<Record<string, string>>): string =>
    Object.entries(all)
      .map(([name, version]) => escaped(`${name} ${version}`))
      .join(', ');
  const lists: [string, string[]][] = [
    [
      'What each was not asked, or cannot do',
      columns.flatMap(({ name, cannot }) =>
        cannot.map(
          ({ reason, checks }) =>
            `- **${escaped(name)}** ${escaped(reason)}: ${checks.map((check) => `\`${escaped(check)}\``).join(', ')}`,
        ),
      ),
    ],
    [
      'Versions, as observed',
      [
        ...(Object.keys(versions).length > 0 ? [`- all: ${versionsOf(versions)}`] : []),
        ...columns
          .filter((column) => Object.keys(column.versions).length > 0)
          .map((column) => `- **${escaped(column.name)}** ${versionsOf(column.versions)}`),
      ],
    ],
    ['Notes', table.notes.map(([letter, text]) => `- **${letter}** ${escaped(text)}`)],
    ['How to read it', HOW_COMPARED.map((text) => `- ${escaped(text)}`)],
  ];
  const blocks = [
    ['# Comparison'],
    [escaped(comparisonHeadline(comparison))],
    remarks.map((remark) => `- ${MARKS.remark} ${escaped(remark)}`),
    ...table.sections.map(({ title, rows }) => [
      ...(title === undefined ? [] : [`## ${escaped(title)}`, '']),
      ...head(''),
      ...rows.map((row) => cells([escaped(row.name), ...row.cells.map(shown)])),
    ]),
    ...lists.map(([title, lines]) => (lines.length === 0 ? [] : [`## ${title}`, '', ...lines])),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}
