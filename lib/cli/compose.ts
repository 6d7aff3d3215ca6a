/** Puts the parts of a run together: the only place that knows every implementation. */
import type { Provider } from '../model/cluster.ts';
import type { RunSpec } from '../model/spec.ts';
import { agentCommand } from '../probe/command.ts';
import { connectProbe } from '../probe/client.ts';
import { profileNamed } from '../profile/index.ts';
import { createContextsProvider } from '../provider/contexts/index.ts';
import { createKindProvider } from '../provider/kind/index.ts';
import { createLabProvider } from '../provider/lab/index.ts';
import type { RunParts } from '../run/execute.ts';
import { underlayNamed } from '../underlay/index.ts';
import { probeBuildCommands } from './probeImage.ts';
import { SUITES } from '../../suites/index.ts';
import { builtImage } from './builtImages.ts';

/** The parts that a specification names. */
export function partsOf(spec: RunSpec): RunParts {
  return {
    provider: providerOf(spec),
    underlay: underlayNamed(spec.underlay),
    profile: profileNamed(spec.profile, spec),
    suites: SUITES,
  };
}

function providerOf(spec: RunSpec): Provider {
  switch (spec.provider) {
    case 'lab':
      return createLabProvider({ agentCommand: agentCommand('agent'), connectProbe });
    case 'kind':
      return createKindProvider({
        connectProbe,
        kubernetes: spec.kubernetes,
        // Those of a kept run are there already.
        clusters: spec.attach === undefined ? spec.topology.members.length : 0,
        images: spec.images,
        tools: spec.tools,
        charts: spec.charts,
        builtImages: builtImage,
      });
    case 'contexts':
      return createContextsProvider({
        kubernetes: spec.kubernetes,
        probeImage: spec.images['probe'],
        connectProbe,
        buildCommands: probeBuildCommands(),
      });
  }
}
