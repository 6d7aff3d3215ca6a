/** `comparison.json`: a comparison for programs; `comparison.schema.json` beside this file is the shape. */
import { type Comparison, comparisonHeadline } from './comparison.ts';

/** Grows when something of the shape changes its meaning or goes; additions do not count. */
export const COMPARISON_VERSION = 1;

export interface JsonComparison extends Comparison {
  readonly v: typeof COMPARISON_VERSION;
  readonly headline: string;
}

export function renderComparisonJson(comparison: Comparison): string {
  const report: JsonComparison = {
    v: COMPARISON_VERSION,
    headline: comparisonHeadline(comparison),
    ...comparison,
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}
