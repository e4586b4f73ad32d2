import { QueueCounters } from "./counters.ts";
import { QueueField, scratchBytes } from "./layout.ts";
import { PacketBatch } from "./packet-batch.ts";
import { RateLimiter } from "./rate-limiter.ts";

/**
 * What one pump works with: three batches, counters, a limiter for ICMP errors, scratch, and the epoch that tells the
 * peer table's writer when the pump may still hold an old record.
 */
export class PacketQueue {
  /** Number of the queue, from 0. */
  readonly index: number;
  /** Packets from the TUN device. */
  readonly outbound: PacketBatch;
  /** Packets from peers. */
  readonly inbound: PacketBatch;
  /** ICMP errors; a smaller slot each. The pump sends them and sets `count` to 0 after each `answerErrors`. */
  readonly replies: PacketBatch;
  /** Counts of this queue. */
  readonly counters: QueueCounters;
  /** Limits this queue's ICMP errors. */
  readonly limiter: RateLimiter;
  /** Offset of 256 bytes for the pump's own system calls. */
  readonly scratchOffset: number;
  /** How many bytes of scratch there are. */
  readonly scratchBytes: number = scratchBytes;
  readonly #epoch: Uint32Array;

  /** @param index number of the queue. @param headerOffset where the queue header lies. */
  constructor(bytes: Uint8Array, view: DataView, index: number, headerOffset: number) {
    const batchAt = (field: number): PacketBatch =>
      new PacketBatch(bytes, view, view.getUint32(headerOffset + field, true));
    this.index = index;
    this.outbound = batchAt(QueueField.outbound);
    this.inbound = batchAt(QueueField.inbound);
    this.replies = batchAt(QueueField.replies);
    this.counters = new QueueCounters(bytes.buffer, headerOffset + QueueField.counters);
    this.limiter = new RateLimiter(bytes.buffer, headerOffset + QueueField.limiter);
    this.scratchOffset = headerOffset + QueueField.scratch;
    this.#epoch = new Uint32Array(bytes.buffer, headerOffset + QueueField.epoch, 1);
  }

  /**
   * Begins an iteration: from here to `leave`, peer records found stay as they are.
   *
   * Called by the pump before its first lookup of an iteration; doing nothing when already inside.
   */
  enter(): void {
    if (!this.inside) Atomics.add(this.#epoch, 0, 1);
  }

  /**
   * Ends an iteration: record indexes and endpoints found in it mean nothing any more. Call it before waiting for packets,
   * else the peer table runs out of free records. Doing nothing when outside.
   */
  leave(): void {
    if (this.inside) Atomics.add(this.#epoch, 0, 1);
  }

  /** Whether the pump is between `enter` and `leave`. A pump that died inside is freed by calling `leave` for it. */
  get inside(): boolean {
    return (Atomics.load(this.#epoch, 0) & 1) === 1;
  }
}
