/** Marks and colours of the console, with or without colour. */
import { styleText } from 'node:util';
import type { Status } from '../lib/model/verdict.ts';

export const MARKS: Readonly<Record<Status | 'remark', string>> = {
  passed: '√',
  failed: '×',
  inconclusive: '?',
  skipped: '–',
  remark: '‼',
};

const COLOURS = {
  passed: 'green',
  failed: 'red',
  inconclusive: 'yellow',
  skipped: 'gray',
  remark: 'yellow',
} as const;

type Format = Parameters<typeof styleText>[0];

export interface Style {
  /** Applies styles that `util.styleText` knows, when colour is wanted. */
  (format: Format, text: string): string;
}

/** Whether colour is wanted is decided where the terminal is known, not here. */
export const styleOf =
  (colour: boolean): Style =>
  (format, text) =>
    colour && text !== '' ? styleText(format, text, { validateStream: false }) : text;

export const mark = (style: Style, kind: Status | 'remark'): string => style(COLOURS[kind], MARKS[kind]);

export const inColourOf = (style: Style, kind: Status | 'remark', text: string): string =>
  style(['bold', COLOURS[kind]], text);
