import {
  type ClaimOptions,
  type Lease,
  type LeaseAttributes,
  LeaseConflictError,
  type LeaseEvent,
  LeaseExistsError,
  type LeaseList,
  LeaseLostError,
  type LeaseStore,
  type LeaseStoreSupports,
  type RenewOptions,
  type StoreCallOptions,
  StoreClosedError,
  type WatchOptions,
} from "@loden/lease";
import { type NetworkConfig, parseNetworkConfig, sameSubnet, type Subnet } from "@loden/subnet";
import type { MemoryChange } from "./change-history.ts";
import type { MemoryEntry, MemoryStorage } from "./memory-storage.ts";

/**
 * Makes one node's handle on a storage in memory. Closing it ends its own watches; the storage and its leases stay.
 *
 * @param storage - From `createMemoryStorage`; shared by the nodes of the network.
 * @returns The store.
 */
export function createMemoryLeaseStore(storage: MemoryStorage): LeaseStore {
  return new MemoryLeaseStore(storage);
}

class MemoryLeaseStore implements LeaseStore {
  readonly supports: LeaseStoreSupports = { ttl: true, resume: true, reservations: true, flannelText: true };
  readonly #storage: MemoryStorage;
  readonly #wakers = new Set<() => void>();
  #isClosed = false;

  constructor(storage: MemoryStorage) {
    this.#storage = storage;
  }

  async getNetwork(options: StoreCallOptions = {}): Promise<NetworkConfig> {
    this.#enter("read the network", options);
    return parseNetworkConfig(this.#storage.config);
  }

  async list(options: StoreCallOptions = {}): Promise<LeaseList> {
    this.#enter("list leases", options);
    return this.#list(undefined);
  }

  async claim(subnet: Subnet, attributes: LeaseAttributes, options: ClaimOptions): Promise<Lease> {
    this.#enter("claim subnet", options);
    const holder = this.#storage.findOverlap(subnet);
    if (holder !== undefined) throw new LeaseExistsError(subnet, holder.lease);
    return this.#storage.putLease(subnet, attributes, { ttlMs: options.ttlMs });
  }

  async renew(lease: Lease, options: RenewOptions): Promise<Lease> {
    this.#enter("renew lease", options);
    const entry = this.#compare(lease);
    if (entry === undefined) throw new LeaseLostError(lease);
    const { ttlMs, attributes = lease.attributes } = options;
    // A reservation stays one.
    return this.#storage.putLease(lease.subnet, attributes, entry.expiresAt === undefined ? {} : { ttlMs });
  }

  async release(lease: Lease, options: StoreCallOptions = {}): Promise<void> {
    this.#enter("release lease", options);
    const entry = this.#compare(lease);
    if (entry !== undefined) this.#storage.delete(entry.key);
  }

  async *watch(options: WatchOptions = {}): AsyncGenerator<LeaseEvent, void, undefined> {
    this.#enter("watch leases", options);
    const { subnet, signal } = options;
    let wake: (() => void) | undefined;
    const ring = (): void => wake?.();
    const stopListening = this.#storage.listen(ring);
    signal?.addEventListener("abort", ring);
    this.#wakers.add(ring);
    let cursor = parseRevision(options.since);
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#isClosed) return;
        const changes = this.#storage.changesSince(cursor);
        if (changes === undefined) {
          const list = this.#list(subnet);
          cursor = Number(list.revision);
          yield { type: "snapshot", ...list };
        } else if (changes.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        for (const change of changes ?? []) {
          cursor = change.revision;
          const event = eventOf(change, subnet);
          if (event === undefined) continue;
          yield event;
          signal?.throwIfAborted();
          if (this.#isClosed) return;
        }
      }
    } finally {
      this.#wakers.delete(ring);
      signal?.removeEventListener("abort", ring);
      stopListening();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const wake of this.#wakers) wake();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #enter(operation: string, { signal }: StoreCallOptions): void {
    signal?.throwIfAborted();
    if (this.#isClosed) throw new StoreClosedError(operation);
  }

  #list(subnet: Subnet | undefined): LeaseList {
    const entries = subnet === undefined ? this.#storage.entries() : [this.#storage.get(subnet)];
    const leases = entries.flatMap((entry) => entry?.lease ?? []);
    return { leases, revision: `${this.#storage.revision}` };
  }

  /** The entry of a lease, provided that it is as last seen; `undefined` when there is none. */
  #compare(lease: Lease): MemoryEntry | undefined {
    const entry = this.#storage.get(lease.subnet);
    if (entry !== undefined && `${entry.revision}` !== lease.revision) {
      throw new LeaseConflictError(lease, entry.lease);
    }
    return entry;
  }
}

/** `NaN`, which no history knows, for what is no revision of ours. */
function parseRevision(text = ""): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** What a change means to a watcher; an entry that cannot be read is as good as none. */
function eventOf(change: MemoryChange, only: Subnet | undefined): LeaseEvent | undefined {
  const { entry, previous } = change;
  const revision = `${change.revision}`;
  const { subnet, lease } = entry;
  if (subnet === undefined || (only !== undefined && !sameSubnet(subnet, only))) return undefined;
  if (change.type === "delete" || lease === undefined) {
    return previous?.lease === undefined ? undefined : { type: "removed", subnet, revision };
  }
  return { type: previous?.lease === undefined ? "added" : "updated", lease, revision };
}
