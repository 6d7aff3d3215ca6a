/** What technologies say of the links between control planes. */
import type { BrokenLink } from '../../lib/model/cluster.ts';

/** What is said to be wrong, the likeliest first, without what could not be asked. */
export const told = (links: readonly BrokenLink[]): BrokenLink[] =>
  links.filter(({ cause }) => cause !== 'probe-failed');
