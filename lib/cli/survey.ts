/** What a specification cannot say before it has been looked at: kept runs, and clusters that exist. Creates nothing. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { choicesOf } from '../config/names.ts';
import type { Fleet, LinkKind, Profile } from '../model/cluster.ts';
import { InternalError, UserError, messageOf } from '../model/errors.ts';
import type { RunSpec } from '../model/spec.ts';
import { connectProbe } from '../probe/client.ts';
import { kernelChoicesOf, recognisable } from '../profile/index.ts';
import { assembleContexts } from '../provider/contexts/index.ts';
import { type SurveyedCluster, surveyContexts } from '../provider/contexts/survey.ts';
import { namespaceName } from '../provider/kubernetes/names.ts';
import { planRun } from '../run/execute.ts';
import { loadAttachable } from '../run/state.ts';
import { removePath, stateFolder } from '../system/files.ts';
import { lacksLink } from '../system/kernel.ts';
import { partsOf } from './compose.ts';
import { note } from './print.ts';

/** @throws UserError for a kept run that is not there, or a cluster that cannot be used */
export async function completeSpec(asked: RunSpec): Promise<RunSpec> {
  const spec =
    asked.attach === undefined
      ? asked
      : { ...asked, ...(await loadAttachable(stateFolder(), asked.attach)).spec };
  // What stands was looked at when it was made.
  if (spec.attach !== undefined) return spec;
  if (spec.provider !== 'contexts') return withoutWhatKernelLacks(spec);
  const { contexts, kubeconfig, ranges } = spec.kubernetes;
  const clusters = await surveyContexts({
    contexts,
    ...(kubeconfig !== undefined && { kubeconfig }),
    families: spec.families,
    given: ranges,
  });
  const surveyed: RunSpec = {
    ...spec,
    plan: {
      ...spec.plan,
      clusters: Object.fromEntries(clusters.map((cluster) => [cluster.name, cluster.ranges])),
      // Nothing of this program lies between them.
      wan: {},
      tunnel: {},
    },
  };
  const chosen =
    spec.configuration['profile'] === undefined ? { ...surveyed, ...(await recognise(surveyed)) } : surveyed;
  if (chosen.verbosity !== 'quiet') note(announce(chosen, clusters));
  return chosen;
}

/** What was chosen and this kernel cannot is left out, with the reason. @param lacks replaced in tests */
export async function withoutWhatKernelLacks(
  spec: RunSpec,
  lacks: (link: LinkKind) => Promise<boolean> = lacksLink,
): Promise<RunSpec> {
  let possible = spec;
  for (const { link, what, feature, reason, instead } of kernelChoicesOf(spec.profile, spec)) {
    if (!(await lacks(link))) continue;
    if (spec.verbosity !== 'quiet') note(`Without ${what}: ${reason}`);
    possible = { ...possible, ...instead, lacking: { ...possible.lacking, [feature]: reason } };
  }
  return possible;
}

/** The technology that is there: the first that recognises itself. */
async function recognise(spec: RunSpec): Promise<Partial<RunSpec>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mcnet-'));
  try {
    const fleet = await assembleContexts(
      {
        run: 'survey',
        names: Object.keys(spec.plan.clusters),
        topology: spec.topology,
        plan: spec.plan,
        families: spec.families,
        ledger: { add: () => Promise.reject(new InternalError('looking at clusters creates nothing')) },
        signal: new AbortController().signal,
      },
      { kubernetes: spec.kubernetes, probeImage: 'none', connectProbe },
      folder,
    );
    const available = choicesOf('profile').map(({ name }) => name);
    for (const { chosen, profile } of recognisable(spec)) {
      if (available.includes(profile.name) && (await recognises(profile, fleet))) return chosen;
    }
    return { profile: 'none' };
  } finally {
    await removePath(folder);
  }
}

async function recognises(profile: Profile, fleet: Fleet): Promise<boolean> {
  try {
    await profile.adopt?.(fleet);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw new InternalError(`the profile ${profile.name} cannot look: ${messageOf(error)}`);
  }
}

/** Where everything will be, before anything is. */
function announce(spec: RunSpec, clusters: readonly SurveyedCluster[]): string {
  const { fixtures } = planRun(spec, partsOf(spec));
  const namespaces = new Set(
    [...fixtures.workloads, ...fixtures.services, ...fixtures.intents].map(({ namespace }) =>
      namespaceName(namespace, spec.kubernetes.namespace),
    ),
  );
  const nodes = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);
  return [
    `Existing clusters, profile ${spec.profile}. Only these namespaces are created in each, with pods, services, policies`,
    `and service accounts in them, and removed at the end: ${[...namespaces].toSorted().join(', ')}`,
    ...clusters.map(
      ({ name, context, apiServer, version, nodes: count, ranges }) =>
        `  ${name}: context ${context}, ${apiServer}, Kubernetes ${version}, ${nodes(count)}, pods ${Object.values(ranges.pods).join(' ')}, services ${Object.values(ranges.services).join(' ')}`,
    ),
  ].join('\n');
}
