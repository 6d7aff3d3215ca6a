/** Plain output of commands: data to standard output, what happens meanwhile to standard error. */
import { styleText } from 'node:util';
import { padEnd, widthOf } from '../../reports/text.ts';

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function sayJson(value: unknown): void {
  say(JSON.stringify(value, undefined, 2));
}

/** Honours NO_COLOR, FORCE_COLOR and whether anybody looks. */
export const heading = (text: string): string => styleText('bold', text, { stream: process.stdout });
export const faint = (text: string): string => styleText('dim', text, { stream: process.stdout });

/** Columns as wide as what stands in them, indented; the last one is ragged. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => widthOf(row[column] ?? ''))),
  );
  return rows
    .map((row) => `  ${row.map((cell, column) => padEnd(cell, widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
}
