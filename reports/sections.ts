/** The parts of the console report as lines; colour and width are given, the rest follows from the results. */
import type { RecordBody } from '../lib/model/record.ts';
import type { CaseResult, PhaseStep, RunResults } from '../lib/model/results.ts';
import { STATUSES, type Figure, type Status } from '../lib/model/verdict.ts';
import {
  type CheckResults,
  type Explanation,
  type Problem,
  type SlowStep,
  NOT_STARTED,
  causeText,
  countsOf,
  explain,
  placesOf,
  placeOf,
  problemsOf,
  remarks,
  runFailure,
  skippedCoreText,
  skipsByReason,
  slowSetUp,
  stepName,
  verdictText,
} from './digest.ts';
import { againText, formatDuration, formatFigure, formatRange } from './format.ts';
import { type Style, inColourOf, mark } from './style.ts';
import { counted, oneLine, padEnd, padStart, truncate, widthOf, wrap } from './text.ts';

/** What a case did on its way, as the living run told. */
export type Step = Pick<Extract<RecordBody, { type: 'step' }>, 'step' | 'durationMs' | 'detail'>;

export interface Page {
  readonly style: Style;
  /** Columns. */
  readonly width: number;
  /** Columns of the name that a line begins with; a longer one pushes what follows. */
  readonly nameColumns: number;
  readonly verbose: boolean;
}

/** What figures leave of a title. */
const TITLE_COLUMNS = 12;
/** Columns of how long something took. */
const TIME_COLUMNS = 8;
/** Columns of the labels in a failure. */
const LABEL_COLUMNS = 11;
/** A list of places longer than this many lines is cut in the console; JUnit and JSON have every case. */
const PLACE_LINES = 4;

export const heading = (page: Page, text: string): string => page.style('bold', text);

/** A mark, a name, what is said of it, and a duration at the right edge. */
function row(
  page: Page,
  parts: { mark: string; name: string; text: string; facts: string; durationMs?: number },
): string {
  const time = parts.durationMs === undefined ? '' : formatDuration(parts.durationMs);
  const name = padEnd(parts.name, page.nameColumns);
  const room = page.width - widthOf(name) - 2 - 2 - TIME_COLUMNS;
  const { facts } = parts;
  const text = truncate(parts.text, Math.max(0, room - (facts ? widthOf(facts) + 2 : 0)));
  const line = `${parts.mark} ${name}  ${page.style('dim', text)}`;
  if (!facts && !time) return line;
  const gap = ' '.repeat(Math.max(0, room - widthOf(text) - widthOf(facts)));
  return `${line}${gap}${facts}${time && page.style('dim', padStart(time, TIME_COLUMNS))}`;
}

/** What happens in the phases of a run. */
const PHASES: Readonly<Record<string, string>> = {
  machine: 'what a run needs of this machine',
  addressing: 'the address plan',
  create: 'clusters come up',
  attach: 'clusters that were kept',
  join: 'gateways are joined',
  install: 'the profile is installed',
  workloads: 'workloads and their agents',
  services: 'services',
  intents: 'shared services and policies',
  diagnostics: 'rules, routes and logs are gathered',
  versions: 'versions are observed',
  usage: 'what containers take with nothing going on',
  teardown: 'everything that was created is removed',
};

export function phaseLine(page: Page, phase: { phase: string; durationMs: number; detail?: string }): string {
  const failed = phase.detail === 'failed';
  return row(page, {
    mark: mark(page.style, failed ? 'failed' : 'passed'),
    name: oneLine(phase.phase),
    text: PHASES[phase.phase] ?? '',
    facts: failed ? page.style('red', 'failed') : '',
    durationMs: phase.durationMs,
  });
}

/** A step of a phase, as the living run told. */
export type PassedStep = Omit<PhaseStep, 'endedMs'>;

/** In the verbose report, below its phase. */
export function phaseStepLine(page: Page, step: PassedStep): string {
  const name = `${stepName(step)}${step.failed ? ' failed' : ''}`;
  return page.style('dim', `    ${stepText({ ...step, step: name }, page.width - 4)}`);
}

