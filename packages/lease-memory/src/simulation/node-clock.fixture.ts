import type { Clock } from "@loden/lease";
import type { ManualClock } from "@loden/lease/testing";
import { abortable } from "./abort-signals.fixture.ts";

/** One node's view of the virtual time: a wall clock of its own that may jump, and an elapsed time that goes on. */
export class NodeClock implements Clock {
  readonly #base: ManualClock;
  readonly #bootMs: number;
  #wallOffsetMs = 0;
  #awake: PromiseWithResolvers<void> | undefined;

  /**
   * @param base - The time of the whole simulation.
   * @param bootMs - What `elapsed()` shows at the start; every machine has another origin.
   */
  constructor(base: ManualClock, bootMs: number) {
    this.#base = base;
    this.#bootMs = bootMs;
  }

  now(): number {
    return this.#base.now() + this.#wallOffsetMs;
  }

  elapsed(): number {
    return this.#base.elapsed() + this.#bootMs;
  }

  async sleep(ms: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await this.#base.sleep(ms, options);
    if (this.isSuspended) await this.awake(options.signal);
  }

  /** Sets the wall clock of this node forward or back. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Whether the machine sleeps: time goes on, and nothing runs. */
  get isSuspended(): boolean {
    return this.#awake !== undefined;
  }

  /** Freezes the node: whatever it waits for is answered after `resume()` only. */
  suspend(): void {
    this.#awake ??= Promise.withResolvers<void>();
  }

  /** Lets the node go on. */
  resume(): void {
    this.#awake?.resolve();
    this.#awake = undefined;
  }

  /** Waits until the node is not suspended. */
  async awake(signal?: AbortSignal): Promise<void> {
    while (this.#awake !== undefined) await abortable(this.#awake.promise, signal);
  }
}
