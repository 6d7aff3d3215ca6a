/** What the user sees: a line when a step begins and ends, on a terminal also what runs now, and a table at the end. */
import { styleText } from 'node:util';
import type { Outcome, Watcher } from './run.ts';
import type { Step } from './steps.ts';

/** `3 min 7 s`, `12 s`, `0.4 s`. */
export function durationOf(milliseconds: number): string {
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const REDRAW_MS = 1_000;

export class Console implements Watcher {
  readonly #out: NodeJS.WriteStream;
  readonly #began = performance.now();
  readonly #running = new Map<string, { step: Step; since: number }>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    if (out.isTTY) {
      this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
      this.#timer.unref();
    }
  }

  say(line: string): void {
    if (this.#out.isTTY) this.#out.write('\r\u001B[K');
    this.#out.write(`${line}\n`);
    this.#draw();
  }

  started(step: Step): void {
    this.#running.set(step.id, { step, since: performance.now() });
    this.say(`${this.#elapsed()}  begins  ${step.title}`);
  }

  ended(step: Step, tookMs: number): void {
    this.#running.delete(step.id);
    this.say(`${this.#elapsed()}  done    ${step.title}: ${durationOf(tookMs)}`);
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\u001B[K');
  }

  #elapsed(): string {
    const seconds = Math.round((performance.now() - this.#began) / 1_000);
    return `${String(Math.floor(seconds / 60)).padStart(2)}:${String(seconds % 60).padStart(2, '0')}`;
  }

  #draw(): void {
    if (!this.#out.isTTY || this.#running.size === 0) return;
    const now = performance.now();
    const text = [...this.#running.values()]
      .map(({ step, since }) => `${step.title} ${durationOf(now - since)}`)
      .join(', ');
    this.#out.write(`\r\u001B[K${styleText('dim', text.slice(0, (this.#out.columns ?? 80) - 1))}`);
  }
}

/** One line a step, and a sum. */
export function tableOf(outcomes: readonly Outcome[], totalMs: number): string {
  const rows = outcomes.map(({ step, built, tookMs }) => [
    step.title,
    built ? 'built' : 'up to date',
    built ? durationOf(tookMs) : '',
  ]);
  const built = outcomes.filter((outcome) => outcome.built).length;
  rows.push([`in all: ${built} built, ${outcomes.length - built} up to date`, '', durationOf(totalMs)]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows
    .map(([what = '', state = '', took = '']) =>
      `${what.padEnd(widths[0] ?? 0)}  ${state.padEnd(widths[1] ?? 0)}  ${took}`.trimEnd(),
    )
    .join('\n');
}
