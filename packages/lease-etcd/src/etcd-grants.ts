import { type Clock, type Lease, parseLeaseEntry } from "@loden/lease";
import { randomBytes } from "node:crypto";
import type { EtcdEntry, EtcdTransport, TransportCallOptions } from "./transport/etcd-transport.ts";

/** An etcd lease of ours: a timer that deletes the keys that are attached to it. */
export interface EtcdGrant {
  /** Chosen by us, so it also proves that a write is ours. */
  readonly id: string;
  /** Not later than the instant when etcd ends it; wall-clock milliseconds. */
  readonly expiresAt: number;
}

/** flannel's time to live, and so the longest that a lease of a flannel host has left. */
const longestTtlMs = 24 * 60 * 60_000;

/** The etcd leases of one store: made one for every claim and renewal as flannel does, and ended when they are useless. */
export class EtcdGrants {
  readonly #transport: EtcdTransport;
  readonly #clock: Clock;
  readonly #own = new Set<string>();
  readonly #doubtful = new Set<string>();

  /**
   * @param transport - where they are
   * @param clock - what expiry is told by
   */
  constructor(transport: EtcdTransport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /**
   * Makes one.
   *
   * @param ttlMs - how long it lasts; etcd counts whole seconds and has a least
   * @param options - what it is for
   * @returns the grant
   * @throws {RangeError} If the time to live is not positive and finite.
   */
  async grant(ttlMs: number, options: TransportCallOptions): Promise<EtcdGrant> {
    if (!(ttlMs > 0 && ttlMs < Infinity)) {
      throw new RangeError(
        `Cannot ${options.operation}: ttlMs is ${ttlMs}, expected a finite number above 0`,
      );
    }
    const ttlSeconds = Math.ceil(ttlMs / 1000);
    const expiresAt = Math.floor(this.#clock.now()) + ttlSeconds * 1000;
    const id = grantId(expiresAt);
    await this.#transport.leaseGrant({ id, ttlSeconds }, options);
    this.#own.add(id);
    return { id, expiresAt };
  }

  /**
   * Ends a grant that has no key, without waiting: if it fails, it ends by itself in time.
   *
   * @param id - of a grant
   */
  drop(id: string): void {
    this.#own.delete(id);
    this.#transport.leaseRevoke(id, { operation: "revoke an etcd lease" }).catch(() => {});
  }

  /**
   * Ends the grants that writes took the place of. Those that others made may have more keys, so they are left alone.
   *
   * @param previous - what a transaction replaced
   */
  dropReplaced(previous: readonly EtcdEntry[]): void {
    for (const { lease } of previous) if (this.#own.has(lease)) this.drop(lease);
  }

  /**
   * Remembers a grant whose claim may still happen, long after we gave it up: a member can hold a request back.
   *
   * @param id - of a grant
   */
  doubt(id: string): void {
    this.#doubtful.add(id);
  }

  /**
   * Makes sure that no claim happens that was given up before. With its grant gone, etcd refuses it.
   *
   * @param options - what it is for
   */
  async settleDoubts(options: TransportCallOptions): Promise<void> {
    for (const id of this.#doubtful) {
      await this.#transport.leaseRevoke(id, options);
      this.#doubtful.delete(id);
      this.#own.delete(id);
    }
  }

  /**
   * Reads a key as a lease. etcd tells when one ends only if it is asked, which costs a call for each. A Loden host puts
   * that instant into the id of its etcd lease; for others it is the latest that flannel's time to live allows.
   *
   * @param entry - the key and its value
   * @returns the lease; `undefined` when it cannot be read, which is published on "loden:lease"
   */
  readLease(entry: EtcdEntry): Lease | undefined {
    const read = parseLeaseEntry(textOf(entry.key), textOf(entry.value));
    if (read === undefined) return undefined;
    return { ...read, expiresAt: this.#expiryOf(entry.lease), revision: entry.modRevision };
  }

  #expiryOf(id: string): number | undefined {
    if (id === "0") return undefined;
    const now = this.#clock.now();
    const expiresAt = Number(BigInt(id) >> randomBits);
    // An id that etcd chose looks like this once in some ten thousand times, which does no harm.
    const isOurs = expiresAt > now - longestTtlMs && expiresAt < now + 10 * longestTtlMs;
    return isOurs ? expiresAt : now + longestTtlMs;
  }
}

/**
 * @param bytes - of a key or value
 * @returns the text; bytes that are no UTF-8 become U+FFFD
 */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

/**
 * @param grant - of ours
 * @param value - what we wrote with it
 * @param entry - what etcd holds
 * @returns whether that is what we wrote
 */
export function isWrittenBy(grant: EtcdGrant, value: string, entry: EtcdEntry): boolean {
  return entry.lease === grant.id && textOf(entry.value) === value;
}

const randomBits = 21n;

/** 63 bits: the instant in milliseconds, and a random number to tell hosts apart. */
function grantId(expiresAt: number): string {
  const random = randomBytes(4).readUInt32BE() >>> (32 - Number(randomBits));
  return ((BigInt(expiresAt) << randomBits) | BigInt(random)).toString();
}
