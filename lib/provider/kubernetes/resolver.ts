/** Which DNS server the pods of a cluster use, and under which domain: what stands in their own resolv.conf. Pure. */
import { mapFamilies } from '../../model/addressing.ts';
import type { PerFamily } from '../../model/cidr.ts';

export interface Resolver {
  readonly servers: PerFamily<string>;
  /** Domain of services: `cluster.local` nearly everywhere. */
  readonly domain: string;
}

export const DEFAULT_DOMAIN = 'cluster.local';

export function parseResolver(text: string): Resolver {
  const servers: { ipv4?: string; ipv6?: string } = {};
  let domain = DEFAULT_DOMAIN;
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined) {
      servers[words[0].includes(':') ? 'ipv6' : 'ipv4'] ??= words[0];
    } else if (keyword === 'search') {
      const services = words.find((word) => word.startsWith('svc.'));
      if (services !== undefined) domain = services.slice('svc.'.length).replace(/\.$/, '');
    }
  }
  return { servers: mapFamilies(servers, (server) => server), domain };
}
