import { LimiterField } from "./layout.ts";

/** How many ICMP errors a queue may send. */
export interface RateLimit {
  /** Tokens that come back per second; default 1,000. */
  readonly perSecond?: number;
  /** Most tokens at once; default 50. */
  readonly burst?: number;
}

/**
 * Token bucket for all ICMP errors of a queue, with its state in the queue's memory.
 *
 * Only the queue's pump takes tokens; anybody may read `sent` and `suppressed` without locks.
 */
export class RateLimiter {
  /** Offset of the state in memory, for WebAssembly kernels. */
  readonly offset: number;
  readonly #cells: Float64Array;

  /** @param buffer the whole memory. @param offset where the state lies. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.offset = offset;
    this.#cells = new Float64Array(buffer, offset, 6);
  }

  /**
   * Sets rate and burst and fills the bucket; `createPacketMemory` has done so with the defaults.
   *
   * @throws {RangeError} when one of them is negative or not a number.
   */
  configure({ perSecond = 1000, burst = 50 }: RateLimit = {}): void {
    if (!(perSecond >= 0 && burst >= 0)) {
      throw new RangeError(
        `Cannot limit ICMP errors: ${perSecond} per second, burst ${burst}, expected numbers from 0`,
      );
    }
    this.#set(LimiterField.perSecond, perSecond);
    this.#set(LimiterField.burst, burst);
    this.#set(LimiterField.tokens, burst);
    this.#set(LimiterField.lastMs, Number.NaN);
  }

  /**
   * Takes a token and counts: `sent` goes up when there was one, `suppressed` otherwise.
   *
   * @param nowMs any steady clock in milliseconds; time that runs backwards adds no tokens.
   * @returns whether there was a token.
   */
  take(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#get(LimiterField.lastMs);
    const gained = elapsedMs > 0 ? (elapsedMs * this.#get(LimiterField.perSecond)) / 1000 : 0;
    const tokens = Math.min(this.#get(LimiterField.burst), this.#get(LimiterField.tokens) + gained);
    this.#set(LimiterField.lastMs, nowMs);
    this.#set(LimiterField.tokens, tokens >= 1 ? tokens - 1 : tokens);
    if (tokens >= 1) this.#set(LimiterField.sent, this.sent + 1);
    else this.suppress();
    return tokens >= 1;
  }

  /** Counts an error that was due but not sent for another reason than the rate: no room for it. */
  suppress(): void {
    this.#set(LimiterField.suppressed, this.suppressed + 1);
  }

  /** ICMP errors made since the memory was created. */
  get sent(): number {
    return this.#get(LimiterField.sent);
  }

  /** ICMP errors that were due but not made: over the rate, or no room. */
  get suppressed(): number {
    return this.#get(LimiterField.suppressed);
  }

  #get(field: number): number {
    return this.#cells[field / 8] ?? 0;
  }

  #set(field: number, value: number): void {
    this.#cells[field / 8] = value;
  }
}
