import type { AddressFamily } from "@loden/ip";
import type { LinkAddress } from "@loden/rtnetlink";

/**
 * Sorts the addresses of a link by how well they serve as a host's own: global before link-local, permanent before dynamic, primary before
 * secondary and temporary ones; otherwise as the kernel lists them. Left out are those of another family, of the loopback, and those that are going
 * away or not checked yet. The order is flannel's.
 *
 * @param addresses of one link.
 * @param family which family.
 * @returns the best first.
 */
export function orderAddresses(addresses: readonly LinkAddress[], family: AddressFamily): LinkAddress[] {
  return addresses
    .filter(({ address, deprecated, tentative }) => {
      const { isLoopback, isMulticast, isUnspecified } = address;
      const isOther = address.family !== family || isLoopback || isMulticast || isUnspecified;
      return !isOther && !deprecated && !tentative;
    })
    .toSorted((a, b) => rank(a) - rank(b));
}

function rank({ address, permanent, secondary }: LinkAddress): number {
  return (address.isLinkLocal ? 4 : 0) + (permanent ? 0 : 2) + (secondary ? 1 : 0);
}
