/** Cluster names in order: the four points of the compass, then c5, c6 and so on. */
const COMPASS = ['east', 'west', 'north', 'south'];

export function defaultClusterNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => COMPASS[index] ?? `c${index + 1}`);
}

/** A DNS label (RFC 1123): what a cluster may be called, since its name becomes part of DNS and interface names. */
export const CLUSTER_NAME = /^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/;

export const RUN_ID = /^[a-z][a-z0-9]{5}$/;

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const LETTERS_AND_DIGITS = `${LETTERS}0123456789`;

/** `random` gives an integer in [0, exclusive limit). */
export function newRunId(random: (limit: number) => number): string {
  let id = LETTERS[random(LETTERS.length)] as string;
  while (id.length < 6) id += LETTERS_AND_DIGITS[random(LETTERS_AND_DIGITS.length)] as string;
  return id;
}

/** What a case is about: one cluster, a directed pair, or the fleet. */
export type Subject =
  { scope: 'fleet' } | { scope: 'cluster'; cluster: string } | { scope: 'pair'; from: string; to: string };

/** `<check id>[east->west]`, `[east]` or `[fleet]`; variants (such as `ipv6`) follow the subject inside the brackets. */
export function caseId(checkId: string, subject: Subject, variants: readonly string[] = []): string {
  return `${checkId}[${[subjectName(subject), ...variants].join(',')}]`;
}

export function subjectName(subject: Subject): string {
  switch (subject.scope) {
    case 'fleet':
      return 'fleet';
    case 'cluster':
      return subject.cluster;
    case 'pair':
      return `${subject.from}->${subject.to}`;
  }
}

/** The suite id is what stands before the first dot of a check id. */
export function suiteOf(checkId: string): string {
  return checkId.slice(0, checkId.indexOf('.'));
}

/** Matches a whole id; `*` stands for any characters, everything else for itself. */
export function matchesGlob(glob: string, id: string): boolean {
  const pattern = glob
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${pattern}$`).test(id);
}
