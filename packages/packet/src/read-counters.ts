import { type DirectionCounts, sumCounts } from "./counters.ts";
import type { PacketMemory } from "./packet-memory.ts";

/** Everything that pumps count, added up over queues. */
export interface PacketCounters {
  /** Packets from the TUN device to peers. */
  readonly outbound: DirectionCounts;
  /** Packets from peers to the TUN device. */
  readonly inbound: DirectionCounts;
  /** ICMP errors made. */
  readonly icmpSent: number;
  /** ICMP errors that were due but over the rate, or had no room. */
  readonly icmpSuppressed: number;
}

/**
 * Reads the counters of all queues, from any thread and without locks: each number is exact, but numbers of one moment
 * may belong to different iterations.
 *
 * @returns an owned copy.
 */
export function readCounters(memory: Pick<PacketMemory, "queues">): PacketCounters {
  const { queues } = memory;
  return {
    outbound: sumCounts(queues.map(({ counters }) => counters.outbound)),
    inbound: sumCounts(queues.map(({ counters }) => counters.inbound)),
    icmpSent: queues.reduce((total, { limiter }) => total + limiter.sent, 0),
    icmpSuppressed: queues.reduce((total, { limiter }) => total + limiter.suppressed, 0),
  };
}
