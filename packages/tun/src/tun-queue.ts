import type { PacketBatch } from "@loden/packet";

/** Batches of packets of one TUN device. */
export interface TunQueue {
  /**
   * Reads packets into a batch until none is there or the batch is full. Never waits.
   *
   * Sets the batch's `count`, and for each packet its offset (the start of its slot), its length, verdict pass, no peer and no
   * endpoint; with offloads, `virtio` says where its virtio header is: it may be a super-packet of up to 64 KiB. Stops after 256 KiB,
   * so that what follows finds the packets in the processor's cache. What the batch held before is gone.
   *
   * @param batch takes the packets; its frame scratch is overwritten.
   * @param most stops after so many packets, without asking for another one; as many as fit by default.
   * @returns how many packets it took, 0 when there are none now; or `-errno` when none can come any more: -77 (`EBADFD`) says that the
   * device was deleted. The descriptor polls as `POLLERR` from then on, so a pump must stop, or it would spin.
   * @throws {TypeError} when `packets()` iterates over the device in this thread.
   */
  read(batch: PacketBatch, most?: number): number;
  /** Whether the last `read` left nothing behind: it is worth reading again only when the descriptor becomes readable. */
  readonly drained: boolean;
  /**
   * Writes the packets of a batch whose verdict is pass. Never waits. With offloads, consecutive packets of one flow are joined, so
   * that the kernel has one to route instead of many.
   *
   * A packet that the kernel refuses (its queue is full, the device is down, it is no IP packet) gets `Verdict.writeFailed`; the
   * others still go.
   *
   * @param batch the packets, finished; its frame scratch is overwritten.
   * @returns how many packets the kernel took; or -77 (`EBADFD`) when the device was deleted: then all have failed.
   */
  write(batch: PacketBatch): number;
}
