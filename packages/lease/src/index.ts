/**
 * Leases on subnets: the store contract, flannel's key and value text, and the engine that acquires, keeps, follows and
 * releases leases over any store.
 *
 * @example What a flannel host reads and writes
 * ```ts
 * import { parseAddress, parsePrefix } from "@loden/ip";
 * import { formatLeaseValue, formatSubnetKey } from "@loden/lease";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatSubnetKey({ ipv4: parsePrefix("10.5.52.0/24") }), "10.5.52.0-24");
 * assert.equal(
 *   formatLeaseValue({ publicIP: parseAddress("1.2.3.4"), backendType: "" }),
 *   '{"PublicIP":"1.2.3.4","PublicIPv6":null}',
 * );
 * ```
 *
 * @module
 */
export { acquireLease, type AcquiredLease, type AcquireLeaseOptions, defaultTtlMs } from "./acquire-lease.ts";
export { type Clock, systemClock } from "./clock.ts";
export { type LeaseDiagnostic, leaseChannelName, publishDiagnostic } from "./diagnostics.ts";
export {
  followLeases,
  type FollowLeasesOptions,
  type LeaseChange,
  type PeerUpdate,
} from "./follow-leases.ts";
export { type KeepEvent, keepLease, type KeepLeaseOptions } from "./keep-lease.ts";
export {
  formatOwner,
  type JsonValue,
  type Lease,
  type LeaseAttributes,
  sameAttributes,
  sameOwner,
} from "./lease.ts";
export { LeaseConflictError, LeaseExistsError, LeaseLostError, StoreClosedError } from "./lease-errors.ts";
export type {
  ClaimOptions,
  LeaseEvent,
  LeaseList,
  LeaseStore,
  LeaseStoreSupports,
  RenewOptions,
  StoreCallOptions,
  WatchOptions,
} from "./lease-store.ts";
export { formatLeaseValue, parseLeaseValue } from "./lease-value.ts";
export { type LeaseEntry, parseLeaseEntry } from "./parse-lease-entry.ts";
export { releaseLease } from "./release-lease.ts";
export { formatSubnetKey, parseSubnetKey } from "./subnet-key.ts";