/** Where the time of a set-up went that took long. */
export function setUpLines(page: Page, results: RunResults): string[] {
  const slow = slowSetUp(results);
  if (!slow) return [];
  return [
    page.style(
      'dim',
      `set-up took ${formatDuration(slow.totalMs)}; its slowest steps, some beside each other:`,
    ),
    ...slow.steps.flatMap((step) => slowStepLines(page, step)),
  ];
}

function slowStepLines(page: Page, step: SlowStep): string[] {
  const line = row(page, {
    mark: ' ',
    name: step.phase,
    text: stepName(step),
    facts: step.failed ? page.style('red', 'failed') : '',
    durationMs: step.durationMs,
  });
  if (step.detail === undefined) return [line];
  const indent = ' '.repeat(page.nameColumns + 6);
  return [line, page.style('dim', truncate(`${indent}${oneLine(step.detail)}`, page.width))];
}

const worstOf = (cases: readonly CaseResult[]): Status =>
  STATUSES.find((status) => cases.some(({ verdict }) => verdict.status === status)) ?? 'passed';

/** What the cases of a check are counted in: with variants a pair has several. */
const nounOf = ([first]: readonly CaseResult[]): string =>
  first === undefined || first.variants.length > 0 ? 'case' : first.subject.scope;

/** `6 pairs` when they agree, else what became of them: `2 failed of 6`. */
function extent(cases: readonly CaseResult[]): string {
  const counts = countsOf(cases);
  const ran = cases.length - counts.skipped;
  if (ran === 0) return 'skipped';
  const wrong = (['failed', 'inconclusive'] as const).filter((status) => counts[status] > 0);
  if (wrong.length > 0) {
    if (ran === 1) return wrong.join('');
    return `${wrong.map((status) => `${counts[status]} ${status}`).join(', ')} of ${ran}`;
  }
  const noun = nounOf(cases);
  if (counts.skipped > 0) return `${ran} of ${counted(cases.length, noun)}`;
  return noun === 'fleet' ? '' : counted(ran, noun);
}

/** Figures that compare across runs: times, rates, shares. What only counts probes is for the verbose report. */
const TELLING_UNIT = /^(m?s|[kMGT]?bit\/s|%|of (?!\d).*|× .*)$/;

/** What budgets are about comes first when there is not room for all. */
const LEADING = /^(p95|p99|throughput|recovery|path MTU)/;

/** As many of the judge's figures as there is room for, over all cases. */
function figuresOf(cases: readonly CaseResult[], room: number): string {
  const byName = new Map<string, Figure[]>();
  for (const { verdict } of cases) {
    for (const [name, figure] of Object.entries(verdict.figures ?? {})) {
      if (TELLING_UNIT.test(figure.unit) || LEADING.test(name))
        byName.set(name, [...(byName.get(name) ?? []), figure]);
    }
  }
  let text = '';
  const leading = [...byName].toSorted(([a], [b]) => Number(LEADING.test(b)) - Number(LEADING.test(a)));
  for (const [name, figures] of leading) {
    const next = [...(text ? [text] : []), `${oneLine(name, 40)} ${formatRange(figures)}`].join(' · ');
    if (widthOf(next) > room) break;
    text = next;
  }
  return text;
}

/** Nothing of it began: the final report says so once, for all checks. */
const neverStarted = (cases: readonly CaseResult[]): boolean =>
  cases.every(({ verdict }) => verdict.cause !== undefined && NOT_STARTED.has(verdict.cause));

/** One line for a check, none when nothing of it began; in the verbose report each of its cases follows. */
export function checkLines(
  page: Page,
  { check, title, cases }: CheckResults,
  steps: ReadonlyMap<string, readonly Step[]> = new Map(),
): string[] {
  if (neverStarted(cases)) return [];
  const status = worstOf(cases);
  const where = extent(cases);
  const again = cases.filter(({ attempts = 1 }) => attempts > 1).length;
  const longest = cases.reduce((most, { durationMs }) => Math.max(most, durationMs), 0);
  const skip = status === 'skipped' ? oneLine(cases[0]?.verdict.reason ?? '') : undefined;
  const wrong = status === 'failed' || status === 'inconclusive';
  const room = page.width - page.nameColumns - TIME_COLUMNS - 4 - widthOf(where) - 2 - TITLE_COLUMNS - 2;
  const figures = wrong ? '' : figuresOf(cases, room);
  const facts = [
    ...(figures ? [page.style('cyan', figures)] : []),
    ...(again > 0 ? [`${again} observed again`] : []),
    ...(where ? [wrong ? inColourOf(page.style, status, where) : where] : []),
  ];
  const line = row(page, {
    mark: mark(page.style, status),
    name: check,
    text: oneLine(skip ?? title),
    facts: facts.join('  '),
    ...((status === 'passed' || longest > 0) && { durationMs: longest }),
  });
  return page.verbose
    ? [line, ...cases.flatMap((result) => caseLines(page, result, steps.get(result.id)))]
    : [line];
}

