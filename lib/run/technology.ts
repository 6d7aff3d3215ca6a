/** What a check may ask of the technology on top, each question recorded as a step. */
import type { Site, SiteIdentities, Toolkit } from '../model/check.ts';
import type { Cluster, Fleet, JoinTokens, KubernetesCluster, Profile, Workload } from '../model/cluster.ts';
import { InternalError } from '../model/errors.ts';
import { clusterOf } from '../model/injection.ts';
import { keyOf } from '../model/workload.ts';

type Step = <T>(name: string, request: unknown, action: () => Promise<T>) => Promise<T>;

interface Asked {
  readonly fleet: Fleet;
  readonly profile: Profile;
}

function workloadOf(asked: Asked, site: Site): { workload: Workload; cluster: Cluster } {
  const cluster = clusterOf(asked.fleet, site.cluster);
  const workload = cluster.workloads.find(({ spec }) => keyOf(spec) === site.key);
  if (!workload) throw new InternalError(`${site.cluster}/${site.key} is no workload of its cluster`);
  return { workload, cluster };
}

export function identitiesOf(asked: Asked, step: Step): SiteIdentities | undefined {
  const { identities } = asked.profile;
  if (!identities) return undefined;
  const { callerHeader, callersIn, claim, dialect, foreignCredentials } = identities;
  const about =
    <T>(what: string, question: (workload: Workload, cluster: Cluster) => Promise<T>) =>
    (site: Site): Promise<T> => {
      const { workload, cluster } = workloadOf(asked, site);
      return step(`${site.cluster}/${site.key} ${what}`, undefined, () => question(workload, cluster));
    };
  return {
    callerHeader,
    callersIn,
    claim,
    dialect,
    foreignCredentials,
    identityOf: (site) => identities.identityOf(workloadOf(asked, site).workload.spec, site.cluster),
    trustBundle: about('trust bundle', identities.trustBundle),
    handshakes: about('handshakes of its proxy', identities.handshakes),
  };
}

export function technologyOf(
  asked: Asked,
  step: Step,
): Pick<
  Toolkit,
  | 'brokenLinks'
  | 'components'
  | 'controlPlaneCertificates'
  | 'exportState'
  | 'keepsLost'
  | 'nodeHealth'
  | 'peerNames'
> {
  const { profile, fleet } = asked;
  return {
    peerNames: profile.peerNames,
    keepsLost: (cluster) => profile.keepsLost?.(cluster),
    brokenLinks: async (from, to) =>
      profile.brokenLinks
        ? step(`links from ${from} to ${to}`, undefined, () =>
            profile.brokenLinks!(fleet, clusterOf(asked.fleet, from), clusterOf(asked.fleet, to)),
          )
        : [],
    nodeHealth: async (from, to) =>
      step(`health of nodes of ${to} as ${from} says`, undefined, () => {
        if (!profile.nodeHealth) throw new InternalError(`nodes of the profile ${profile.name} say nothing`);
        return profile.nodeHealth(clusterOf(fleet, from), clusterOf(fleet, to));
      }),
    controlPlaneCertificates: async (name) =>
      step(`certificates of the control plane of ${name}`, undefined, () => {
        if (!profile.controlPlaneCertificates) {
          throw new InternalError(`the profile ${profile.name} knows no certificates of control planes`);
        }
        return profile.controlPlaneCertificates(clusterOf(fleet, name));
      }),
    exportState: async (service, name) =>
      step(`export of ${keyOf(service)} by ${name}`, undefined, () => {
        if (!profile.exportState) {
          throw new InternalError(`the profile ${profile.name} knows nothing of exports`);
        }
        return profile.exportState(clusterOf(fleet, name), service);
      }),
    components: async () => {
      const { versions } = profile;
      if (!versions) return undefined;
      const components = await step('versions of components', undefined, () => versions.components(fleet));
      return { components, supported: versions.supportedSkew };
    },
  };
}

/** @param undoing notes what must be removed when the case ends */
export function joinTokensOf(
  asked: Asked,
  step: Step,
  undoing: (what: string, undo: () => Promise<void>) => void,
): Pick<Toolkit, 'makeJoinToken' | 'isJoined'> {
  const tokens = (): JoinTokens => {
    const { joinTokens, name } = asked.profile;
    if (!joinTokens) throw new InternalError(`the profile ${name} joins clusters without tokens`);
    return joinTokens;
  };
  const removing = (name: string, at: string): void =>
    undoing(`what ${at} knows by the name ${name}`, () => tokens().remove(clusterOf(asked.fleet, at), name));
  return {
    makeJoinToken: async (at, name) => {
      removing(name, at);
      let token = '';
      // Not as the result of the step, which is recorded.
      await step(`make a token of ${at} for ${name}`, undefined, async () => {
        token = await tokens().make(clusterOf(asked.fleet, at), name);
      });
      return {
        use: async (where, as) => {
          removing(as, where);
          return step(`use the token of ${at} for ${name} in ${where} as ${as}`, undefined, () =>
            tokens().use(clusterOf(asked.fleet, where), as, token),
          );
        },
        withdraw: () =>
          step(`withdraw the token of ${at} for ${name}`, undefined, () =>
            tokens().remove(clusterOf(asked.fleet, at), name),
          ),
      };
    },
    isJoined: (at, name) =>
      step(`is ${at} joined with ${name}`, undefined, () =>
        tokens().isJoined(clusterOf(asked.fleet, at), name),
      ),
  };
}

/** A cluster whose workloads come and go. @throws InternalError: the features `endpoint-discovery` and `nodes` say who has that */
export function movableCluster(asked: Asked, name: string): KubernetesCluster {
  const cluster = clusterOf(asked.fleet, name);
  if (cluster.kind !== 'kubernetes') throw new InternalError(`workloads of ${name} cannot be deleted alone`);
  return cluster as KubernetesCluster;
}
