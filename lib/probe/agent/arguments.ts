import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Identity } from '../../model/workload.ts';

/** Who a process of this workload says it is; every start is another instance. */
export function identityFrom(values: Record<string, string | boolean | undefined>): Identity {
  return {
    cluster: required(values, 'cluster'),
    namespace: required(values, 'namespace'),
    workload: required(values, 'workload'),
    instance: newInstance(),
  };
}

export const newInstance = (): string => randomBytes(4).toString('hex');

export function required(values: Record<string, string | boolean | undefined>, name: string): string {
  const value = values[name];
  if (typeof value !== 'string' || value === '') throw new TypeError(`--${name} is missing`);
  return value;
}

const IDENTITY = {
  cluster: { type: 'string' },
  namespace: { type: 'string' },
  workload: { type: 'string' },
} as const;

export const parseAgentArguments = (args: string[]) =>
  parseArgs({
    args,
    options: {
      ...IDENTITY,
      socket: { type: 'string' },
      gateway: { type: 'boolean', default: false },
    },
  }).values;

export const parseBackendArguments = (args: string[]) =>
  parseArgs({ args, options: { ...IDENTITY, port: { type: 'string' } } }).values;
