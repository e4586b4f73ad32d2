import type { Slots } from "./slots.ts";

/**
 * {@linkcode Slots} of up to 2^48: a binary tree of free counts, built only where something is unavailable, over leaves
 * that hold 32 slots as bits. Every operation takes at most `height` steps, however full the row is, and what becomes
 * empty goes away again.
 */
export class SlotTree implements Slots {
  /** The greatest height: counts stay exact as numbers. */
  static readonly maximumHeight = 48;

  readonly #height: number;
  readonly #leafHeight: number;
  readonly #root: Node;
  /** The nodes from the root down to where the last walk ended; kept to save an array per operation. */
  readonly #path: Node[] = [];
  /** How often a slot is taken beyond the first time. */
  readonly #extraTakes = new Map<number, number>();
  /** How many blocks narrower than a leaf cover a slot. */
  readonly #narrowBlocks = new Map<number, number>();

  /**
   * @param height - The binary logarithm of the number of slots, 0 to 48.
   */
  constructor(height: number) {
    this.#height = height;
    this.#leafHeight = Math.min(5, height);
    this.#root = new Node(2 ** height);
  }

  get free(): bigint {
    return BigInt(this.#root.free);
  }

  take(slot: bigint): void {
    const number = Number(slot);
    const leaf = this.#grow(number, this.#leafHeight);
    const bit = this.#bit(number);
    if ((leaf.taken & bit) === 0) leaf.taken |= bit;
    else this.#extraTakes.set(number, (this.#extraTakes.get(number) ?? 0) + 1);
    this.#settle();
  }

  release(slot: bigint): boolean {
    const number = Number(slot);
    const leaf = this.#find(number);
    const bit = this.#bit(number);
    if (leaf === undefined || (leaf.taken & bit) === 0) return false;
    if (!countDown(this.#extraTakes, number)) leaf.taken &= ~bit;
    this.#settle();
    return true;
  }

  block(start: bigint, height: number): void {
    const first = Number(start);
    const node = this.#grow(first, Math.max(height, this.#leafHeight));
    if (height >= this.#leafHeight) {
      node.blocks += 1;
    } else {
      for (let slot = first; slot < first + 2 ** height; slot += 1) {
        this.#narrowBlocks.set(slot, (this.#narrowBlocks.get(slot) ?? 0) + 1);
        node.blocked |= this.#bit(slot);
      }
    }
    this.#settle();
  }

  unblock(start: bigint, height: number): void {
    const first = Number(start);
    const node = this.#grow(first, Math.max(height, this.#leafHeight));
    if (height >= this.#leafHeight) {
      node.blocks -= 1;
    } else {
      for (let slot = first; slot < first + 2 ** height; slot += 1) {
        countDown(this.#narrowBlocks, slot);
        if (!this.#narrowBlocks.has(slot)) node.blocked &= ~this.#bit(slot);
      }
    }
    this.#settle();
  }

  isFree(slot: bigint): boolean {
    const number = Number(slot);
    const leaf = this.#find(number);
    if (this.#path.some((node) => node.blocks > 0)) return false;
    return leaf === undefined || ((leaf.taken | leaf.blocked) & this.#bit(number)) === 0;
  }

  nthFree(index: bigint): bigint {
    let rest = Number(index);
    let node = this.#root;
    let base = 0;
    for (let height = this.#height - 1; height >= this.#leafHeight; height -= 1) {
      const size = 2 ** height;
      const freeOnLeft = node.left?.free ?? size;
      const onLeft = rest < freeOnLeft;
      if (!onLeft) {
        rest -= freeOnLeft;
        base += size;
      }
      const child = onLeft ? node.left : node.right;
      if (child === undefined) return BigInt(base + rest);
      node = child;
    }
    return BigInt(base + nthClearBit(node.taken | node.blocked, rest));
  }

  #bit(slot: number): number {
    return 1 << (slot % 2 ** this.#leafHeight);
  }

  /** Walks to the leaf of a slot; `undefined` where nothing is built. The path holds what was met. */
  #find(slot: number): Node | undefined {
    let node: Node | undefined = this.#root;
    let rest = slot;
    this.#path.length = 0;
    this.#path.push(node);
    for (let height = this.#height - 1; height >= this.#leafHeight; height -= 1) {
      const size = 2 ** height;
      node = rest < size ? node.left : node.right;
      if (node === undefined) return undefined;
      if (rest >= size) rest -= size;
      this.#path.push(node);
    }
    return node;
  }

  /** Walks to the node of a slot at a height, and builds what is missing on the way. */
  #grow(slot: number, height: number): Node {
    let node = this.#root;
    let rest = slot;
    this.#path.length = 0;
    this.#path.push(node);
    for (let below = this.#height - 1; below >= height; below -= 1) {
      const size = 2 ** below;
      if (rest < size) {
        node = node.left ??= new Node(size);
      } else {
        node = node.right ??= new Node(size);
        rest -= size;
      }
      this.#path.push(node);
    }
    return node;
  }

  /** Counts anew along the path, from its end to the root, and takes out the nodes that hold nothing any more. */
  #settle(): void {
    for (let depth = this.#path.length - 1; depth >= 0; depth -= 1) {
      const node = this.#path[depth] as Node;
      const height = this.#height - depth;
      node.free = node.blocks > 0 ? 0 : this.#countInside(node, height);
      const parent = this.#path[depth - 1];
      if (parent === undefined || node.free < 2 ** height) continue;
      if (parent.left === node) parent.left = undefined;
      else parent.right = undefined;
    }
  }

  #countInside(node: Node, height: number): number {
    if (height === this.#leafHeight) return 2 ** height - countBits(node.taken | node.blocked);
    const half = 2 ** (height - 1);
    return (node.left?.free ?? half) + (node.right?.free ?? half);
  }
}

/** A part of the row in which something is unavailable. Forks use `left` and `right`, leaves use the two bit sets. */
class Node {
  free: number;
  /** How many blocks cover exactly this part. */
  blocks = 0;
  left: Node | undefined = undefined;
  right: Node | undefined = undefined;
  /** The slots of a leaf that are taken. */
  taken = 0;
  /** The slots of a leaf that narrower blocks cover. */
  blocked = 0;

  constructor(free: number) {
    this.free = free;
  }
}

/** Lowers a count and drops it at zero. Returns whether there was one. */
function countDown(counts: Map<number, number>, key: number): boolean {
  const count = counts.get(key);
  if (count === undefined) return false;
  if (count === 1) counts.delete(key);
  else counts.set(key, count - 1);
  return true;
}

/** How many of the 32 bits are set (the usual parallel sum). */
function countBits(bits: number): number {
  let sum = bits - ((bits >>> 1) & 0x5555_5555);
  sum = (sum & 0x3333_3333) + ((sum >>> 2) & 0x3333_3333);
  sum = (sum + (sum >>> 4)) & 0x0f0f_0f0f;
  return Math.imul(sum, 0x0101_0101) >>> 24;
}

function nthClearBit(bits: number, index: number): number {
  let clear = ~bits;
  for (let skipped = 0; skipped < index; skipped += 1) clear &= clear - 1;
  return 31 - Math.clz32(clear & -clear);
}
