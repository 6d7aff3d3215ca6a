import type { CauseCode } from './causes.ts';

export type Status = 'passed' | 'failed' | 'inconclusive' | 'skipped';

/** Worst first. */
export const STATUSES: readonly Status[] = ['failed', 'inconclusive', 'skipped', 'passed'];

export type Figure = { readonly value: number; readonly unit: string };
export type Figures = Readonly<Record<string, Figure>>;

export interface Verdict {
  readonly status: Status;
  /** One sentence. */
  readonly reason: string;
  /** Why, as a documented code; for failed and inconclusive. */
  readonly cause?: CauseCode;
  readonly expected?: string;
  readonly seen?: string;
  readonly figures?: Figures;
  /** What the data plane says that it dropped meanwhile, and why; asked after a failure, no judge's word. */
  readonly dropped?: string;
  /** Names of the observations that it rests on. */
  readonly evidence?: readonly string[];
  /** A command to run at a workload or gateway (`east/mcnet/client`, `east/gateway`) that shows the same. */
  readonly reproduce?: { readonly at: string; readonly command: string };
}

type Details = Pick<Verdict, 'expected' | 'seen' | 'figures' | 'evidence' | 'reproduce'>;

export function passed(reason: string, figures?: Figures): Verdict {
  return figures ? { status: 'passed', reason, figures } : { status: 'passed', reason };
}

/** `expected` and `seen` are what an engineer compares; both are always given. */
export function failed(
  cause: CauseCode,
  reason: string,
  details: Details & Required<Pick<Verdict, 'expected' | 'seen'>>,
): Verdict {
  return { status: 'failed', reason, cause, ...details };
}

export function inconclusive(cause: CauseCode, reason: string, details: Details = {}): Verdict {
  return { status: 'inconclusive', reason, cause, ...details };
}

export function skipped(reason: string): Verdict {
  return { status: 'skipped', reason };
}

export function worse(a: Status, b: Status): Status {
  return STATUSES.indexOf(a) <= STATUSES.indexOf(b) ? a : b;
}
