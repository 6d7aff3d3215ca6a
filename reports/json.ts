/** `report.json`: the results of a run for programs; `report.schema.json` beside this file is the shape. */
import type { CauseCode } from '../lib/model/causes.ts';
import type { CaseResult, RunResults } from '../lib/model/results.ts';
import type { Status } from '../lib/model/verdict.ts';
import { type Counts, countsOf, headline, remarks, runFailure } from './digest.ts';
import type { Reporter } from './reporter.ts';

/** Grows when something of the shape changes its meaning or goes; additions do not count. */
export const REPORT_VERSION = 1;

export interface JsonReport {
  readonly v: typeof REPORT_VERSION;
  /** Class, verdict and what was skipped of the core, of every subject. */
  readonly headlines: readonly string[];
  /** One entry for each subject. */
  readonly results: readonly JsonResults[];
}

export interface JsonResults extends Omit<RunResults, 'cases' | 'recordProblems'> {
  readonly headline: string;
  readonly counts: Counts;
  /** What a reader must know before trusting the verdict, in sentences; damage of the record among them. */
  readonly remarks: readonly string[];
  /** Set when the run itself failed: the set-up died, or nothing was executed. */
  readonly failure?: { readonly id: string; readonly expected: string; readonly seen: string };
  readonly cases: readonly JsonCase[];
}

/** The verdict's members stand beside those of the plan; what was observed is in the record. */
export interface JsonCase extends Omit<
  CaseResult,
  'verdict' | 'observed' | 'expectation' | 'judgeVersion' | 'skip'
> {
  readonly status: Status;
  readonly reason: string;
  readonly cause?: CauseCode;
  readonly expected?: string;
  readonly seen?: string;
  /** `value` is null when it could not be measured. */
  readonly figures?: Readonly<Record<string, { readonly value: number | null; readonly unit: string }>>;
  readonly evidence?: readonly string[];
  readonly reproduce?: { readonly at: string; readonly command: string };
}

export const jsonReporter: Reporter = {
  format: 'json',
  defaultFile: 'report.json',
  render(all) {
    const report: JsonReport = {
      v: REPORT_VERSION,
      headlines: all.map(headline),
      results: all.map(resultsOf),
    };
    return `${JSON.stringify(report, undefined, 2)}\n`;
  },
};

function resultsOf(results: RunResults): JsonResults {
  const { cases, recordProblems: _, ...rest } = results;
  const failure = runFailure(results);
  return {
    headline: headline(results),
    ...rest,
    counts: countsOf(cases),
    remarks: remarks(results),
    ...(failure && { failure: { id: failure.id, expected: failure.expected, seen: failure.seen } }),
    cases: cases.map(caseOf),
  };
}

function caseOf(result: CaseResult): JsonCase {
  const { verdict, observed: _o, expectation: _e, judgeVersion: _j, skip: _s, ...rest } = result;
  return { ...rest, ...verdict };
}