function caseLines(
  page: Page,
  { id, verdict, durationMs, attempts, repeated, kept }: CaseResult,
  steps: readonly Step[] = [],
): string[] {
  const figures = Object.entries(verdict.figures ?? {}).map(
    ([name, figure]) => `${oneLine(name)} ${formatFigure(figure)}`,
  );
  const notes = [
    oneLine(verdict.reason),
    ...(attempts === undefined ? [] : [againText(attempts)]),
    ...(repeated ? ['the worse of several results'] : []),
    ...(kept === undefined ? [] : [`verdict as stored: ${oneLine(kept)}`]),
  ];
  const time = verdict.status === 'skipped' ? '' : page.style('dim', `  ${formatDuration(durationMs)}`);
  return [
    `    ${mark(page.style, verdict.status)} ${id}${time}`,
    ...steps.map((step) => page.style('dim', `      ${stepText(step, page.width - 6)}`)),
    ...indented(page, notes.join('; '), 6).map((line) => page.style('dim', line)),
    ...(figures.length > 0
      ? indented(page, figures.join(' · '), 6).map((line) => page.style('cyan', line))
      : []),
  ];
}

function stepText({ step, durationMs, detail }: Step, columns: number): string {
  const said = detail === undefined ? '' : `  ${oneLine(JSON.stringify(detail))}`;
  return truncate(`${oneLine(step)}  ${formatDuration(durationMs)}${said}`, columns);
}

const indented = (page: Page, text: string, columns: number): string[] =>
  wrap(text, Math.max(20, page.width - columns)).map((line) => ' '.repeat(columns) + line);

/** Class, verdict and what was skipped of the core: the first line of the final report. */
export function headlineLines(page: Page, results: RunResults): string[] {
  const status = { conformant: 'passed', partial: 'remark', 'not conformant': 'failed' } as const;
  const kind = status[results.conformance.verdict];
  const skipped = skippedCoreText(results);
  const title = `${mark(page.style, kind)} ${inColourOf(page.style, kind, verdictText(results))}`;
  if (skipped === undefined) return [`${title}${page.style('dim', ' · nothing of the core was skipped')}`];
  const text = `skipped of the core: ${skipped}`;
  const rest = ` · ${text}`;
  if (widthOf(title + rest) <= page.width) return [title + rest];
  const first = wrap(text, page.width - widthOf(title) - 3);
  return [`${title} · ${first[0]}`, ...indented(page, first.slice(1).join(' '), 2)];
}

function field(page: Page, label: string, text: string, whole = false): string[] {
  const room = page.width - LABEL_COLUMNS - 2;
  // A command must survive being pasted: the terminal breaks it, not we.
  const lines = whole ? text.split('\n') : wrap(text, Math.max(20, room));
  return lines.map(
    (line, index) => `  ${page.style('dim', padEnd(index === 0 ? label : '', LABEL_COLUMNS))}${line}`,
  );
}

function explanationLines(page: Page, { label, text }: Explanation): string[] {
  return field(page, label, text, label === 'reproduce').map((line) =>
    label === 'see' ? page.style('dim', line) : line,
  );
}

