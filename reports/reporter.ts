import type { RunResults } from '../lib/model/results.ts';

/** A format in which results are written to a file or printed. */
export interface Reporter {
  readonly format: 'console' | 'junit' | 'json';
  /** Name in the output folder; without one it is written only where the user says. */
  readonly defaultFile?: string;
  /** @param results one entry for each subject */
  render(results: readonly RunResults[]): string;
}
