/** What certificates say, and whether one vouches for another. Pure. */
import { X509Certificate } from 'node:crypto';
import { type Figures, type Verdict, failed } from '../../lib/model/verdict.ts';

export interface Certificate {
  readonly subject: string;
  /** URIs among its alternative names. */
  readonly uris: readonly string[];
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly fingerprint: string;
  /** Whether it may sign others. */
  readonly isAuthority: boolean;
}

/** @throws what node:crypto says of a text that is no certificate */
export function read(pem: string): Certificate {
  const {
    subject,
    subjectAltName = '',
    validFromDate,
    validToDate,
    fingerprint256,
    ca,
  } = new X509Certificate(pem);
  return {
    subject: subject?.replaceAll('\n', ', ') ?? '',
    uris: [...subjectAltName.matchAll(/URI:([^,\s"]+)/g)].map(([, uri]) => uri as string),
    from: validFromDate.getTime(),
    until: validToDate.getTime(),
    fingerprint: fingerprint256,
    isAuthority: ca,
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

type Named = Certificate & { readonly name: string };

const DAY_MS = 24 * 60 * 60 * 1_000;

/** What each certificate has left of its lifetime, and the first root to end. */
export const lifetimes = (certificates: readonly Named[], roots: readonly Named[], at: number): Figures => ({
  ...Object.fromEntries(
    certificates.map((certificate) => [
      `${certificate.name} left`,
      { value: 100 * lifetimeLeft(certificate, at), unit: '%' },
    ]),
  ),
  ...(roots.length > 0 && {
    'root left': { value: Math.min(...roots.map(({ until }) => until - at)) / DAY_MS, unit: 'days' },
  }),
});

const span = ({ from, until }: Certificate): string =>
  `${new Date(from).toISOString()} to ${new Date(until).toISOString()}`;

/**
 * The verdict on the first certificate that ends too soon, or has not begun; undefined when there is none.
 * @param left share of its lifetime that each must have left @param rootDays days that each root must have left
 */
export function endingSoon(
  certificates: readonly Named[],
  roots: readonly Named[],
  at: number,
  { left, rootDays }: { readonly left: number; readonly rootDays: number },
): Verdict | undefined {
  const figures = lifetimes(certificates, roots, at);
  for (const certificate of certificates) {
    const share = lifetimeLeft(certificate, at);
    if (share >= left && share <= 1) continue;
    return failed(
      'certificate-ending',
      share > 1
        ? `The ${certificate.name} is not valid yet`
        : `The ${certificate.name} has too little of its lifetime left`,
      {
        expected: `at least ${100 * left} % of the lifetime left`,
        seen: `${Math.round(100 * share)} % (${span(certificate)})`,
        figures,
      },
    );
  }
  const ending = roots.find(({ from, until }) => until - at < rootDays * DAY_MS || from > at);
  return (
    ending &&
    failed('certificate-ending', `The ${ending.name} ends soon, or has not begun`, {
      expected: `at least ${rootDays} days left`,
      seen: `valid from ${span(ending)}`,
      figures,
    })
  );
}
