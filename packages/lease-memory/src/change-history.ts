import type { MemoryEntry } from "./memory-storage.ts";

/** One write to the storage. */
export interface MemoryChange {
  /** Its number; each change has the next one. */
  readonly revision: number;
  /** The entry as written; as it was for a delete. */
  readonly entry: MemoryEntry;
  /** Whether it wrote or deleted. */
  readonly type: "put" | "delete";
  /** The entry that was there before; of the same key. */
  readonly previous: MemoryEntry | undefined;
}

/** The last changes, as many as it was made for. */
export class ChangeHistory {
  readonly #limit: number;
  #changes: MemoryChange[] = [];

  /** @param limit - How many changes to remember. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param change - The next change; its revision follows that of the last one. */
  push(change: MemoryChange): void {
    this.#changes.push(change);
    // Cut now and then rather than every time: it copies what stays.
    if (this.#changes.length >= 2 * this.#limit) this.#changes = this.#changes.slice(-this.#limit);
  }

  /**
   * @param revision - The number of a change.
   * @param current - The number of the last change of all.
   * @returns What came later, in order; `undefined` when that is not remembered, or `revision` is none of ours.
   */
  since(revision: number, current: number): readonly MemoryChange[] | undefined {
    const missed = current - revision;
    const remembered = Math.min(this.#changes.length, this.#limit);
    // Not a number fails too.
    if (!(missed >= 0 && missed <= remembered)) return undefined;
    return this.#changes.slice(this.#changes.length - missed);
  }
}
