import {
  formatLeaseValue,
  type Lease,
  LeaseConflictError,
  LeaseLostError,
  parseLeaseValue,
  type RenewOptions,
} from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import { isWrittenBy } from "./etcd-grants.ts";
import type { TransportCallOptions } from "./transport/etcd-transport.ts";
import { leaseKey } from "./lease-layout.ts";
import type { StoreContext } from "./store-context.ts";

/**
 * Makes a lease last longer: writes the key again with a new etcd lease as flannel does, but only if nobody has written it
 * since. A key without an etcd lease is a reservation and stays one.
 *
 * @param context - the store
 * @param lease - as last seen
 * @param options - time to live, attributes and signal
 * @returns the lease at its new revision
 * @throws {LeaseLostError} `ERR_LEASE_LOST` when the key is gone
 * @throws {LeaseConflictError} `ERR_LEASE_CONFLICT` when somebody else has written it
 */
export async function renewLease(
  { grants, layout, transport }: StoreContext,
  lease: Lease,
  { ttlMs, attributes = lease.attributes, signal }: RenewOptions,
): Promise<Lease> {
  const { subnet, revision } = lease;
  const key = leaseKey(layout, subnet);
  const value = formatLeaseValue(attributes);
  const call: TransportCallOptions = { operation: `renew lease on ${formatSubnet(subnet)}`, signal };
  const grant = lease.expiresAt === undefined ? undefined : await grants.grant(ttlMs, call);
  const answer = await transport.txn(
    {
      compare: [{ target: "mod", key, revision }],
      success: [{ type: "put", key, value: Buffer.from(value), lease: grant?.id ?? "0" }],
      failure: [{ type: "range", key }],
    },
    call,
  );
  const renewed = { subnet, attributes: parseLeaseValue(value), expiresAt: grant?.expiresAt };
  if (answer.succeeded) {
    grants.dropReplaced(answer.previous);
    return { ...renewed, revision: answer.revision };
  }
  const [found] = answer.entries;
  // The answer to an earlier attempt was lost: the key is there as we wrote it, attached to our grant.
  if (grant !== undefined && found !== undefined && isWrittenBy(grant, value, found)) {
    return { ...renewed, revision: found.modRevision };
  }
  if (grant !== undefined) grants.drop(grant.id);
  if (found === undefined) throw new LeaseLostError(lease);
  throw new LeaseConflictError(lease, grants.readLease(found));
}
