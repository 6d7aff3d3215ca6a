import type { AnyCheck, Suite } from '../model/check.ts';

/** Checks by id. */
export type CheckRegistry = ReadonlyMap<string, AnyCheck>;

export function registryOf(suites: readonly Suite[]): CheckRegistry {
  return new Map(suites.flatMap((suite) => suite.checks.map((check) => [check.id, check] as const)));
}
