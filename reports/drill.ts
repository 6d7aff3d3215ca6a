/** What a drill showed, for a terminal: a time line per client. */
import type { ClientSummary, DrillClient, DrillObservation, DrillResults } from '../lib/model/drill.ts';
import { describeFault } from '../lib/model/prove.ts';
import { formatDuration } from './format.ts';
import { type Style, inColourOf, mark, styleOf } from './style.ts';
import { oneLine, padEnd, padStart, widthOf } from './text.ts';

export interface DrillPage {
  readonly colour: boolean;
  /** Columns. */
  readonly width: number;
}

const FAILING = '×';
const SOME_FAILING = '~';
const SEVERAL = '*';
const NOTHING = ' ';
const NAMES = 'n';
const NARROWEST_LINE = 30;
const WIDEST_LINE = 80;
const FIGURE_COLUMNS = 44;

/** One character for each cluster: its initial where no other has it, else a digit. */
export function lettersOf(clusters: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set<string>();
  return new Map(
    clusters.map((cluster, index) => {
      const initial = (cluster[0] ?? '').toUpperCase();
      const letter = taken.has(initial) ? String.fromCodePoint(97 + (index % 26)) : initial;
      taken.add(letter);
      return [cluster, letter];
    }),
  );
}

/** A character per slice: who answered, or that requests failed. */
export function timeLine(
  { samples, kind }: Pick<DrillClient, 'samples' | 'kind'>,
  endedAt: number,
  columns: number,
  letters: ReadonlyMap<string, string>,
): string {
  const slices = Map.groupBy(samples, ({ at }) =>
    Math.min(columns - 1, Math.floor((at / endedAt) * columns)),
  );
  return Array.from({ length: columns }, (_, index) => {
    const own = slices.get(index) ?? [];
    const good = own.filter(({ ok }) => ok);
    if (own.length === 0) return NOTHING;
    if (good.length === 0) return FAILING;
    if (good.length < own.length) return SOME_FAILING;
    if (kind === 'names') return NAMES;
    const answerers = new Set(good.map(({ cluster }) => cluster ?? ''));
    return answerers.size > 1 ? SEVERAL : (letters.get([...answerers][0] ?? '') ?? '?');
  }).join('');
}

export function renderDrillConsole(
  { run, verdict, observation, summaries }: DrillResults,
  page: DrillPage,
): string {
  const style = styleOf(page.colour);
  const reason =
    run.ended === 'set-up-failed' ? `the set-up died: ${run.error ?? 'unknown'}` : verdict.reason;
  const lines = [`${mark(style, verdict.status)} ${inColourOf(style, verdict.status, oneLine(reason))}`];
  if (verdict.seen !== undefined) lines.push(`  ${oneLine(verdict.seen)}`);
  if (observation) lines.push('', ...drawing(observation, summaries, page.width, style));
  if (run.leftovers.length > 0)
    lines.push('', ...run.leftovers.map((left) => `left behind: ${oneLine(left)}`));
  return `${lines.join('\n')}\n`;
}

function drawing(
  observation: DrillObservation,
  summaries: readonly ClientSummary[],
  width: number,
  style: Style,
): string[] {
  const { clients, faultAt, mendAt, endedAt, fault } = observation;
  const letters = lettersOf(clustersIn(clients));
  const names = clients.map(({ from, to, kind }) => `${from}->${to} ${kind}`);
  const nameColumns = Math.max(...names.map(widthOf));
  const columns = Math.min(WIDEST_LINE, Math.max(NARROWEST_LINE, width - nameColumns - FIGURE_COLUMNS));
  const place = (at: number): number => Math.min(columns - 1, Math.floor((at / endedAt) * columns));
  const ruler = Array.from({ length: columns }, (_, index) => {
    if (index === place(faultAt)) return '▼';
    if (index === place(mendAt)) return '▲';
    return index > place(faultAt) && index < place(mendAt) ? '─' : ' ';
  }).join('');
  return [
    `${describeFault(fault)} for ${formatDuration(mendAt - faultAt)}; a character is ${formatDuration(endedAt / columns)}`,
    style(
      'dim',
      [
        '▼ fault',
        '▲ mended',
        ...[...letters].map(([cluster, letter]) => `${letter} ${cluster} answers`),
        `${SEVERAL} several answer`,
        `${NAMES} name resolves`,
        `${SOME_FAILING} some fail`,
        `${FAILING} all fail`,
      ].join('   '),
    ),
    style(
      'dim',
      `${' '.repeat(nameColumns + 1)}${ruler}  ${HEADS.map((head) => padStart(head, 10)).join('')}`,
    ),
    ...clients.map((client, index) => {
      const line = timeLine(client, endedAt, columns, letters).replace(/[×~]+/g, (run) => style('red', run));
      const summary = summaries[index];
      return `${padEnd(names[index] ?? '', nameColumns)} ${line}  ${summary ? figuresOf(summary) : ''}`.trimEnd();
    }),
  ];
}

/** Callers and answerers. */
const clustersIn = (clients: readonly DrillClient[]): string[] => [
  ...new Set([
    ...clients.map(({ from }) => from),
    ...clients.flatMap(({ samples }) => samples.flatMap(({ cluster }) => cluster ?? [])),
  ]),
];

const HEADS = ['noticed', 'taken over', 'recovered', 'lost'].map((head) => ` ${head}`);

function figuresOf({ noticedMs, failedOverMs, recoveredMs, lost, requests }: ClientSummary): string {
  const time = (milliseconds: number | undefined, otherwise: string): string =>
    milliseconds === undefined ? otherwise : formatDuration(milliseconds);
  const cells =
    lost === 0
      ? ['–', '–', '–', `0/${requests}`]
      : [time(noticedMs, '–'), time(failedOverMs, 'no'), time(recoveredMs, 'never'), `${lost}/${requests}`];
  return cells.map((cell, index) => padStart(cell, Math.max(10, widthOf(HEADS[index] ?? '')))).join('');
}
