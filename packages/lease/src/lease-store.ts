import type { NetworkConfig, Subnet } from "@loden/subnet";
import type { Lease, LeaseAttributes } from "./lease.ts";

/**
 * Where the leases of one network are kept: the contract that every `lease-*` adapter fulfils and that
 * `@loden/lease/conformance` checks.
 *
 * - Every write is a compare: no call overwrites or deletes what another host wrote.
 * - A method that fails with none of the documented errors tells of an outage. Whether its write happened is then
 *   unknown; asking again is always safe, because the compare protects it.
 * - After `close()` every method rejects with `ERR_STORE_CLOSED`.
 */
export interface LeaseStore extends AsyncDisposable {
  /** What this store can do beyond the least. Fixed for its lifetime. */
  readonly supports: LeaseStoreSupports;

  /**
   * Reads the network configuration afresh.
   *
   * @throws {SyntaxError | ConfigError} As `parseNetworkConfig` does, if the text is wrong.
   */
  getNetwork(options?: StoreCallOptions): Promise<NetworkConfig>;

  /**
   * Lists all leases as of one revision, from which `watch({ since })` goes on without a gap. Entries that others
   * wrote and that cannot be read are left out and published on the "loden:lease" channel; they never make it fail.
   */
  list(options?: StoreCallOptions): Promise<LeaseList>;

  /**
   * Creates a lease on a free subnet. Of several hosts that claim one subnet at one time, one succeeds.
   *
   * @param subnet - What to claim.
   * @param attributes - What to publish.
   * @param options - `ttlMs`: how long the lease lasts without renewal.
   * @throws {LeaseExistsError} `ERR_LEASE_EXISTS` if any part of the subnet, in either family, belongs to a lease, a
   *   reservation or an entry that cannot be read.
   */
  claim(subnet: Subnet, attributes: LeaseAttributes, options: ClaimOptions): Promise<Lease>;

  /**
   * Makes a lease last `ttlMs` from now, provided that the store still holds it at `lease.revision`. A reservation
   * stays a reservation.
   *
   * @param lease - As last seen.
   * @param options - `attributes`: what to publish from now on, by default `lease.attributes`.
   * @returns The lease at its new revision.
   * @throws {LeaseLostError} `ERR_LEASE_LOST` if the store no longer has it.
   * @throws {LeaseConflictError} `ERR_LEASE_CONFLICT` if the store holds something else under that subnet.
   */
  renew(lease: Lease, options: RenewOptions): Promise<Lease>;

  /**
   * Deletes a lease, provided that the store still holds it at `lease.revision`. A lease that is gone already is no
   * error, so that a second call changes nothing.
   *
   * @throws {LeaseConflictError} `ERR_LEASE_CONFLICT` if the store holds something else under that subnet.
   */
  release(lease: Lease, options?: StoreCallOptions): Promise<void>;

  /**
   * Watches the leases. Without `since` the first event is a `snapshot`. With `since`, events that came after that
   * revision follow, each once and in order; a `snapshot` comes first where the store cannot tell them any more.
   * A watcher that falls behind gets a new `snapshot`: never an error for that reason, and never silence.
   *
   * It goes on until `break`, until the signal aborts (which rejects with `signal.reason`) or until the store closes
   * (which ends it quietly). Any other error is an outage; watch again from the revision of the last event.
   */
  watch(options?: WatchOptions): AsyncIterable<LeaseEvent>;

  /** Ends watches and closes what the store opened. A second call changes nothing. Leases stay. */
  close(): Promise<void>;
}

/** What a store can do beyond the least. The conformance suite skips by these members and by nothing else. */
export interface LeaseStoreSupports {
  /** Leases expire by themselves when they are not renewed. */
  readonly ttl: boolean;
  /** `watch({ since })` goes on without a snapshot while the store remembers what came after. */
  readonly resume: boolean;
  /** Leases without expiry can exist: reservations that an operator writes. */
  readonly reservations: boolean;
  /** Leases are kept as flannel's key and value text, in a place where other programs write too. */
  readonly flannelText: boolean;
}

/** Options of every call to a store. */
export interface StoreCallOptions {
  /** Gives up the call; it then rejects with `signal.reason`. A write may have happened nevertheless. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `LeaseStore.claim`. */
export interface ClaimOptions extends StoreCallOptions {
  /** How long the lease lasts without renewal, in milliseconds. A store may round it up to its own steps. */
  readonly ttlMs: number;
}

/** Options of `LeaseStore.renew`. */
export interface RenewOptions extends ClaimOptions {
  /** What to publish from now on, by default what the lease published so far. */
  readonly attributes?: LeaseAttributes | undefined;
}

/** Options of `LeaseStore.watch`. */
export interface WatchOptions extends StoreCallOptions {
  /** A revision from `list`, a lease or an event: only what came after it is told. By default all, as a snapshot. */
  readonly since?: string | undefined;
  /** Only the lease on exactly this subnet is told of. By default all leases are. */
  readonly subnet?: Subnet | undefined;
}

/** The leases of a store at one revision. */
export interface LeaseList {
  /** In no particular order. */
  readonly leases: readonly Lease[];
  /** The revision of the whole store, to watch from. */
  readonly revision: string;
}

/** What `LeaseStore.watch` tells. `revision` is where to watch from after this event. */
export type LeaseEvent =
  | { readonly type: "snapshot"; readonly leases: readonly Lease[]; readonly revision: string }
  | { readonly type: "added" | "updated"; readonly lease: Lease; readonly revision: string }
  | { readonly type: "removed"; readonly subnet: Subnet; readonly revision: string };