function problemLines(page: Page, problem: Problem, planned: readonly CaseResult[]): string[] {
  const [first] = problem.cases;
  // What never ran because of another failure says nothing about how far this one reaches.
  const ofCheck = planned.filter(
    ({ check, verdict }) =>
      check === problem.check && verdict.status !== 'skipped' && verdict.cause !== 'dependency-failed',
  );
  return [
    `${mark(page.style, problem.status)} ${inColourOf(page.style, problem.status, first.id)}`,
    // Without something seen the reason stands there, so the title says what it was about.
    ...indented(page, oneLine(first.verdict.seen === undefined ? first.title : first.verdict.reason), 2),
    ...(problem.cases.length > 1 ? whereLines(page, problem, ofCheck) : []),
    ...explain(first).flatMap((line) => explanationLines(page, line)),
    ...(problem.dependants.length > 0 ? dependantLines(page, problem) : []),
  ];
}

/** `12 of 90 pairs: *->north, c5->c9`. */
function whereLines(page: Page, { cases, of }: Problem, ofCheck: readonly CaseResult[]): string[] {
  const places =
    cases.length === of && of > 3
      ? `all ${counted(of, nounOf(cases))}`
      : `${cases.length} of ${counted(of, nounOf(cases))}: ${placesOf(cases, ofCheck).join(', ')}`;
  const lines = field(page, 'where', places);
  return lines.length <= PLACE_LINES
    ? lines
    : [...lines.slice(0, PLACE_LINES), ...field(page, '', '… the rest is in the other reports')];
}

function dependantLines(page: Page, { cases, dependants, status }: Problem): string[] {
  const because = cases.length === 1 ? cases[0].id : `${cases[0].id} and the like`;
  const checks = [...new Set(dependants.map(({ check }) => check))];
  const became = status === 'failed' ? 'failed' : cases.length === 1 ? 'is inconclusive' : 'are inconclusive';
  return field(
    page,
    'so also',
    `${counted(dependants.length, 'case')} inconclusive because ${because} ${became}: ${checks.join(', ')}`,
  );
}

/** Everything that did not pass, in full, identical ones together. */
export function problemSections(page: Page, results: RunResults): string[][] {
  const { roots, notStarted } = problemsOf(results.cases);
  const sections: string[][] = [];
  const failure = runFailure(results);
  if (failure) {
    sections.push([
      `${mark(page.style, 'failed')} ${inColourOf(page.style, 'failed', failure.id)}`,
      `  ${page.style('dim', failure.title)}`,
      ...field(page, 'expected', failure.expected),
      ...field(page, 'seen', failure.seen),
    ]);
  }
  sections.push(...roots.map((problem) => problemLines(page, problem, results.cases)));
  for (const { cause, cases } of notStarted) {
    sections.push([
      `${mark(page.style, 'inconclusive')} ${inColourOf(page.style, 'inconclusive', counted(cases.length, 'case'))} inconclusive`,
      ...field(page, 'cause', causeText(cause)),
      ...field(page, 'checks', shortList([...new Set(cases.map(({ check }) => check))], 12)),
    ]);
  }
  return sections;
}

const shortList = (items: readonly string[], limit: number): string =>
  items.length <= limit
    ? items.join(', ')
    : `${items.slice(0, limit).join(', ')} and ${items.length - limit} more`;

/** Counts, skips by reason, and what must be known before the result is trusted. */
export function summaryLines(page: Page, results: RunResults): string[] {
  const counts = countsOf(results.cases);
  const parts = STATUSES.filter((status) => counts[status] > 0).map(
    (status) => `${mark(page.style, status)} ${counts[status]} ${status}`,
  );
  const skips = skipsByReason(results.cases).flatMap(({ reason, cases }) => {
    const checks = shortList([...new Set(cases.map(({ check }) => check))], 3);
    return hanging(
      page,
      'skipped',
      `${cases.length} × ${reason} (${cases.length === 1 ? placeText(cases[0] as CaseResult) : checks})`,
    );
  });
  return [
    ...remarks(results).flatMap((remark) => hanging(page, 'remark', remark)),
    ...skips,
    `${parts.join('  ') || 'no cases'}${page.style('dim', `  in ${formatDuration(results.durationMs)}`)}`,
  ];
}

const placeText = (result: CaseResult): string => `${result.check}[${placeOf(result)}]`;

const hanging = (page: Page, kind: 'skipped' | 'remark', text: string): string[] =>
  wrap(text, Math.max(20, page.width - 2)).map((line, index) =>
    index === 0 ? `${mark(page.style, kind)} ${line}` : `  ${line}`,
  );
