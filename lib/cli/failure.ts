/** How errors are told, and which exit code they mean. */
import { styleText } from 'node:util';
import { InternalError, InterruptedError, UserError } from '../model/errors.ts';

/** A case failed. */
export const EXIT_FAILED = 1;
/** Usage, configuration, set-up. */
export const EXIT_USAGE = 2;

/** What, where, how to mend; for a defect of ours the stack, since nobody but us can mend it. */
export function describeFailure(error: unknown, verbose: boolean): string {
  const stack = error instanceof Error ? error.stack : String(error);
  if (error instanceof UserError) {
    const lines = [`${styleText('red', 'Error:', { stream: process.stderr })} ${error.message}`];
    if (error.where !== undefined) lines.push(`  where: ${error.where}`);
    if (error.remedy !== undefined) lines.push(`  mend:  ${error.remedy}`);
    if (verbose) lines.push('', stack ?? '');
    return lines.join('\n');
  }
  if (error instanceof InterruptedError) return `Interrupted: ${error.message}`;
  const kind = error instanceof InternalError ? 'a broken assumption' : 'an unexpected error';
  return `This is a defect of mcnet-conformance (${kind}), please report it:\n${stack}`;
}

export function exitCodeOfFailure(error: unknown): number {
  if (!(error instanceof InterruptedError)) return EXIT_USAGE;
  return error.by === 'SIGTERM' ? 143 : 130;
}

/** As contract: what is further to the left hides what is further to the right. */
const BY_WEIGHT: readonly number[] = [130, 143, 2, 1, 3];

/** Of several runs together. */
export const exitCodeOfAll = (codes: readonly number[]): number =>
  BY_WEIGHT.find((code) => codes.includes(code)) ?? 0;
