import type { Prefix } from "@loden/ip";

/** One host's slice of the network: a prefix per enabled family. In a dual-stack network both are there. */
export interface Subnet {
  /** The IPv4 slice, such as `10.5.34.0/24`. */
  readonly ipv4?: Prefix | undefined;
  /** The IPv6 slice, such as `fd00:5:0:34::/64`. */
  readonly ipv6?: Prefix | undefined;
}

/**
 * Whether two subnets are the same slice: equal in both families, where absent equals absent.
 *
 * @param a - One subnet.
 * @param b - The other.
 * @returns Whether both families are equal.
 */
export function sameSubnet(a: Subnet, b: Subnet): boolean {
  return samePrefix(a.ipv4, b.ipv4) && samePrefix(a.ipv6, b.ipv6);
}

/**
 * Whether two subnets share an address in any family, so that two hosts cannot hold both.
 *
 * @param a - One subnet.
 * @param b - The other.
 * @returns Whether the prefixes of either family overlap; an absent one overlaps nothing.
 */
export function subnetsOverlap(a: Subnet, b: Subnet): boolean {
  return prefixesOverlap(a.ipv4, b.ipv4) || prefixesOverlap(a.ipv6, b.ipv6);
}

/**
 * The text of a subnet for people: its prefixes with a space between, IPv4 first.
 *
 * @param subnet - The subnet.
 * @returns Text such as `10.5.1.0/24` or `10.5.1.0/24 fd00::/64`; empty when both families are absent.
 */
export function formatSubnet(subnet: Subnet): string {
  return [subnet.ipv4, subnet.ipv6]
    .flatMap((prefix) => (prefix === undefined ? [] : [prefix.toString()]))
    .join(" ");
}

function samePrefix(a: Prefix | undefined, b: Prefix | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

function prefixesOverlap(a: Prefix | undefined, b: Prefix | undefined): boolean {
  return a !== undefined && b !== undefined && a.overlaps(b);
}
