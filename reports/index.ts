/** The formats of a report; each reads results and nothing else. */
import { consoleReporter } from './console.ts';
import { jsonReporter } from './json.ts';
import { junitReporter } from './junit.ts';
import type { Reporter } from './reporter.ts';

export const REPORTERS: readonly Reporter[] = [consoleReporter, junitReporter, jsonReporter];

export type { Reporter };
