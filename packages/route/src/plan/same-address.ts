import type { Address } from "@loden/ip";

/**
 * Whether two addresses that may be absent are the same: equal, or both absent.
 *
 * @param left One of them.
 * @param right The other.
 */
export function sameAddress(left: Address | undefined, right: Address | undefined): boolean {
  return left === right || (left !== undefined && right !== undefined && left.equals(right));
}
