/** What a person reads: live while a run goes on, and the final report. */
import type { PlannedCase } from '../lib/model/record.ts';
import type { CaseResult, RunEvent, RunResults } from '../lib/model/results.ts';
import type { RunSpec } from '../lib/model/spec.ts';
import { type SuiteResults, bySuite, subjectLabel } from './digest.ts';
import { annotations } from './github.ts';
import type { Reporter } from './reporter.ts';
import {
  type Page,
  type PassedStep,
  type Step,
  checkLines,
  heading,
  headlineLines,
  phaseLine,
  phaseStepLine,
  problemSections,
  setUpLines,
  summaryLines,
} from './sections.ts';
import { styleOf } from './style.ts';
import { counted, oneLine, truncate, widthOf } from './text.ts';

/** What the console writes to: a stream, or a string in tests. */
export interface Screen {
  write(text: string): void;
}

export interface ConsoleOptions {
  readonly stream: Screen;
  readonly colour: boolean;
  /** Columns. */
  readonly width: number;
  /** Whether the cursor may be moved: false off a terminal, and in CI. */
  readonly isTTY: boolean;
  readonly verbosity: RunSpec['verbosity'];
  /** Whether to write annotations for GitHub Actions. */
  readonly githubActions: boolean;
}

export interface LiveConsole {
  onEvent(event: RunEvent): void;
  /** Tells the time between events, for the status line. @param elapsedMs since the run began */
  tick(elapsedMs: number): void;
  /** Erases the status line and prints the final report. */
  onEnd(results: readonly RunResults[]): void;
}

/** Below this a line cannot hold an id and say something about it. */
const NARROWEST = 60;
/** Beyond this the eye loses the line. */
const WIDEST = 120;
/** Names of checks are aligned within these. */
const NAME_COLUMNS = { least: 16, most: 30 } as const;

/** One column less than there are: some terminals break a line that fills the last one. */
const pageWidth = (width: number): number => Math.min(WIDEST, Math.max(NARROWEST, width - 1));

