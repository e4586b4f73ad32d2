import { CounterField, counterBytes } from "./layout.ts";
import { type DropReason, dropReasons } from "./verdict.ts";

/** Counts of one direction; plain numbers, exact up to 2^53. */
export interface DirectionCounts {
  /** Packets that passed. */
  readonly packets: number;
  /** Bytes of the packets that passed: inner packets without encapsulation. */
  readonly bytes: number;
  /** Packets dropped, by reason; every reason is present. */
  readonly dropped: Readonly<Record<DropReason, number>>;
}

/**
 * Counters of one queue: float64 cells in linear memory, written by the queue's pump alone, read by anybody without locks.
 */
export class QueueCounters {
  /** Offset of the cells in memory, for WebAssembly kernels: outbound, then inbound. */
  readonly offset: number;
  /** Cells of packets from the TUN device: [packets, bytes, then one for each verdict]. */
  readonly outbound: Float64Array;
  /** Cells of packets to the TUN device: [packets, bytes, then one for each verdict]. */
  readonly inbound: Float64Array;

  /** @param buffer the whole memory. @param offset where the cells lie. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.offset = offset;
    this.outbound = new Float64Array(buffer, offset, counterBytes / 8);
    this.inbound = new Float64Array(buffer, offset + counterBytes, counterBytes / 8);
  }
}

/** Gives the counts of one direction, added up over queues. */
export function sumCounts(cells: readonly Float64Array[]): DirectionCounts {
  const sum = (field: number): number => cells.reduce((total, cell) => total + (cell[field / 8] ?? 0), 0);
  const dropped = Object.fromEntries(
    dropReasons.map((reason, i) => [reason, sum(CounterField.dropped + 8 * (i + 1))]),
  ) as Record<DropReason, number>;
  return { packets: sum(CounterField.packets), bytes: sum(CounterField.bytes), dropped };
}
