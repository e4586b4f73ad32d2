import { type Lease, sameOwner } from "./lease.ts";
import { LeaseConflictError } from "./lease-errors.ts";
import type { LeaseStore, StoreCallOptions } from "./lease-store.ts";

/**
 * Gives a lease back, so that its subnet is free at once instead of when it expires. Deletes it also where we renewed
 * it without learning the outcome. A reservation is an operator's, so it stays. A second call changes nothing.
 *
 * @param store - Where the lease is.
 * @param lease - As last seen.
 * @param options - `signal`.
 * @throws {LeaseConflictError} `ERR_LEASE_CONFLICT` if the subnet is another host's by now; it stays theirs.
 */
export async function releaseLease(
  store: LeaseStore,
  lease: Lease,
  options: StoreCallOptions = {},
): Promise<void> {
  let held = lease;
  while (held.expiresAt !== undefined) {
    try {
      return await store.release(held, options);
    } catch (error) {
      if (!(error instanceof LeaseConflictError) || error.theirs === undefined) throw error;
      if (!sameOwner(error.theirs.attributes, lease.attributes)) throw error;
      held = error.theirs;
    }
  }
}
