/**
 * The value below which a share of the samples lies.
 *
 * @param samples at least one, in any order.
 * @param share 0.5 for the median, 0.99 for p99.
 * @returns the sample nearest to that place; NaN without samples.
 */
export function quantile(samples: Iterable<number>, share: number): number {
  const sorted = Float64Array.from(samples).toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The median; the mean of the middle two where there are as many above as below. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** A ratio over the rounds. */
export interface RatioSummary {
  readonly median: number;
  /** Quartiles of the rounds. */
  readonly low: number;
  readonly high: number;
  /** How many rounds it comes from. */
  readonly rounds: number;
}

/**
 * Divides round by round, and takes the median: what disturbs a round disturbs both sides of its ratio.
 *
 * @param numerators one for each round, `undefined` where it is missing.
 * @param denominators likewise.
 * @returns the ratio, or `undefined` when no round has both.
 */
export function ratioOf(
  numerators: readonly (number | undefined)[],
  denominators: readonly (number | undefined)[],
): RatioSummary | undefined {
  const ratios = numerators.flatMap((numerator, round) => {
    const denominator = denominators[round];
    if (numerator === undefined || denominator === undefined) return [];
    const ratio = numerator / denominator;
    return Number.isFinite(ratio) ? [ratio] : [];
  });
  if (ratios.length === 0) return undefined;
  return {
    median: median(ratios),
    low: quantile(ratios, 0.25),
    high: quantile(ratios, 0.75),
    rounds: ratios.length,
  };
}
