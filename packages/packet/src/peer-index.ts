import type { GracePeriod } from "./grace-period.ts";
import type { IndexFields } from "./layout.ts";

/** A live entry of an index. */
export interface IndexEntry {
  readonly word: number;
  readonly tag: number;
  readonly record: number;
}

/** Tells whether a record is the one that is meant, where word and tag alone don't. */
export type IsRight = (record: number) => boolean;

const valueBits = 24;
const recordMask = (1 << valueBits) - 1;
const ipv4Tags = 33;

/**
 * Hash index from a key (see `IndexKey`) to a record number, in linear memory: open addressing with linear probing over
 * entries of two words, `[word, tag << 24 | record + 1]`. A second word of 0 is an empty entry, one without a record is a
 * tombstone.
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

  /** Gives the record under exactly this key, or -1. Without `isRight` the key alone tells. */
  find(word: number, tag: number, isRight?: IsRight): number {
    const words = this.#words;
    const start = this.#start(Atomics.load(words, this.#current));
    for (let slot = this.#hash(word, tag); ; slot = (slot + 1) & this.#mask) {
      const at = start + 2 * slot;
      const value = Atomics.load(words, at + 1);
      if (value === 0) return -1;
      if (value >>> valueBits !== tag || words[at] !== (word | 0)) continue;
      const record = (value & recordMask) - 1;
      if (isRight === undefined || (record >= 0 && isRight(record))) return record;
    }
  }

  /** Makes sure that one more `set` succeeds, cleaning tombstones when they are many. Gives whether it will. */
  reserve(): boolean {
    const entries = this.#mask + 1;
    if (this.#used >= entries * 0.75 && this.#otherFree?.over === true) this.#rebuild();
    return this.#used < entries * 0.9375;
  }

  /** Publishes a record under a key, in place of the one that was there. */
  set(word: number, tag: number, record: number, isRight?: IsRight): void {
    const start = this.#start(this.#words[this.#current] ?? 0);
    const at = this.#placeOf(start, word, tag, isRight);
    if ((this.#words[at + 1] ?? 0) === 0) this.#used++;
    this.#words[at] = word;
    Atomics.store(this.#words, at + 1, (tag << valueBits) | (record + 1));
  }

  /** Takes the record of a key out, leaving a tombstone. */
  delete(word: number, tag: number, isRight?: IsRight): void {
    if (this.find(word, tag, isRight) >= 0) this.set(word, tag, -1, isRight);
  }

  /** Gives the live entries, in no order. */
  *entries(): Generator<IndexEntry> {
    const start = this.#start(this.#words[this.#current] ?? 0);
    for (let at = start; at <= start + 2 * this.#mask; at += 2) {
      const value = this.#words[at + 1] ?? 0;
      if ((value & recordMask) === 0) continue;
      yield { word: this.#words[at] ?? 0, tag: value >>> valueBits, record: (value & recordMask) - 1 };
    }
  }

  // The entry of a key; else a tombstone with the same word and tag; else an empty entry.
  #placeOf(start: number, word: number, tag: number, isRight: IsRight | undefined): number {
    let tombstone = -1;
    for (let slot = this.#hash(word, tag); ; slot = (slot + 1) & this.#mask) {
      const at = start + 2 * slot;
      const value = this.#words[at + 1] ?? 0;
      if (value === 0) return tombstone < 0 ? at : tombstone;
      if (value >>> valueBits !== tag || this.#words[at] !== (word | 0)) continue;
      const record = (value & recordMask) - 1;
      if (isRight === undefined || (record >= 0 && isRight(record))) return at;
      if (record < 0 && tombstone < 0) tombstone = at;
    }
  }

  #rebuild(): void {
    const words = this.#words;
    const live = [...this.entries()];
    const other = 1 - (words[this.#current] ?? 0);
    const start = this.#start(other);
    words.fill(0, start, start + 2 * (this.#mask + 1));
    this.#used = live.length;
    for (const { word, tag, record } of live) {
      const at = this.#placeOf(start, word, tag, () => false);
      words[at] = word;
      words[at + 1] = (tag << valueBits) | (record + 1);
    }
    Atomics.store(words, this.#current, other);
    this.#otherFree?.start();
  }

  #start(generation: number): number {
    return generation === 0 ? this.#starts[0] : this.#starts[1];
  }

  // Fibonacci hashing of the network's own bits: the neighbouring subnets of an overlay spread evenly.
  #hash(word: number, tag: number): number {
    const bits = tag > ipv4Tags ? word : tag === 1 ? 0 : word >>> (ipv4Tags - tag);
    return Math.imul(bits + Math.imul(tag - 1, 0x85eb_ca6b), 0x9e37_79b1) >>> this.#shift;
  }
}
