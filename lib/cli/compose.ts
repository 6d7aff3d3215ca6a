/** Puts the parts of a run together: the only place that knows every implementation. */
import { InternalError } from '../model/errors.ts';
import type { RunSpec } from '../model/spec.ts';
import { agentCommand } from '../probe/command.ts';
import { connectProbe } from '../probe/client.ts';
import { profileNamed } from '../profile/index.ts';
import { createLabProvider } from '../provider/lab/index.ts';
import type { RunParts } from '../run/execute.ts';
import { underlayNamed } from '../underlay/index.ts';
import { SUITES } from '../../suites/index.ts';

/** The parts that a specification names. */
export function partsOf(spec: Pick<RunSpec, 'provider' | 'underlay' | 'profile'>): RunParts {
  if (spec.provider !== 'lab') throw new InternalError(`nothing here provides ${spec.provider}`);
  return {
    provider: createLabProvider({ agentCommand: agentCommand('agent'), connectProbe }),
    underlay: underlayNamed(spec.underlay),
    profile: profileNamed(spec.profile),
    suites: SUITES,
  };
}
