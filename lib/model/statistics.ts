/** Nearest-rank percentile of unsorted values; `NaN` for none. @param rank 0 to 100 */
export function percentile(values: readonly number[], rank: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const index = Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1);
  return sorted[index] as number;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** (max − min) / median: how far repeated measurements lie apart; 0 for fewer than two. */
export function relativeSpread(values: readonly number[]): number {
  if (values.length < 2) return 0;
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/**
 * Upper bound at 95 % of a rate of which none was seen in `tries`: 1 − 0.05^(1/n), near 3/n (the "rule of three").
 */
export function upperBoundOfUnseen(tries: number): number {
  return tries === 0 ? 1 : 1 - 0.05 ** (1 / tries);
}
