/** SPIFFE identities as every Envoy shows them, and credentials of one whom nobody vouches for. */
import type { Identities } from '../../model/cluster.ts';
import { systemClock } from '../../system/clock.ts';
import { createLeaf, createRoot, validFor } from './certificates.ts';

const FOREIGN_DAYS = 1;

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

/** A value of the header that claims this identity. */
export const claimOf = (identity: string): string =>
  `By=${identity};Hash=${'0'.repeat(64)};Subject="";URI=${identity}`;

export const foreignCredentials: Identities['foreignCredentials'] = async (identity) => {
  const now = new Date(systemClock.now());
  const stranger = await createRoot('a stranger', validFor(FOREIGN_DAYS, now));
  const leaf = await createLeaf(identity, stranger, now);
  return { certificates: `${leaf.certificate}${stranger.certificate}`, key: leaf.key };
};