/** Renders the whole report at once, for stored results. */
export function renderConsole(all: readonly RunResults[], options: PageOptions): string {
  const blocks = all.flatMap((results) => {
    const page = pageOf(options, results.cases);
    const [title = [], ...rest] = reportBlocks(page, results, options.verbosity);
    const label = all.length > 1 ? [page.style('dim', subjectLabel(results.subject))] : [];
    const suites = bySuite(results.cases).flatMap((suite) => suiteBlocks(page, suite));
    return [[...title, ...label], ...(options.verbosity === 'quiet' ? [] : suites), ...rest];
  });
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

export const consoleReporter: Reporter = {
  format: 'console',
  render: (all) => renderConsole(all, { colour: false, width: 100, verbosity: 'normal' }),
};

type PageOptions = Pick<ConsoleOptions, 'colour' | 'width' | 'verbosity'>;

function pageOf({ colour, width, verbosity }: PageOptions, cases: readonly PlannedCase[] = []): Page {
  const longest = Math.max(...cases.map(({ check }) => widthOf(check)), NAME_COLUMNS.least);
  return {
    style: styleOf(colour),
    width: pageWidth(width),
    nameColumns: Math.min(longest, NAME_COLUMNS.most),
    verbose: verbosity === 'verbose',
  };
}

function suiteBlocks(page: Page, { suite, checks }: SuiteResults): string[][] {
  const lines = checks.flatMap((check) => checkLines(page, check));
  return lines.length === 0 ? [] : [[heading(page, suite), ...lines]];
}

/** The final report in blocks, the headline first. Quiet: no counts, and nothing of what was skipped. */
const reportBlocks = (
  page: Page,
  results: RunResults,
  verbosity: ConsoleOptions['verbosity'],
): string[][] => [
  headlineLines(page, results),
  ...problemSections(page, results),
  ...(verbosity === 'quiet' ? [] : [setUpLines(page, results), summaryLines(page, results)]).filter(
    (lines) => lines.length > 0,
  ),
];

export function createConsole(options: ConsoleOptions): LiveConsole {
  const output = new Output(options);
  const quiet = options.verbosity === 'quiet';
  const progress = new Progress((cases) => pageOf(options, cases), output);
  return {
    onEvent: quiet ? () => {} : (event) => progress.onEvent(event),
    tick: quiet ? () => {} : (elapsedMs) => progress.tick(elapsedMs),
    onEnd(all) {
      progress.finish();
      for (const results of all) {
        for (const lines of reportBlocks(pageOf(options, results.cases), results, options.verbosity)) {
          output.block();
          output.print(lines);
        }
        if (options.githubActions) output.raw(annotations(results));
      }
    },
  };
}

/** Lines, with a status line below them on a terminal. */
class Output {
  readonly #options: ConsoleOptions;
  #status = '';
  #printed = false;

  constructor(options: ConsoleOptions) {
    this.#options = options;
  }

  print(lines: readonly string[]): void {
    const status = this.#status;
    this.status('');
    for (const line of lines) this.#options.stream.write(`${this.#harmless(line)}\n`);
    this.#printed ||= lines.length > 0;
    this.status(status);
  }

  /** An empty line between blocks. */
  block(): void {
    if (this.#printed) this.print(['']);
  }

  raw(lines: readonly string[]): void {
    for (const line of lines) this.#options.stream.write(`${line}\n`);
  }

  status(text: string): void {
    if (!this.#options.isTTY || text === this.#status) return;
    this.#options.stream.write(`${this.#status === '' ? '' : '\r\u001B[K'}${text}`);
    this.#status = text;
  }

  /** On GitHub a line that begins with two colons is a command; ours are written raw. */
  #harmless(line: string): string {
    return this.#options.githubActions ? line.replace(/^(\s*)::/, '$1: :') : line;
  }
}

const BAR_COLUMNS = 16;
/** No eye follows more, and a large fleet has a hundred events in that time. */
const STATUS_INTERVAL_MS = 50;

/** Phases of cases, which have lines of their own, and one that is news only when it fails. */
const UNTOLD_PHASES: ReadonlySet<string> = new Set(['addressing', 'cases', 'machine']);

interface PlannedCheck {
  readonly suite: string;
  readonly check: string;
  readonly cases: readonly PlannedCase[];
  /** Its cases without a verdict. */
  open: number;
}

/** Follows a run: phases as they end, then checks in the order of the plan, each as soon as all before it are known. */
class Progress {
  readonly #pageFor: (cases: readonly PlannedCase[]) => Page;
  readonly #output: Output;
  #page: Page;
  readonly #planned = new Map<string, { readonly plan: PlannedCase; readonly check: PlannedCheck }>();
  readonly #done = new Map<string, CaseResult>();
  readonly #running = new Set<string>();
  readonly #steps = new Map<string, readonly Step[]>();
  readonly #phaseSteps = new Map<string, readonly PassedStep[]>();
  /** Checks not yet printed, in order. */
  #waiting: PlannedCheck[] = [];
  #section = '';
  #phase = '';
  #failed = 0;
  #elapsedMs = 0;
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(pageFor: (cases: readonly PlannedCase[]) => Page, output: Output) {
    this.#pageFor = pageFor;
    this.#page = pageFor([]);
    this.#output = output;
  }

  onEvent(event: RunEvent): void {
    this.#elapsedMs = event.monoMs;
    switch (event.type) {
      case 'run.began':
        this.#begin(event.run, event.spec, event.cases);
        break;
      case 'phase.started':
        this.#phase = event.phase;
        break;
      case 'phase.step':
        if (this.#page.verbose) this.#phaseSteps.set(event.phase, [...this.#stepsOf(event.phase), event]);
        break;
      case 'phase':
        this.#phase = '';
        this.#printPhase(event);
        break;
      case 'case.started':
        this.#running.add(event.case);
        break;
      case 'step':
        if (this.#page.verbose) this.#steps.set(event.case, [...(this.#steps.get(event.case) ?? []), event]);
        break;
      case 'verdict':
        this.#settle(event);
        break;
      default:
    }
    this.#showStatus();
  }

  tick(elapsedMs: number): void {
    this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs);
    this.#showStatus();
  }

  /** Prints checks that are known in part: the run ended before the rest was. */
  finish(): void {
    this.#output.status('');
    for (const next of this.#waiting) this.#printCheck(next);
    this.#waiting = [];
  }

  #begin(run: string, spec: RunSpec, cases: readonly PlannedCase[]): void {
    this.#page = this.#pageFor(cases);
    this.#waiting = checksOf(cases);
    for (const check of this.#waiting) {
      for (const plan of check.cases) this.#planned.set(plan.id, { plan, check });
    }
    const names = spec.topology.members.map(({ name }) => name);
    const clusters = names.length > 4 ? counted(names.length, 'cluster') : names.join(', ');
    const { style } = this.#page;
    this.#output.print([
      `${style('bold', 'mcnet-conformance')} ${style('dim', `run ${run}`)}`,
      [
        clusters,
        spec.topology.kind,
        spec.underlay,
        `profile ${spec.profile}`,
        spec.families.join('+'),
        counted(cases.length, 'case'),
      ].join(' · '),
      style('dim', truncate(`${spec.provider}: ${oneLine(spec.providerReason)}`, this.#page.width)),
    ]);
  }

  #enter(section: string): void {
    if (section === this.#section) return;
    this.#section = section;
    this.#output.block();
    this.#output.print([heading(this.#page, section)]);
  }

  #printPhase(phase: { phase: string; durationMs: number; detail?: string }): void {
    if (UNTOLD_PHASES.has(phase.phase) && phase.detail === undefined) return;
    const after = this.#waiting.length === 0 && this.#planned.size > 0;
    this.#enter(after ? 'clean-up' : 'set-up');
    const steps = this.#stepsOf(phase.phase).map((step) => phaseStepLine(this.#page, step));
    this.#phaseSteps.delete(phase.phase);
    this.#output.print([phaseLine(this.#page, phase), ...steps]);
  }

  #stepsOf(phase: string): readonly PassedStep[] {
    return this.#phaseSteps.get(phase) ?? [];
  }

  #settle({ case: id, verdict, durationMs }: Extract<RunEvent, { type: 'verdict' }>): void {
    this.#running.delete(id);
    const planned = this.#planned.get(id);
    if (!planned || this.#done.has(id)) return;
    this.#done.set(id, { ...planned.plan, verdict, durationMs });
    planned.check.open -= 1;
    if (verdict.status === 'failed') this.#failed += 1;
    for (let next = this.#waiting[0]; next?.open === 0; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#printCheck(next);
    }
  }

  #printCheck({ suite, check, cases }: PlannedCheck): void {
    const known = cases.flatMap(({ id }) => this.#done.get(id) ?? []);
    if (known.length === 0) return;
    const lines = checkLines(
      this.#page,
      { check, title: known[0]?.title ?? check, cases: known },
      this.#steps,
    );
    if (lines.length === 0) return;
    this.#enter(suite);
    this.#output.print(lines);
  }

  #showStatus(): void {
    if (this.#elapsedMs - this.#shownMs < STATUS_INTERVAL_MS) return;
    this.#shownMs = this.#elapsedMs;
    const { style, width } = this.#page;
    const total = this.#planned.size;
    const done = this.#done.size;
    const [first, ...others] = this.#running;
    const doing =
      first === undefined ? this.#phase : `${first}${others.length > 0 ? ` and ${others.length} more` : ''}`;
    const facts = [
      `${done}/${total}`,
      `${Math.floor(this.#elapsedMs / 1_000)} s`,
      ...(this.#failed > 0 ? [`${this.#failed} failed`] : []),
      '',
    ].join(' · ');
    const full = Math.round((total === 0 ? 0 : done / total) * BAR_COLUMNS);
    const bar = `${style('cyan', '━'.repeat(full))}${style('dim', '─'.repeat(BAR_COLUMNS - full))}`;
    const room = width - BAR_COLUMNS - 1 - facts.length;
    this.#output.status(
      `${bar} ${doing === '' ? facts.slice(0, -3) : facts}${style('dim', truncate(doing, room))}`,
    );
  }
}

const checksOf = (cases: readonly PlannedCase[]): PlannedCheck[] =>
  [...Map.groupBy(cases, ({ suite }) => suite)].flatMap(([suite, ofSuite]) =>
    [...Map.groupBy(ofSuite, ({ check }) => check)].map(([check, ofCheck]) => ({
      suite,
      check,
      cases: ofCheck,
      open: ofCheck.length,
    })),
  );
