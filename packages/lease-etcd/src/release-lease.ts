import { type Lease, LeaseConflictError, type StoreCallOptions } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { leaseKey } from "./lease-layout.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Deletes a lease if nobody has written it since.
 *
 * @param context - the store
 * @param lease - as last seen
 * @param options - signal
 * @throws {LeaseConflictError} `ERR_LEASE_CONFLICT` when somebody else has written it
 */
export async function releaseLease(
  { grants, layout, transport }: StoreContext,
  lease: Lease,
  { signal }: StoreCallOptions,
): Promise<void> {
  const { subnet, revision } = lease;
  const key = leaseKey(layout, subnet);
  const answer = await transport.txn(
    {
      compare: [{ target: "mod", key, revision }],
      success: [{ type: "delete", key }],
      failure: [{ type: "range", key }],
    },
    { operation: `release lease on ${formatSubnet(subnet)}`, signal },
  );
  grants.dropReplaced(answer.previous);
  const [found] = answer.entries;
  if (found !== undefined) throw new LeaseConflictError(lease, grants.readLease(found));
}
