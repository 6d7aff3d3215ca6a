import type { AnyCheck, Expectation } from '../../lib/model/check.ts';
import type { Verdict } from '../../lib/model/verdict.ts';

export const expectation: Expectation = {
  family: 'ipv4',
  path: { kind: 'direct' },
  configuredPathMtu: 1420,
  clusters: ['east', 'west'],
};

/** Judges as a report does: by the defaults of the check's budgets, on an observation that went through JSON. */
export function judge(check: AnyCheck, observed: unknown, expected: Partial<Expectation> = {}): Verdict {
  const budgets = Object.fromEntries(
    Object.entries((check.budgets ?? {}) as Record<string, { value: number }>).map(([name, { value }]) => [
      name,
      value,
    ]),
  );
  return check.judge(JSON.parse(JSON.stringify(observed)), budgets, { ...expectation, ...expected });
}

/** `status` or `status: cause`, for short expectations. */
export function outcomeOf({ status, cause }: Verdict): string {
  return cause === undefined ? status : `${status}: ${cause}`;
}
