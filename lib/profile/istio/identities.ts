/** SPIFFE identities as Istio gives and shows them. */
import type { Identities } from '../../model/cluster.ts';
import type { WorkloadSpec } from '../../model/workload.ts';
import { systemClock } from '../../system/clock.ts';
import { createLeaf, createRoot, validFor } from '../common/certificates.ts';
import type { ControlPlanes } from './clusters.ts';
import { asKubernetes } from './clusters.ts';
import { TRUST_DOMAIN } from './names.ts';
import { handshakes, trustBundle } from './proxies.ts';

/** What a proxy offers when it opens TLS to another (ALPN); by it the other knows that this is the mesh. */
const ALPN = ['istio-peer-exchange', 'istio'];
const FOREIGN_DAYS = 1;

export const accountOf = ({ serviceAccount, name }: Pick<WorkloadSpec, 'serviceAccount' | 'name'>): string =>
  serviceAccount ?? name;

/** As policies name it: without the scheme. */
export const principalOf = (namespace: string, account: string): string =>
  `${TRUST_DOMAIN}/ns/${namespace}/sa/${account}`;

/**
 * URIs of an `x-forwarded-client-cert` header, in its order: elements by commas, `key=value` pairs by semicolons, both
 * also inside quoted values. Pure.
 */
export function callersIn(header: string): string[] {
  return splitOutsideQuotes(header, ',').flatMap((element) =>
    splitOutsideQuotes(element, ';').flatMap((pair) => {
      const equals = pair.indexOf('=');
      if (pair.slice(0, equals).trim().toLowerCase() !== 'uri') return [];
      return [pair.slice(equals + 1).replace(/^"(.*)"$/, '$1')];
    }),
  );
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text[index] as string;
    // What is escaped stays so: an element is split once more.
    if (character === '\\' && quoted) part += character + (text[++index] ?? '');
    else if (character === separator && !quoted) {
      parts.push(part);
      part = '';
    } else {
      if (character === '"') quoted = !quoted;
      part += character;
    }
  }
  return [...parts, part].filter((one) => one !== '');
}

export function istioIdentities(planes: ControlPlanes): Identities {
  return {
    identityOf: (workload, cluster) => {
      const place = planes.clusters.find(({ name }) => name === cluster);
      const namespace = place ? asKubernetes(place).namespaceOf(workload.namespace) : workload.namespace;
      return `spiffe://${principalOf(namespace, accountOf(workload))}`;
    },
    callerHeader: 'x-forwarded-client-cert',
    callersIn,
    claim: (identity) => `By=${identity};Hash=${'0'.repeat(64)};Subject="";URI=${identity}`,
    dialect: ({ namespace, name }, port) => ({
      serverName: `outbound_.${port}_._.${name}.${namespace}.svc.cluster.local`,
      alpn: ALPN,
    }),
    foreignCredentials: async (identity) => {
      const now = new Date(systemClock.now());
      const stranger = await createRoot('a stranger', validFor(FOREIGN_DAYS, now));
      const leaf = await createLeaf(identity, stranger, now);
      return { certificates: `${leaf.certificate}${stranger.certificate}`, key: leaf.key };
    },
    trustBundle,
    handshakes,
  };
}
