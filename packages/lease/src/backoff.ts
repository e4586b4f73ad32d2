/** Delays between attempts: doubling from `firstMs` to `maxMs`, each shortened by up to half at random. */
export interface Backoff {
  /** How many delays were taken since the last reset. */
  readonly attempt: number;
  /** Takes the next delay, in milliseconds. */
  next(): number;
  /** Starts over, after a success. */
  reset(): void;
}

/**
 * Makes a backoff with jitter, so that hosts that failed together do not try again together.
 *
 * @param options - The first and the longest delay in milliseconds, and where randomness comes from.
 * @returns The backoff, before its first delay.
 */
export function createBackoff(options: { firstMs: number; maxMs: number; random: () => number }): Backoff {
  const { firstMs, maxMs, random } = options;
  let attempt = 0;
  return {
    get attempt() {
      return attempt;
    },
    next() {
      const delayMs = Math.min(firstMs * 2 ** attempt, maxMs);
      attempt += 1;
      return delayMs * (1 - random() / 2);
    },
    reset() {
      attempt = 0;
    },
  };
}
