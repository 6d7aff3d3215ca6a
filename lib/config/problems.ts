import { UserError } from '../model/errors.ts';

/** One thing wrong with what the user wrote. */
export interface Problem {
  readonly what: string;
  /** A flag, an environment variable, or `file:line:column`. */
  readonly where: string;
  readonly remedy: string;
}

/** Everything else is left for the next attempt. */
const SHOWN_AT_MOST = 10;

/** All problems at once, since mending one at a time is tedious. */
export function problemsError(problems: readonly [Problem, ...Problem[]]): UserError {
  const [first, ...others] = problems;
  if (others.length === 0) return new UserError(first.what, { where: first.where, remedy: first.remedy });
  const lines = problems
    .slice(0, SHOWN_AT_MOST)
    .map((problem) => `  ${problem.where}: ${problem.what}. ${problem.remedy}`);
  const rest = problems.length - lines.length;
  if (rest > 0) lines.push(`  … and ${rest} more`);
  return new UserError(`${problems.length} errors in the configuration:\n${lines.join('\n')}`);
}
