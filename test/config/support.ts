import type { Test } from 'tap';
import { parseConfigurationFile } from '../../lib/config/file.ts';
import { type Configured, mergeConfiguration } from '../../lib/config/layers.ts';
import { type Known, toRunSpec } from '../../lib/config/spec.ts';
import { type Suite, defineCheck } from '../../lib/model/check.ts';
import { UserError } from '../../lib/model/errors.ts';
import { passed } from '../../lib/model/verdict.ts';

export interface Written {
  readonly yaml?: string | Uint8Array;
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
}

const encoder = new TextEncoder();

export function configure({ yaml, flags = {}, environment = {} }: Written): Configured {
  const bytes = typeof yaml === 'string' ? encoder.encode(yaml) : yaml;
  return mergeConfiguration({
    flags,
    environment,
    ...(bytes && { file: parseConfigurationFile(bytes, 'mcnet.yaml') }),
  });
}

const sample = defineCheck({
  id: 'sample.check',
  title: 'Sample',
  level: 'core',
  scope: 'fleet',
  budgets: {
    size: { value: 1280, unit: 'bytes', reason: 'a sample' },
    patience: { value: 1_000, unit: 'ms', reason: 'a sample' },
  },
  withoutFaults: 'a sample',
  hint: 'none',
  observe: () => Promise.resolve({}),
  judge: () => passed('fine'),
});
const suite: Suite = { id: 'sample', title: 'Sample', checks: [sample] };
export const known: Known = { suites: [suite], reportFormats: ['console', 'junit', 'json'] };

export const specOf = (written: Written) => toRunSpec(configure(written), known);

/** The user's error that an action ends with. */
export function refusal(t: Test, action: () => unknown): UserError {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  t.fail('was not refused');
  return new UserError('was not refused');
}
