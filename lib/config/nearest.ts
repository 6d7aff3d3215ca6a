import { closest } from 'fastest-levenshtein';

/** Longer lists help nobody in an error message. */
const LISTED_AT_MOST = 12;

/** One sentence that names the nearest known name, and all of them when they are few. */
export function suggest(word: string, known: readonly string[]): string {
  if (known.length === 0) return 'Nothing is known here';
  const nearest = `Did you mean "${closest(word, known)}"?`;
  return known.length > 1 && known.length <= LISTED_AT_MOST
    ? `${nearest} Known: ${known.join(', ')}`
    : nearest;
}
