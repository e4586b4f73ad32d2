import {
  type Clock,
  formatLeaseValue,
  formatSubnetKey,
  type Lease,
  type LeaseAttributes,
  parseLeaseEntry,
  parseLeaseValue,
  parseSubnetKey,
  systemClock,
} from "@loden/lease";
import { formatSubnet, type Subnet } from "@loden/subnet";
import { ChangeHistory, type MemoryChange } from "./change-history.ts";
import { OverlapIndex } from "./overlap-index.ts";

/** Settings of {@linkcode createMemoryStorage}. */
export interface MemoryStorageOptions {
  /** The network configuration, as flannel's JSON text. */
  readonly config: string;
  /** What expiry is counted by; the machine's clock when absent. */
  readonly clock?: Clock | undefined;
  /** How many changes are remembered for watches that resume or fall behind; 1,000 when absent. */
  readonly historyLength?: number | undefined;
}

/** Settings of a write that asks nobody. */
export interface MemoryWriteOptions {
  /** How long the entry lasts, in milliseconds; for good when absent, as a reservation does. */
  readonly ttlMs?: number | undefined;
}

/** One entry as it is kept. Immutable. */
export interface MemoryEntry {
  /** Such as `10.5.52.0-24`. */
  readonly key: string;
  /** The JSON text. */
  readonly value: string;
  /** Instant of expiry, wall-clock milliseconds; `undefined` for a reservation. */
  readonly expiresAt: number | undefined;
  /** The number of the write that made it. */
  readonly revision: number;
  /** What the key says; `undefined` when it names no subnet. */
  readonly subnet: Subnet | undefined;
  /** What key and value say together; `undefined` when either cannot be read. */
  readonly lease: Lease | undefined;
}

/**
 * Makes a storage without leases.
 *
 * @param options - The network configuration, and what time it goes by.
 * @returns The storage. It holds nothing of the system, so it need not be closed.
 */
export function createMemoryStorage(options: MemoryStorageOptions): MemoryStorage {
  return new MemoryStorage(options);
}

/**
 * What the stores of one process share: flannel's keys and values with revisions, expiry and a bounded history. Its own
 * methods write without asking, as an operator or a flannel host does; `createMemoryLeaseStore` is how a node uses it.
 */
export class MemoryStorage {
  /** The network configuration as JSON text. Assign to change it; stores read it at every `getNetwork`. */
  config: string;
  readonly #clock: Clock;
  readonly #entries = new Map<string, MemoryEntry>();
  readonly #expiries = new Map<string, number>();
  readonly #overlaps = new OverlapIndex();
  readonly #history: ChangeHistory;
  readonly #listeners = new Set<() => void>();
  #timer: AbortController | undefined;
  #revision = 0;
  /** No entry expires before this instant of `elapsed()`. */
  #nextExpiry = Infinity;

  /** @param options - See {@linkcode createMemoryStorage}. */
  constructor(options: MemoryStorageOptions) {
    const { config, clock = systemClock(), historyLength = 1_000 } = options;
    this.config = config;
    this.#clock = clock;
    this.#history = new ChangeHistory(historyLength);
  }

  /** The number of the last write. */
  get revision(): number {
    this.#expire();
    return this.#revision;
  }

