/** What a benchmark measured. */
export interface BenchmarkResult {
  /** Medians over the rounds, each against something measured in the same run. */
  readonly ratios: Readonly<Record<string, number>>;
  /** Absolute numbers, where they say something; the unit is part of the name. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** What a `*.bench.ts` file exports. */
export interface Benchmark {
  /** What `npm run bench -- NAME` takes. */
  readonly name: string;
  /**
   * Measures; `rounds` is at least 1, and 15 or more for figures that mean something. `seconds` is how long one measurement takes, for benchmarks
   * that measure for a time. `only` and `base` are for those that say so.
   */
  run(options: BenchmarkOptions): Promise<BenchmarkResult>;
}

/** How much is to be measured, and what. */
export interface BenchmarkOptions {
  readonly rounds: number;
  readonly seconds?: number | undefined;
  /** What to measure of all that there is, in the benchmark's own words. */
  readonly only?: readonly string[] | undefined;
  /** Another checkout of this workspace, installed, to compare with. */
  readonly base?: string | undefined;
}
