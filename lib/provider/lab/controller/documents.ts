/** What a cluster shares, as the controllers tell it to each other. Pure. */
import { parseAddress } from '../../../model/cidr.ts';
import { isLabel } from './parse.ts';
import type { Endpoint } from './state.ts';

/** Endpoints of one cluster, over all its services. */
const ENDPOINT_LIMIT = 4096;

/** Healthy endpoints of the services that a cluster shares, by `namespace/name`. */
export type SharedEndpoints = ReadonlyMap<string, readonly Endpoint[]>;

export interface EndpointsDocument {
  readonly cluster: string;
  readonly services: Readonly<
    Record<string, readonly { readonly workload: string; readonly address: string }[]>
  >;
}

export function documentOf(cluster: string, shared: SharedEndpoints): EndpointsDocument {
  const services: Record<string, { workload: string; address: string }[]> = {};
  for (const [key, endpoints] of shared) {
    services[key] = endpoints.map(({ workload, address }) => ({ workload, address }));
  }
  return { cluster, services };
}

/** Takes only what is well formed: its names go into rules and DNS records. @throws Error saying what is wrong */
export function readDocument(document: EndpointsDocument): SharedEndpoints {
  const { cluster } = document;
  if (!isLabel(cluster)) throw new Error('endpoints of no cluster');
  const shared = new Map<string, Endpoint[]>();
  let count = 0;
  for (const [key, endpoints] of Object.entries(document.services ?? {})) {
    if (!key.split('/').every(isLabel) || !Array.isArray(endpoints)) throw new Error(`bad service "${key}"`);
    count += endpoints.length;
    if (count > ENDPOINT_LIMIT) throw new Error(`more than ${ENDPOINT_LIMIT} endpoints`);
    shared.set(
      key,
      endpoints.map((endpoint: unknown) => readEndpoint(endpoint, cluster)),
    );
  }
  return shared;
}

function readEndpoint(value: unknown, cluster: string): Endpoint {
  const { workload, address } = (value ?? {}) as Partial<Endpoint>;
  if (!isLabel(workload) || typeof address !== 'string') throw new Error('bad endpoint');
  parseAddress(address);
  return { cluster, workload, address };
}
