/** Text from the systems under test, made safe to print and measured in columns of a terminal. */
import { stripVTControlCharacters } from 'node:util';

/** Controls but line feed and tab; what else XML 1.0 (section 2.2) forbids; what reverses text (Unicode Bidi). */
const UNPRINTABLE = /(?![\n\t])\p{Cc}|[\uFFFE\uFFFF\u202A-\u202E\u2066-\u2069]/gu;

/**
 * Longest text that a report takes from a system under test, in UTF-16 code units: a page of a terminal. What is
 * longer stands in the record.
 */
const TEXT_LIMIT = 4_000;

/** Without escape sequences, controls and lone surrogates; line feeds stay; bounded, and says what was cut. */
export function clean(text: string, limit = TEXT_LIMIT): string {
  // Cut first, with room for escapes, so that a huge text costs no more than a long one.
  const safe = stripVTControlCharacters(text.slice(0, limit * 4).replaceAll('\r\n', '\n'))
    .toWellFormed()
    .replace(UNPRINTABLE, '');
  if (safe.length <= limit && text.length <= limit * 4) return safe;
  const kept = safe.slice(0, limit).replace(/[\uD800-\uDBFF]$/, '');
  return `${kept}… (cut, ${text.length.toLocaleString('en')} characters in all)`;
}

/** Clean, and on one line. */
export const oneLine = (text: string, limit?: number): string =>
  clean(text, limit).replaceAll(/\s+/g, ' ').trim();

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const WIDE =
  /^[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|^\p{Emoji_Presentation}|^[\u{20000}-\u{3FFFD}]/u;
const ZERO_WIDTH = /^[\p{Mark}\u200B-\u200F\u2060\uFEFF]+$/u;

const columnsOf = (grapheme: string): number => (ZERO_WIDTH.test(grapheme) ? 0 : WIDE.test(grapheme) ? 2 : 1);

const isAscii = (text: string): boolean => /^[\x20-\x7E]*$/.test(text);

/** Columns that text takes in a terminal; escape sequences take none. */
export function widthOf(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (isAscii(plain)) return plain.length;
  let columns = 0;
  for (const { segment } of segmenter.segment(plain)) columns += columnsOf(segment);
  return columns;
}

/** Cut to a number of columns with an ellipsis; plain text only. */
export function truncate(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let kept = '';
  let taken = 0;
  for (const { segment } of segmenter.segment(text)) {
    taken += columnsOf(segment);
    if (taken > columns - 1) break;
    kept += segment;
  }
  return columns > 0 ? `${kept.trimEnd()}…` : '';
}

export const padEnd = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - widthOf(text)));
export const padStart = (text: string, columns: number): string =>
  ' '.repeat(Math.max(0, columns - widthOf(text))) + text;

/** Breaks between words; a word longer than a line (an id, a command's argument) stays whole. */
export function wrap(text: string, columns: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(/\s+/).filter((part) => part !== '')) {
      if (line !== '' && widthOf(line) + 1 + widthOf(word) > columns) {
        lines.push(line);
        line = word;
      } else {
        line = line === '' ? word : `${line} ${word}`;
      }
    }
    return line === '' ? lines : [...lines, line];
  });
}

/** `1 case`, `2 cases`. */
export const counted = (count: number, noun: string, plural = `${noun}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? noun : plural}`;
