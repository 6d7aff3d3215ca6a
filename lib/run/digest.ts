const TEXT_LENGTH = 120;
const ITEMS = 3;
const KEYS = 12;
const DEPTH = 4;

/** A value cut down to what a person reads in a list of steps; the observation holds all of it. */
export function digest(value: unknown, depth = DEPTH): unknown {
  if (typeof value === 'string') {
    return value.length > TEXT_LENGTH ? `${value.slice(0, TEXT_LENGTH)}… (${value.length})` : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    if (depth === 0) return `${value.length} items`;
    const shown: unknown[] = value.slice(0, ITEMS).map((item) => digest(item, depth - 1));
    return value.length > ITEMS ? [...shown, `… ${value.length} items`] : shown;
  }
  if (depth === 0) return '…';
  const entries = Object.entries(value);
  const shown = entries.slice(0, KEYS).map(([key, item]) => [key, digest(item, depth - 1)] as const);
  return Object.fromEntries(
    entries.length > KEYS ? [...shown, ['…', `${entries.length} keys`] as const] : shown,
  );
}
