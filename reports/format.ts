/** Figures as people read them. */
import type { Figure } from '../lib/model/verdict.ts';

/** At most three significant digits below 100, whole numbers above. */
function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(Math.abs(value) >= 10 ? 3 : 2)));
}

function scaled(value: number, steps: readonly string[], base = 1_000): string {
  let rest = value;
  let step = 0;
  while (Math.abs(rest) >= base && step < steps.length - 1) {
    rest /= base;
    step += 1;
  }
  return `${number(rest)} ${steps[step]}`;
}

/** `0.34 ms`, `120 ms`, `1.2 s`, `5 min 12 s`. @param milliseconds not a number: `unknown` */
export function formatDuration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return 'unknown';
  if (Math.abs(milliseconds) < 999.5) return `${number(milliseconds)} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 120 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const RATES = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'];
const SIZES = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** The unit decides: shares become per cent, rates and large sizes get a prefix (SI), everything else stays. */
export function formatFigure({ value, unit }: Figure): string {
  // A measurement that failed is NaN, and null once it went through JSON.
  if (typeof value !== 'number' || !Number.isFinite(value)) return 'unknown';
  if (unit === 'ms') return formatDuration(value);
  if (unit === 's') return formatDuration(value * 1_000);
  if (RATES.includes(unit)) return scaled(value * 1_000 ** RATES.indexOf(unit), RATES);
  // Packet sizes are compared byte by byte.
  if (unit === 'bytes')
    return Math.abs(value) < 100_000 ? `${value} ${value === 1 ? 'byte' : 'bytes'}` : scaled(value, SIZES);
  // `of baseline` is a share; `of 40 requests` counts.
  if (/^of (?!\d)/.test(unit)) return `${number(value * 100)} % ${unit}`;
  return `${number(value)} ${unit}`.trimEnd();
}

/** One figure of several cases: `0.3 ms` when they agree, else `0.3 ms to 1.2 ms`. */
export function formatRange(figures: readonly Figure[]): string {
  const known = figures.filter(({ value }) => Number.isFinite(value)).toSorted((a, b) => a.value - b.value);
  const low = known[0];
  const high = known.at(-1);
  if (!low || !high) return 'unknown';
  const [first, last] = [formatFigure(low), formatFigure(high)];
  if (first === last) return first;
  const unit = / \D.*$/.exec(last)?.[0];
  return unit !== undefined && first.endsWith(unit)
    ? `${first.slice(0, -unit.length)}–${last}`
    : `${first}–${last}`;
}

/** Of a case that was observed more than once. */
export const againText = (attempts: number): string =>
  `observed ${attempts} times: before the last one this machine was too busy to tell`;
