/** What certificates say, and whether one vouches for another. Pure. */
import { X509Certificate } from 'node:crypto';

export interface Certificate {
  readonly subject: string;
  /** URIs among its alternative names. */
  readonly uris: readonly string[];
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly fingerprint: string;
}

/** @throws what node:crypto says of a text that is no certificate */
export function read(pem: string): Certificate {
  const {
    subject,
    subjectAltName = '',
    validFromDate,
    validToDate,
    fingerprint256,
  } = new X509Certificate(pem);
  return {
    subject: subject?.replaceAll('\n', ', ') ?? '',
    uris: [...subjectAltName.matchAll(/URI:([^,\s"]+)/g)].map(([, uri]) => uri as string),
    from: validFromDate.getTime(),
    until: validToDate.getTime(),
    fingerprint: fingerprint256,
  };
}

/** Whether a chain, leaf first, leads to one of these authorities. Clocks are another matter. */
export function verifies(chain: readonly string[], authorities: readonly string[]): boolean {
  const [leaf, ...intermediates] = chain.map((pem) => new X509Certificate(pem));
  const roots = authorities.map((pem) => new X509Certificate(pem));
  let current = leaf;
  for (let step = 0; current && step <= chain.length; step++) {
    const below: X509Certificate = current;
    if (roots.some((root) => root.fingerprint256 === below.fingerprint256 || vouches(root, below)))
      return true;
    current = intermediates.find((above) => above !== below && vouches(above, below));
  }
  return false;
}

const vouches = (above: X509Certificate, below: X509Certificate): boolean =>
  above.ca && below.checkIssued(above) && below.verify(above.publicKey);

/** Share of its lifetime that a certificate has left at a moment; negative when it is over, above 1 before it begins. */
export const lifetimeLeft = ({ from, until }: Certificate, at: number): number =>
  (until - at) / (until - from);