  /** @returns All entries, readable or not, in the order in which their keys were first written. */
  entries(): MemoryEntry[] {
    this.#expire();
    return [...this.#entries.values()];
  }

  /**
   * @param subnet - Exactly this subnet.
   * @returns Its entry, if there is one.
   */
  get(subnet: Subnet): MemoryEntry | undefined {
    this.#expire();
    return this.#entries.get(keyOf(subnet));
  }

  /**
   * @param subnet - What to look for.
   * @returns An entry that overlaps it in any family, if there is one.
   */
  findOverlap(subnet: Subnet): MemoryEntry | undefined {
    this.#expire();
    const key = this.#overlaps.find(subnet);
    return key === undefined ? undefined : this.#entries.get(key);
  }

  /**
   * Writes a lease whatever is there, as a flannel host does when it renews.
   *
   * @param subnet - Whose lease.
   * @param attributes - What it publishes.
   * @param options - How long it lasts.
   * @returns The lease as it is kept.
   * @throws {RangeError} If the time to live is not positive and finite, or flannel could not read what is written.
   */
  putLease(subnet: Subnet, attributes: LeaseAttributes, options: MemoryWriteOptions = {}): Lease {
    const value = formatLeaseValue(attributes);
    const entry = this.#put(keyOf(subnet), value, options, subnet, parseLeaseValue(value));
    return entry.lease as Lease;
  }

  /**
   * Writes any text under any key, as an operator might.
   *
   * @param key - Such as `10.5.52.0-24`.
   * @param value - The JSON text of a lease, or anything.
   * @param options - How long it lasts.
   * @returns The entry; its `lease` is `undefined` when it cannot be read, which is published on "loden:lease".
   * @throws {RangeError} If the time to live is not positive and finite.
   */
  putText(key: string, value: string, options: MemoryWriteOptions = {}): MemoryEntry {
    const attributes = parseLeaseEntry(key, value)?.attributes;
    return this.#put(key, value, options, parseSubnetKey(key), attributes);
  }

  /**
   * Deletes an entry.
   *
   * @param key - Its key.
   * @returns Whether it was there.
   */
  delete(key: string): boolean {
    this.#expire();
    return this.#delete(key);
  }

  /**
   * Tells what came after a revision.
   *
   * @param revision - The number of a write.
   * @returns The later changes in order, none if there are none; `undefined` when they are not remembered any more, or
   *   the revision is not one of this storage.
   */
  changesSince(revision: number): readonly MemoryChange[] | undefined {
    this.#expire();
    return this.#history.since(revision, this.#revision);
  }

  /**
   * Calls back after every change, expiry included. While anybody listens, a timer waits for the next expiry.
   *
   * @param listener - What to call; synchronously, so it should only take a note.
   * @returns Call it to stop.
   */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#arm();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#disarm();
    };
  }

  #put(
    key: string,
    value: string,
    { ttlMs }: MemoryWriteOptions,
    subnet: Subnet | undefined,
    attributes: LeaseAttributes | undefined,
  ): MemoryEntry {
    if (ttlMs !== undefined && !(ttlMs > 0 && ttlMs < Infinity)) {
      throw new RangeError(
        `Cannot write entry "${key}": ttlMs is ${ttlMs}, expected a finite number above 0`,
      );
    }
    this.#expire();
    const revision = this.#revision + 1;
    const expiresAt = ttlMs === undefined ? undefined : this.#clock.now() + ttlMs;
    const lease = subnet && attributes && { subnet, attributes, expiresAt, revision: `${revision}` };
    const entry: MemoryEntry = { key, value, expiresAt, revision, subnet, lease };
    const previous = this.#entries.get(key);
    this.#entries.set(key, entry);
    if (previous === undefined && subnet !== undefined) this.#overlaps.add(key, subnet);
    this.#setExpiry(key, ttlMs);
    this.#record({ revision, entry, type: "put", previous });
    return entry;
  }

  #delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#expiries.delete(key);
    if (entry.subnet !== undefined) this.#overlaps.delete(key, entry.subnet);
    this.#record({ revision: this.#revision + 1, entry, type: "delete", previous: entry });
    return true;
  }

  #record(change: MemoryChange): void {
    this.#revision = change.revision;
    this.#history.push(change);
    for (const listener of this.#listeners) listener();
  }

  #setExpiry(key: string, ttlMs: number | undefined): void {
    if (ttlMs === undefined) {
      this.#expiries.delete(key);
      return;
    }
    const expiry = this.#clock.elapsed() + ttlMs;
    this.#expiries.set(key, expiry);
    if (expiry >= this.#nextExpiry) return;
    this.#nextExpiry = expiry;
    this.#disarm();
    this.#arm();
  }

  /** Deletes what has expired. Every access begins with it, so nobody ever sees an expired entry. */
  #expire(): void {
    const elapsed = this.#clock.elapsed();
    if (elapsed < this.#nextExpiry) return;
    const expired: string[] = [];
    this.#nextExpiry = Infinity;
    for (const [key, expiry] of this.#expiries) {
      if (expiry <= elapsed) expired.push(key);
      else this.#nextExpiry = Math.min(this.#nextExpiry, expiry);
    }
    for (const key of expired) this.#delete(key);
    this.#disarm();
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#listeners.size === 0 || this.#nextExpiry === Infinity) return;
    const timer = new AbortController();
    this.#timer = timer;
    void this.#expireLater(timer);
  }

  async #expireLater(timer: AbortController): Promise<void> {
    try {
      await this.#clock.sleep(this.#nextExpiry - this.#clock.elapsed(), { signal: timer.signal });
    } catch {
      // Disarmed.
      return;
    }
    if (this.#timer === timer) this.#timer = undefined;
    this.#expire();
    // A coarse clock may wake a little early.
    this.#arm();
  }

  #disarm(): void {
    this.#timer?.abort();
    this.#timer = undefined;
  }
}

/** flannel's key; for IPv6 alone, for which flannel has none that is safe for others, a text that it does not read. */
function keyOf(subnet: Subnet): string {
  return subnet.ipv4 === undefined ? formatSubnet(subnet) : formatSubnetKey(subnet);
}
