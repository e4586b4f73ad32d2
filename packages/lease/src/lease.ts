import type { Address } from "@loden/ip";
import type { Subnet } from "@loden/subnet";

/** Any value that JSON text can carry. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue };

/** What a host publishes with its lease, so that its peers know how to reach it. */
export interface LeaseAttributes {
  /** Outer IPv4 address of the host. It also says who owns the lease: two leases with one public address have one owner. */
  readonly publicIP?: Address | undefined;
  /** Outer IPv6 address of the host. Says who owns the lease where there is no `publicIP`. */
  readonly publicIPv6?: Address | undefined;
  /** flannel's backend name, such as `"vxlan"`. `""` for the UDP backend, whose leases carry no type. */
  readonly backendType: string;
  /** What the backend wants its peers to know about IPv4 (and about itself). */
  readonly backendData?: JsonValue | undefined;
  /** What the backend wants its peers to know about IPv6. */
  readonly backendV6Data?: JsonValue | undefined;
}

/** A timed claim of one host on one subnet, as the store held it at one revision. Immutable. */
export interface Lease {
  /** The slice of the network that is claimed. */
  readonly subnet: Subnet;
  /** What the owner published. */
  readonly attributes: LeaseAttributes;
  /** Instant of expiry, wall-clock milliseconds since 1970. `undefined` for a reservation, which never expires. */
  readonly expiresAt: number | undefined;
  /** The store's cursor of the write that made this state. Opaque: compare it for equality only. */
  readonly revision: string;
}

/**
 * Says whether two leases belong to one host: equal public IPv4 addresses, or, where neither has one, equal public
 * IPv6 addresses. Leases without any public address belong to nobody, so they never match.
 *
 * flannel compares the IPv4 address alone, `0.0.0.0` included, and so hands every IPv6-only host the same lease.
 *
 * @param a - What one lease publishes.
 * @param b - What the other publishes.
 * @returns Whether both have the same owner.
 */
export function sameOwner(a: LeaseAttributes, b: LeaseAttributes): boolean {
  if (a.publicIP !== undefined || b.publicIP !== undefined) return sameAddress(a.publicIP, b.publicIP);
  return a.publicIPv6 !== undefined && sameAddress(a.publicIPv6, b.publicIPv6);
}

/**
 * Says whether two leases publish the same: addresses, backend type and backend data.
 * Members of backend data that come in another order count as a difference.
 *
 * @param a - What one lease publishes.
 * @param b - What the other publishes.
 * @returns Whether a peer would do the same for both.
 */
export function sameAttributes(a: LeaseAttributes, b: LeaseAttributes): boolean {
  return (
    sameAddress(a.publicIP, b.publicIP) &&
    sameAddress(a.publicIPv6, b.publicIPv6) &&
    a.backendType === b.backendType &&
    JSON.stringify(a.backendData) === JSON.stringify(b.backendData) &&
    JSON.stringify(a.backendV6Data) === JSON.stringify(b.backendV6Data)
  );
}

/**
 * Names the owner of a lease for a message: its public addresses, or "nobody" where it published none.
 *
 * @param attributes - What the lease publishes; `undefined` when the entry cannot be read.
 * @returns The text, such as `"192.0.2.1"`.
 */
export function formatOwner(attributes: LeaseAttributes | undefined): string {
  if (attributes === undefined) return "an entry that cannot be read";
  const addresses = [attributes.publicIP, attributes.publicIPv6].filter((address) => address !== undefined);
  return addresses.length === 0 ? "nobody" : addresses.join(" ");
}

function sameAddress(a: Address | undefined, b: Address | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
