import { SlotTree } from "./slot-tree.ts";
import type { Slots } from "./slots.ts";

/**
 * Creates a row of 2^height free slots. It takes no memory to speak of, whatever the height.
 *
 * @param height - The binary logarithm of the number of slots, 0 to 128.
 * @returns The row.
 */
export function createSlots(height: number): Slots {
  return height <= SlotTree.maximumHeight ? new SlotTree(height) : new WideSlots(height);
}

/** {@linkcode Slots} beyond the numbers that count exactly: two halves, each built when it is first needed. */
class WideSlots implements Slots {
  free: bigint;
  readonly #height: number;
  readonly #half: bigint;
  #left: Slots | undefined;
  #right: Slots | undefined;
  /** How many blocks cover exactly this row. */
  #blocks = 0;

  constructor(height: number) {
    this.free = 1n << BigInt(height);
    this.#height = height;
    this.#half = this.free / 2n;
  }

  take(slot: bigint): void {
    this.#grow(slot).take(this.#inside(slot));
    this.#settle();
  }

  release(slot: bigint): boolean {
    const released = this.#find(slot)?.release(this.#inside(slot)) ?? false;
    this.#settle();
    return released;
  }

  block(start: bigint, height: number): void {
    if (height === this.#height) this.#blocks += 1;
    else this.#grow(start).block(this.#inside(start), height);
    this.#settle();
  }

  unblock(start: bigint, height: number): void {
    if (height === this.#height) this.#blocks -= 1;
    else this.#grow(start).unblock(this.#inside(start), height);
    this.#settle();
  }

  isFree(slot: bigint): boolean {
    if (this.#blocks > 0) return false;
    return this.#find(slot)?.isFree(this.#inside(slot)) ?? true;
  }

  nthFree(index: bigint): bigint {
    const freeOnLeft = this.#left?.free ?? this.#half;
    if (index < freeOnLeft) return this.#left?.nthFree(index) ?? index;
    const rest = index - freeOnLeft;
    return this.#half + (this.#right?.nthFree(rest) ?? rest);
  }

  #inside(slot: bigint): bigint {
    return slot < this.#half ? slot : slot - this.#half;
  }

  #find(slot: bigint): Slots | undefined {
    return slot < this.#half ? this.#left : this.#right;
  }

  #grow(slot: bigint): Slots {
    if (slot < this.#half) return (this.#left ??= createSlots(this.#height - 1));
    return (this.#right ??= createSlots(this.#height - 1));
  }

  /** Counts anew and drops a half that holds nothing any more, which is when all of it is free. */
  #settle(): void {
    if (this.#left?.free === this.#half) this.#left = undefined;
    if (this.#right?.free === this.#half) this.#right = undefined;
    const inside = (this.#left?.free ?? this.#half) + (this.#right?.free ?? this.#half);
    this.free = this.#blocks > 0 ? 0n : inside;
  }
}
