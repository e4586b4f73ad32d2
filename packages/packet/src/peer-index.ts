import type { GracePeriod } from "./grace-period.ts";
import type { IndexFields } from "./layout.ts";
import { prefixMask } from "./prefix-mask.ts";

/** A live entry of an index. */
export interface IndexEntry {
  readonly network: number;
  readonly length: number;
  readonly record: number;
}

const valueBits = 24;
const recordMask = (1 << valueBits) - 1;

/**
 * Hash index from (network, prefix length) to a record number, in linear memory: open addressing with linear probing over
 * entries of two words, `[network, (length + 1) << 24 | record + 1]`. A second word of 0 is an empty entry, one without a
 * record is a tombstone.
 *
 * One writer, any number of readers. An entry's key is written once and published with the second word by an atomic store;
 * after that only the record changes, so a reader never sees half of an entry. Tombstones are cleaned by building the
 * other generation and flipping `current`; the old one is used again only after a grace period.
 */
export class PeerIndex {
  readonly #words: Int32Array;
  readonly #current: number;
  readonly #starts: readonly [number, number];
  readonly #shift: number;
  readonly #mask: number;
  #used = 0;
  #otherFree: GracePeriod | undefined;

  /**
   * @param words the whole memory.
   * @param fields where the header fields lie; `bits` is filled in: the index has 2 to the power of it entries.
   * @param grace of the writer: tells when the other generation can be used again.
   */
  constructor(words: Int32Array, fields: IndexFields, grace?: GracePeriod) {
    const bits = words[fields.bits / 4] ?? 0;
    this.#words = words;
    this.#current = fields.current / 4;
    this.#starts = [
      (words[fields.generations[0] / 4] ?? 0) >>> 2,
      (words[fields.generations[1] / 4] ?? 0) >>> 2,
    ];
    this.#shift = 32 - bits;
    this.#mask = 2 ** bits - 1;
    this.#otherFree = grace;
  }

  /** Gives the record of exactly this network and length, or -1. */
  find(network: number, length: number): number {
    const words = this.#words;
    const start = this.#start(Atomics.load(words, this.#current));
    const key = network | 0;
    const tag = length + 1;
    for (let slot = this.#hash(key, length); ; slot = (slot + 1) & this.#mask) {
      const at = start + 2 * slot;
      const value = Atomics.load(words, at + 1);
      if (value === 0) return -1;
      if (value >>> valueBits === tag && words[at] === key) return (value & recordMask) - 1;
    }
  }

  /** Makes sure that one more `set` succeeds, cleaning tombstones when they are many. Gives whether it will. */
  reserve(): boolean {
    const entries = this.#mask + 1;
    if (this.#used >= entries * 0.75 && this.#otherFree?.over === true) this.#rebuild();
    return this.#used < entries * 0.9375;
  }

  /** Publishes a record under a network and length, in place of the one that was there. */
  set(network: number, length: number, record: number): void {
    this.#put(this.#start(this.#words[this.#current] ?? 0), network, length, record);
  }

  /** Takes the record of a network and length out, leaving a tombstone. */
  delete(network: number, length: number): void {
    if (this.find(network, length) >= 0) this.set(network, length, -1);
  }

  /** Gives the live entries, in no order. */
  *entries(): Generator<IndexEntry> {
    const start = this.#start(this.#words[this.#current] ?? 0);
    for (let at = start; at <= start + 2 * this.#mask; at += 2) {
      const value = this.#words[at + 1] ?? 0;
      if ((value & recordMask) === 0) continue;
      yield {
        network: (this.#words[at] ?? 0) >>> 0,
        length: (value >>> valueBits) - 1,
        record: (value & recordMask) - 1,
      };
    }
  }

  #put(start: number, network: number, length: number, record: number): void {
    const words = this.#words;
    const key = network & prefixMask(length);
    const value = ((length + 1) << valueBits) | (record + 1);
    let at = 0;
    for (let slot = this.#hash(key, length); ; slot = (slot + 1) & this.#mask) {
      at = start + 2 * slot;
      const found = words[at + 1] ?? 0;
      if (found === 0) break;
      if (found >>> valueBits !== length + 1 || words[at] !== key) continue;
      Atomics.store(words, at + 1, value);
      return;
    }
    words[at] = key;
    Atomics.store(words, at + 1, value);
    this.#used++;
  }

  #rebuild(): void {
    const live = [...this.entries()];
    const other = 1 - (this.#words[this.#current] ?? 0);
    const start = this.#start(other);
    this.#words.fill(0, start, start + 2 * (this.#mask + 1));
    this.#used = 0;
    for (const { network, length, record } of live) this.#put(start, network, length, record);
    Atomics.store(this.#words, this.#current, other);
    this.#otherFree?.start();
  }

  #start(generation: number): number {
    return generation === 0 ? this.#starts[0] : this.#starts[1];
  }

  // Fibonacci hashing of the network's own bits: the neighbouring subnets of an overlay spread evenly.
  #hash(key: number, length: number): number {
    const bits = length === 0 ? 0 : key >>> (32 - length);
    return Math.imul(bits + Math.imul(length, 0x85eb_ca6b), 0x9e37_79b1) >>> this.#shift;
  }
}
