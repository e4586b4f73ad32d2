import { formatSubnetKey } from "@loden/lease";
import type { Subnet } from "@loden/subnet";
import type { OpenKeyRange } from "./transport/etcd-transport.ts";
import { joinPath } from "./join-path.ts";

/** Where flannel keeps things below a prefix: `config`, and `subnets/10.5.52.0-24` for each lease. */
export interface LeaseLayout {
  /** Key of the network configuration. */
  readonly configKey: string;
  /** What every lease's key begins with. */
  readonly leasePrefix: string;
  /** All leases. */
  readonly leases: OpenKeyRange;
}

/**
 * Says where the leases of one network are. flannel lists by `subnets` without a slash, so no other key below the prefix
 * may begin with that; none of ours does.
 *
 * @param prefix - such as `/coreos.com/network`
 * @returns the keys
 */
export function createLeaseLayout(prefix: string): LeaseLayout {
  const leasePrefix = `${joinPath(prefix, "subnets")}/`;
  return { configKey: joinPath(prefix, "config"), leasePrefix, leases: startingWith(leasePrefix) };
}

/**
 * @param layout - of the network
 * @param subnet - of the lease
 * @returns the key of the lease
 * @throws {RangeError} If a flannel host could not read the key, as that of a subnet without IPv4.
 */
export function leaseKey(layout: LeaseLayout, subnet: Subnet): Uint8Array {
  return Buffer.from(layout.leasePrefix + formatSubnetKey(subnet));
}

/**
 * @param prefix - ends in an ASCII character
 * @returns all keys that start with it
 */
export function startingWith(prefix: string): OpenKeyRange {
  const last = prefix.charCodeAt(prefix.length - 1);
  return {
    key: Buffer.from(prefix),
    rangeEnd: Buffer.from(prefix.slice(0, -1) + String.fromCharCode(last + 1)),
  };
}
