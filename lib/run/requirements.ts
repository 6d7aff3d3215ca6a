import type { KubernetesRequirements, Profile, Requirements, Underlay } from '../model/cluster.ts';
import type { IpFamily } from '../model/cidr.ts';
import { UserError } from '../model/errors.ts';
import { type Topology, countPaths } from '../model/topology.ts';

/** What underlay and profile need together. @throws UserError when they contradict each other */
export function mergeRequirements(
  underlay: Underlay,
  profile: Profile,
  families: readonly IpFamily[],
): Requirements {
  const below = underlay.requirements(families);
  const above = profile.requirements();
  if (below.pathMtu !== undefined && above.pathMtu !== undefined && below.pathMtu !== above.pathMtu) {
    throw new UserError(
      `The underlay ${underlay.name} makes a path MTU of ${below.pathMtu}, the profile ${profile.name} needs ${above.pathMtu}`,
      { where: '--underlay, --profile', remedy: 'Choose another underlay or profile' },
    );
  }
  const nodeMtu = below.pathMtu ?? above.pathMtu;
  const overhead = (below.overhead ?? 0) + (above.overhead ?? 0);
  const kubernetes = mergeKubernetes(below.kubernetes, above.kubernetes);
  return {
    wan: below.wan || above.wan,
    ...(nodeMtu !== undefined && { nodeMtu, pathMtu: nodeMtu - overhead }),
    hostPackages: [...new Set([...below.hostPackages, ...above.hostPackages])],
    ...(kubernetes && { kubernetes }),
  };
}

/** Whoever wants something away, or on every node, gets it. */
function mergeKubernetes(
  a: KubernetesRequirements | undefined,
  b: KubernetesRequirements | undefined,
): KubernetesRequirements | undefined {
  if (!a || !b) return a ?? b;
  return {
    cni: a.cni === 'none' || b.cni === 'none' ? 'none' : 'default',
    kubeProxy: a.kubeProxy === 'none' || b.kubeProxy === 'none' ? 'none' : 'kept',
    podRoutes: a.podRoutes && b.podRoutes,
    links: [...new Set([...(a.links ?? []), ...(b.links ?? [])])],
    images: [...new Set([...a.images, ...b.images])],
    cniImages: [...new Set([...(a.cniImages ?? []), ...(b.cniImages ?? [])])],
    policyKinds: [...(a.policyKinds ?? []), ...(b.policyKinds ?? [])],
    tools: [...new Set([...a.tools, ...b.tools])],
  };
}

/** @throws UserError for a topology with pairs that the technology cannot serve: nothing is made then */
export function assertServes({ name, ways }: Pick<Profile, 'name' | 'ways'>, topology: Topology): void {
  for (const kind of countPaths(topology).keys()) {
    const way = ways?.[kind];
    if (way === undefined || typeof way === 'string') continue;
    throw new UserError(
      `The profile ${name} serves no topology with pairs of clusters that are ${kind}: ${way.refusal}`,
      {
        where: kind === 'forbidden' ? 'clusters, segments' : '--topology',
        remedy: way.remedy,
      },
    );
  }
}
