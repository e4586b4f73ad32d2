/** How an attempt ended. */
export type Outcome<Attempt, Result> =
  | { readonly attempt: Attempt; readonly result: Result }
  | { readonly attempt: Attempt; readonly error: unknown };

/** Attempts at one thing that run beside each other, and the order in which they end. */
export class Attempts<Attempt, Result> {
  readonly #running = new Set<AbortController>();
  readonly #ended: Outcome<Attempt, Result>[] = [];
  #wake: () => void = () => {};

  /** How many run. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Begins another one.
   *
   * @param attempt - what it is
   * @param run - does it; the signal aborts when another one made it needless
   */
  begin(attempt: Attempt, run: (signal: AbortSignal) => Promise<Result>): void {
    const controller = new AbortController();
    this.#running.add(controller);
    const end = (outcome: Outcome<Attempt, Result>): void => {
      this.#running.delete(controller);
      this.#ended.push(outcome);
      this.#wake();
    };
    run(controller.signal).then(
      (result) => end({ attempt, result }),
      (error: unknown) => end({ attempt, error }),
    );
  }

  /**
   * Waits until one ends.
   *
   * @param ms - how long; may be `Infinity`
   * @returns how it ended, each one once; `undefined` when time is over or somebody called `wake`
   */
  async next(ms: number): Promise<Outcome<Attempt, Result> | undefined> {
    if (this.#ended.length === 0 && ms > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = ms < Infinity ? setTimeout(resolve, ms) : undefined;
      await promise;
      clearTimeout(timer);
    }
    return this.#ended.shift();
  }

  /** Ends a wait. */
  wake(): void {
    this.#wake();
  }

  /** Gives up all that run. */
  abort(): void {
    for (const controller of this.#running) controller.abort();
  }
}
