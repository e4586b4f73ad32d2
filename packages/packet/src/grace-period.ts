import { QueueField } from "./layout.ts";

/**
 * Tells when every pump has passed on, so that what was taken out of the peer table can be used again.
 *
 * Each queue has an epoch: even outside an iteration, odd inside. A grace period notes all epochs; it is over when each
 * queue was outside then or has moved on since.
 */
export class GracePeriod {
  readonly #epochs: readonly Uint32Array[];
  readonly #noted: number[];

  /** @param buffer the whole memory. @param queuesOffset where the first queue header lies. @param queueStride to the next. */
  constructor(buffer: ArrayBufferLike, queues: number, queuesOffset: number, queueStride: number) {
    this.#epochs = Array.from(
      { length: queues },
      (_, i) => new Uint32Array(buffer, queuesOffset + i * queueStride + QueueField.epoch, 1),
    );
    this.#noted = this.#epochs.map(() => 0);
  }

  /** Starts the period: what was taken out before this call can be used again once it is over. */
  start(): void {
    this.#epochs.forEach((epoch, i) => (this.#noted[i] = Atomics.load(epoch, 0)));
  }

  /** Whether every pump has passed on since `start`. */
  get over(): boolean {
    return this.#epochs.every((epoch, i) => {
      const noted = this.#noted[i] ?? 0;
      return (noted & 1) === 0 || Atomics.load(epoch, 0) !== noted;
    });
  }
}
