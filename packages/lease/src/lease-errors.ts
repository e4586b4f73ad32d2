import { formatSubnet, type Subnet } from "@loden/subnet";
import { formatOwner, type Lease } from "./lease.ts";

/** A claim failed, because the subnet or a part of it is taken. */
export class LeaseExistsError extends Error {
  override readonly name = "LeaseExistsError";
  /** For callers to match. */
  readonly code = "ERR_LEASE_EXISTS";
  /** What was to be claimed. */
  readonly subnet: Subnet;
  /** The lease that takes it; `undefined` when the entry there cannot be read. */
  readonly holder: Lease | undefined;

  /**
   * @param subnet - What was to be claimed.
   * @param holder - The lease that takes it, if its entry can be read.
   */
  constructor(subnet: Subnet, holder: Lease | undefined) {
    const where = holder === undefined ? "" : ` on ${formatSubnet(holder.subnet)}`;
    const by = `${formatOwner(holder?.attributes)}${where}`;
    super(`Cannot claim subnet ${formatSubnet(subnet)}: it is taken by ${by}, expected a free one`);
    this.subnet = subnet;
    this.holder = holder;
  }
}

/** A lease is not ours any more: the store holds another one on its subnet. Names both parties. */
export class LeaseConflictError extends Error {
  override readonly name = "LeaseConflictError";
  /** For callers to match. */
  readonly code = "ERR_LEASE_CONFLICT";
  /** The lease as the caller knew it. */
  readonly ours: Lease;
  /** The lease as the store holds it now; `undefined` when the entry there cannot be read. */
  readonly theirs: Lease | undefined;

  /**
   * @param ours - The lease as the caller knew it.
   * @param theirs - The lease as the store holds it now, if its entry can be read.
   */
  constructor(ours: Lease, theirs: Lease | undefined) {
    const found = `${formatOwner(theirs?.attributes)} at revision ${theirs?.revision ?? "unknown"}`;
    const expected = `${formatOwner(ours.attributes)} at revision ${ours.revision}`;
    super(
      `Cannot keep lease on ${formatSubnet(ours.subnet)}: the store holds ${found}, expected ${expected}`,
    );
    this.ours = ours;
    this.theirs = theirs;
  }
}

/** A lease is gone: it expired, or somebody deleted it. Its subnet may be free. */
export class LeaseLostError extends Error {
  override readonly name = "LeaseLostError";
  /** For callers to match. */
  readonly code = "ERR_LEASE_LOST";
  /** The lease as the caller knew it. */
  readonly lease: Lease;

  /** @param lease - The lease as the caller knew it. */
  constructor(lease: Lease) {
    const expected = `${formatOwner(lease.attributes)} at revision ${lease.revision}`;
    super(`Cannot renew lease on ${formatSubnet(lease.subnet)}: the store has none, expected ${expected}`);
    this.lease = lease;
  }
}

/** A store was used after it was closed. */
export class StoreClosedError extends Error {
  override readonly name = "StoreClosedError";
  /** For callers to match. */
  readonly code = "ERR_STORE_CLOSED";

  /** @param operation - What was to be done, such as "list leases". */
  constructor(operation: string) {
    super(`Cannot ${operation}: the lease store is closed, expected an open one`);
  }
}
