/** The chain by which callers of one cluster get to services of another: servers, peering, gateways, proxies. */
import type { BrokenLink, KubernetesCluster } from '../../model/cluster.ts';
import { keyOf } from '../../model/workload.ts';
import { GATEWAY, SERVER, SYSTEM_NAMESPACE, servicesOf } from './names.ts';
import { isReady } from '../common/clusters.ts';
import { lookAtLinks } from '../common/links.ts';
import { type Peering, isActive, peeringsOf, podsOf } from './server.ts';

const kubectl = (cluster: KubernetesCluster, words: string): string =>
  `kubectl --kubeconfig ${cluster.kubeconfig} --context ${cluster.context} -n ${SYSTEM_NAMESPACE} ${words}`;

/** Pure. @param peerings as the server of `at` says them */
export function peeringLink(
  at: string,
  other: string,
  peerings: readonly Peering[],
): Pick<BrokenLink, 'cause' | 'what'> | undefined {
  const peering = peerings.find(({ Name }) => Name === other);
  if (!peering) return { cause: 'peering-missing', what: `${at} has no peering with ${other}` };
  return isActive(peering)
    ? undefined
    : { cause: 'peering-missing', what: `the peering of ${at} with ${other} is ${peering.State}` };
}

async function linksOf(at: KubernetesCluster, other: string): Promise<readonly BrokenLink[]> {
  if (!(await podsOf(at, SERVER)).some(isReady)) {
    return [
      {
        cause: 'control-plane-down',
        what: `no server of Consul is ready in ${at.name}`,
        command: kubectl(at, `get pods -l app=${SERVER}`),
      },
    ];
  }
  const broken = peeringLink(at.name, other, await peeringsOf(at));
  const gateways = await podsOf(at, GATEWAY);
  const unproxied = at.workloads.find(({ spec }) => spec.overServices && servicesOf(spec).length === 0);
  return [
    ...(broken
      ? [
          {
            ...broken,
            command: kubectl(at, `exec deployment/${SERVER} -- consul peering read -name ${other}`),
          },
        ]
      : []),
    ...(gateways.some(isReady)
      ? []
      : [
          {
            cause: 'gateway-down' as const,
            what: `no mesh gateway is ready in ${at.name}`,
            command: kubectl(at, `get pods -l app=${GATEWAY}`),
          },
        ]),
    ...(unproxied
      ? [
          {
            cause: 'proxy-missing' as const,
            what: `${at.name}/${keyOf(unproxied.spec)} has no proxy beside it`,
          },
        ]
      : []),
  ];
}

/** What is wrong because of another comes after it: without a gateway no peering is active. */
const ORDER: readonly BrokenLink['cause'][] = ['control-plane-down', 'gateway-down', 'proxy-missing'];

/** Pure. Of links that are broken alike, those of the caller's cluster come first. */
export const likeliestFirst = (links: readonly BrokenLink[]): BrokenLink[] => {
  const place = ({ cause }: BrokenLink): number => {
    const found = ORDER.indexOf(cause);
    return found === -1 ? ORDER.length : found;
  };
  return links.toSorted((one, other) => place(one) - place(other));
};

export async function brokenLinks(
  from: KubernetesCluster,
  to: KubernetesCluster,
): Promise<readonly BrokenLink[]> {
  return likeliestFirst(await lookAtLinks([() => linksOf(from, to.name), () => linksOf(to, from.name)]));
}
