import { setImmediate } from "node:timers/promises";
import type { Clock } from "../clock.ts";

/** Settings of {@linkcode ManualClock}. */
export interface ManualClockOptions {
  /** What the wall clock shows at first, in milliseconds since 1970; the start of 2026 when absent. */
  readonly now?: number | undefined;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/**
 * A clock that stands still until a test moves it. Sleepers wake in the order of their instants, each at its own
 * instant, and what they do gets its turn before the next one wakes.
 */
export class ManualClock implements Clock {
  #wallOffset: number;
  #elapsed = 0;
  readonly #sleepers = new Set<Sleeper>();

  /** @param options - Where it starts. */
  constructor(options: ManualClockOptions = {}) {
    this.#wallOffset = options.now ?? Date.UTC(2026, 0, 1);
  }

  /** How many calls of `sleep` have not ended. */
  get sleepers(): number {
    return this.#sleepers.size;
  }

  /** What the wall clock shows, in milliseconds since 1970. */
  now(): number {
    return this.#wallOffset + this.#elapsed;
  }

  /** How far the clock was moved in all, in milliseconds. */
  elapsed(): number {
    return this.#elapsed;
  }

  /**
   * Waits until the clock has been moved by `ms`.
   *
   * @param ms - How long; with 0 or less it ends in the next turn.
   * @param options - `signal`: ends the wait, which then rejects with `signal.reason`.
   */
  async sleep(ms: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (ms <= 0) return setImmediate(undefined);
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", stop);
        resolve();
      };
      const sleeper: Sleeper = { at: this.#elapsed + ms, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /**
   * Moves the clock, and with it the wall clock.
   *
   * @param ms - How far, 0 or more. With 0 whatever is ready gets its turn.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await letReadyRun();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#elapsed = next.at;
      next.wake();
      await letReadyRun();
    }
    this.#elapsed = end;
    await letReadyRun();
  }

  /**
   * Moves the clock from sleeper to sleeper until a promise is settled.
   *
   * @param promise - What to wait for.
   * @returns What the promise comes to.
   */
  async runUntil<Result>(promise: Promise<Result>): Promise<Result> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      await letReadyRun();
      if (isSettled) return promise;
      const next = this.#next();
      if (next === undefined) continue;
      this.#elapsed = next.at;
      next.wake();
    }
  }

  /**
   * Sets the wall clock forward or back, as a time server or an operator does. `elapsed()` and sleepers are not touched.
   *
   * @param ms - By how much; negative is back.
   */
  jump(ms: number): void {
    this.#wallOffset += ms;
  }

  #next(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) if (first === undefined || sleeper.at < first.at) first = sleeper;
    return first;
  }
}

/** A few turns, because what is ready may itself wait for the next turn once or twice. */
async function letReadyRun(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await setImmediate(undefined);
}
