/** Services and their endpoints. Pure. */
import { mapFamilies } from '../../model/addressing.ts';
import { type IpFamily, type PerFamily, addressAt, bitsOf, parseCidr } from '../../model/cidr.ts';
import type { KubernetesObject } from '../../model/cluster.ts';
import type { ServicePort, ServiceSpec } from '../../model/workload.ts';
import { ANNOTATIONS, APPLICATION, LABELS } from './names.ts';

const FAMILY = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;

const portsOf = (ports: readonly ServicePort[]) =>
  ports.map(({ name, port, protocol }) => ({ name, port, protocol: protocol.toUpperCase() }));

/** @param namespace its name in the cluster */
export function serviceOf(
  spec: ServiceSpec,
  namespace: string,
  families: readonly IpFamily[],
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: spec.name,
      namespace,
      annotations: { [ANNOTATIONS.spec]: JSON.stringify(spec) },
    },
    spec: {
      type: 'ClusterIP',
      ...(spec.headless && { clusterIP: 'None' }),
      // Whoever gives the endpoints otherwise must not be joined by a selector.
      ...(spec.fixedEndpoints === undefined && !spec.startedBackends && { selector: spec.selector }),
      ipFamilies: families.map((family) => FAMILY[family]),
      ipFamilyPolicy: families.length > 1 ? 'RequireDualStack' : 'SingleStack',
      ports: portsOf(spec.ports),
    },
  };
}

/** Far from where nodes of a small cluster hand out pod addresses: nobody is to answer there. */
const FIRST_FIXED_ENDPOINT = 4_096;

function firstFixedEndpoint(pods: string, count: number): number {
  const { family, prefix } = parseCidr(pods);
  const size = 2 ** Math.min(bitsOf(family) - prefix, 32);
  return Math.max(0, Math.min(FIRST_FIXED_ENDPOINT, size - count - 1));
}

/** Endpoints that no selector gives: one slice for each family, as the API has it. */
export function fixedSlices(
  spec: ServiceSpec,
  namespace: string,
  pods: PerFamily<string>,
  families: readonly IpFamily[],
): KubernetesObject[] {
  const count = spec.fixedEndpoints ?? 0;
  return families.flatMap((family) => {
    const range = pods[family];
    if (range === undefined) return [];
    const first = firstFixedEndpoint(range, count);
    const endpoints = Array.from({ length: count }, (_, index) => ({
      addresses: [addressAt(parseCidr(range), first + index)],
      conditions: { ready: true },
    }));
    return [sliceOf(spec, namespace, family, endpoints)];
  });
}

export function sliceOf(
  spec: ServiceSpec,
  namespace: string,
  family: IpFamily,
  endpoints: readonly unknown[],
): KubernetesObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${spec.name}-${family}`,
      namespace,
      labels: {
        'kubernetes.io/service-name': spec.name,
        'endpointslice.kubernetes.io/managed-by': APPLICATION,
        [LABELS.managedBy]: APPLICATION,
      },
    },
    addressType: FAMILY[family],
    ports: portsOf(spec.ports),
    endpoints,
  };
}

/** Addresses that the API server gave a service; none for a headless one. */
export function clusterIpsOf(service: KubernetesObject): PerFamily<string> {
  const { clusterIPs = [] } = (service['spec'] ?? {}) as { readonly clusterIPs?: readonly string[] };
  const addresses: { ipv4?: string; ipv6?: string } = {};
  for (const address of clusterIPs) {
    if (address !== 'None' && address !== '') addresses[address.includes(':') ? 'ipv6' : 'ipv4'] = address;
  }
  return mapFamilies(addresses, (address) => address);
}
