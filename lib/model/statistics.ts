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

/** Of the median of a normal distribution, relative to that of the mean: √(π/2). */
const MEDIAN_TO_MEAN = Math.sqrt(Math.PI / 2);

/** Standard error of the median of repeated measurements, relative to it; infinite for fewer than two. */
function relativeErrorOfMedian(values: readonly number[]): number {
  if (values.length < 2) return Number.POSITIVE_INFINITY;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return (MEDIAN_TO_MEAN * Math.sqrt(variance / values.length)) / median(values);
}

/**
 * Whether what was measured holds at least `share` of its baseline, by the medians. `doubtful`: it does not, but by less
 * than twice the standard error of their ratio, so that as many runs more might say otherwise.
 */
export function holdsShare(
  values: readonly number[],
  baselines: readonly number[],
  share: number,
): 'yes' | 'no' | 'doubtful' {
  const ratio = median(values) / median(baselines);
  if (ratio >= share) return 'yes';
  const error = ratio * Math.hypot(relativeErrorOfMedian(values), relativeErrorOfMedian(baselines));
  return ratio + 2 * error < share ? 'no' : 'doubtful';
}

/**
 * Upper bound at 95 % of a rate of which none was seen in `tries`: 1 − 0.05^(1/n), near 3/n (the "rule of three").
 */
export function upperBoundOfUnseen(tries: number): number {
  return tries === 0 ? 1 : 1 - 0.05 ** (1 / tries);
}

/**
 * Upper bound at 95 % of a rate of which `seen` were seen in `tries` (Clopper and Pearson 1934, one-sided): the rate at
 * which as few as that have a chance of 5 %.
 */
export function upperBoundOfRate(seen: number, tries: number): number {
  if (seen === 0) return upperBoundOfUnseen(tries);
  if (seen >= tries) return 1;
  let [low, high] = [seen / tries, 1];
  // Halving 50 times is beyond what a double can tell apart.
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    if (chanceOfAtMost(seen, tries, middle) > 0.05) low = middle;
    else high = middle;
  }
  return high;
}

/** Of a binomial distribution; each term follows from the one before, in logarithms so that none is lost to underflow. */
function chanceOfAtMost(most: number, tries: number, rate: number): number {
  let term = tries * Math.log1p(-rate);
  let sum = Math.exp(term);
  for (let count = 1; count <= most; count++) {
    term += Math.log((tries - count + 1) / count) + Math.log(rate) - Math.log1p(-rate);
    sum += Math.exp(term);
  }
  return sum;
}

/** Student's t, 97.5 %, by degrees of freedom. */
const T_QUANTILES: readonly (readonly [freedom: number, quantile: number])[] = [
  [1, 12.706],
  [2, 4.303],
  [3, 3.182],
  [4, 2.776],
  [5, 2.571],
  [6, 2.447],
  [8, 2.306],
  [10, 2.228],
  [15, 2.131],
  [20, 2.086],
  [30, 2.042],
  [60, 2],
  [120, 1.98],
];

/** Of a few values that agree by chance nobody takes the agreement for exactness. */
const LEAST_RELATIVE_DEVIATION = 0.05;

/**
 * Whether two sets of measurements differ by more than their own spread: Welch's t-test, two-sided, at 95 %.
 * `unknown`: one of them was measured once only, so that nothing is known of its spread.
 * @param resolution how fine a single measurement is, in its own unit
 */
export function compareMeans(
  a: readonly number[],
  b: readonly number[],
  resolution = 0,
): 'less' | 'more' | 'same' | 'unknown' {
  if (a.length < 2 || b.length < 2) return 'unknown';
  const [one, other] = [a, b].map((values) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
    const deviation = Math.max(Math.sqrt(squares), resolution, LEAST_RELATIVE_DEVIATION * Math.abs(mean));
    return { mean, freedom: values.length - 1, error: deviation ** 2 / values.length };
  }) as [MeanAndError, MeanAndError];
  const difference = one.mean - other.mean;
  const error = one.error + other.error;
  if (error === 0) return 'same';
  // Welch and Satterthwaite.
  const freedom = error ** 2 / (one.error ** 2 / one.freedom + other.error ** 2 / other.freedom);
  const quantile = tQuantile(freedom);
  if (Math.abs(difference) <= quantile * Math.sqrt(error)) return 'same';
  return difference < 0 ? 'less' : 'more';
}

/** Between the entries of the table by the inverse of the degrees of freedom, which errs on the large side. */
function tQuantile(freedom: number): number {
  const above = T_QUANTILES.findIndex(([listed]) => listed >= freedom);
  const [more, less] = [T_QUANTILES[above], T_QUANTILES[above - 1]];
  if (!more) return T_QUANTILES.at(-1)![1];
  if (!less) return more[1];
  const share = (1 / less[0] - 1 / freedom) / (1 / less[0] - 1 / more[0]);
  return less[1] + share * (more[1] - less[1]);
}

interface MeanAndError {
  readonly mean: number;
  readonly freedom: number;
  /** Squared. */
  readonly error: number;
}
