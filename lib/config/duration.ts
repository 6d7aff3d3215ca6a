const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `90s`, `5m`, `1m30s`, `250ms`: the unit is never left out. @returns milliseconds; undefined when it is no duration */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) return undefined;
  const parts = text.matchAll(/(?<count>\d+(?:\.\d+)?)(?<unit>ms|s|m|h)/g);
  return [...parts].reduce(
    (sum, { groups }) => sum + Number(groups?.count) * UNITS[groups?.unit as keyof typeof UNITS],
    0,
  );
}
