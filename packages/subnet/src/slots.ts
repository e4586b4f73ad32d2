/**
 * A row of 2^height numbered slots, some free and some not: the allocator's view of one family, where a slot is a subnet.
 * What makes a slot unavailable is counted, so that overlapping causes can go away in any order.
 */
export interface Slots {
  /** How many slots are free. */
  readonly free: bigint;
  /** Takes one slot; taking a slot again counts. */
  take(slot: bigint): void;
  /** Undoes one {@linkcode Slots.take}. Returns `false`, and changes nothing, if the slot is not taken. */
  release(slot: bigint): boolean;
  /** Makes 2^height slots unavailable; `start` is a multiple of that. Blocking again counts. */
  block(start: bigint, height: number): void;
  /** Undoes one {@linkcode Slots.block} of the same range, which must have happened. */
  unblock(start: bigint, height: number): void;
  /** Whether a slot is neither taken nor blocked. */
  isFree(slot: bigint): boolean;
  /** The free slot with `index` free ones before it; `index` is below {@linkcode Slots.free}. */
  nthFree(index: bigint): bigint;
}
