import { type Address, type AddressFamily, type Prefix, PrefixSet } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { familyNetwork } from "@loden/subnet";
import type { Membership } from "./backend.ts";
import type { SkippedPeer } from "./peer-reports.ts";

/**
 * Says why a subnet of another host's lease can't be a peer's, whoever published it: it lies outside the network, or overlaps this host's own.
 *
 * @param membership this host's place.
 * @param prefix one family of the subnet.
 * @returns the reason in words; `undefined` when there is none.
 */
export function unfitSubnet({ lease, network }: Membership, prefix: Prefix): string | undefined {
  const overlay = familyNetwork(network, prefix.family)?.network;
  if (overlay?.contains(prefix) !== true)
    return `its subnet lies outside the network, expected a part of ${overlay?.toString() ?? "it"}`;
  const own = prefix.family === 4 ? lease.subnet.ipv4 : lease.subnet.ipv6;
  if (own?.overlaps(prefix) === true) return `its subnet overlaps this host's own, ${own.toString()}`;
  return undefined;
}

/**
 * Takes the public address of a lease, if packets can be sent to it: not if it is none, no single host's, this host's own, or one that only the peer's own
 * subnet leads to, so that what is sent there would come back to be sent again.
 *
 * @param host the address; `undefined` when the lease has none.
 * @param expected the family that it has to be of, and this host's own public address of that family.
 * @param subnets the prefixes of the lease.
 * @returns the address, or in words why it is none to send to.
 */
export function usableHost(
  host: Address | undefined,
  { family, own }: { readonly family: AddressFamily; readonly own: Address | undefined },
  subnets: readonly Prefix[],
): Address | string {
  if (host === undefined || host.isUnspecified) return `it publishes no IPv${family} address to send to`;
  if (host.family !== family || isNoHost(host))
    return `it publishes ${host.toString()}, expected the IPv${family} address of a host`;
  if (own?.equals(host) === true) return `it publishes this host's own address, ${host.toString()}`;
  if (subnets.some((prefix) => prefix.contains(host)))
    return `it publishes ${host.toString()}, which lies in its own subnet, expected an address that is reached without it`;
  return host;
}

/** Whether an address is nobody's to be sent to from another host: RFC 1122 3.2.1.3, RFC 4291 2.5, and IPv4 addresses in IPv6 dress. */
function isNoHost(address: Address): boolean {
  if (address.isLoopback || address.isMulticast) return true;
  if (address.family === 6) return address.isLinkLocal || address.unmap() !== address;
  return address.value >> 24n === 0n || address.value === 0xffff_ffffn;
}

/**
 * Whether a lease's subnet is such as the network gives out: the same families as this host's own, each of the configured length. Those of one network never
 * overlap.
 *
 * @param membership this host's place.
 * @param lease another host's.
 */
export function hasRegularSubnet({ lease: own, network }: Membership, { subnet }: Lease): boolean {
  return (["ipv4", "ipv6"] as const).every((family) => {
    if (own.subnet[family] === undefined || subnet[family] === undefined)
      return own.subnet[family] === subnet[family];
    return subnet[family].length === network[family]?.subnetLength;
  });
}

/**
 * Leaves out subnets that overlap those of other peers: whoever has one of another size than the network gives out has to give way, whatever its place in the
 * order, and among such the later one.
 *
 * @param regular subnets that don't overlap each other.
 * @param odd all others.
 * @returns what is served, the regular ones first, and what is left out.
 */
export function leaveOutOverlaps<T extends { readonly prefix: Prefix }>(
  regular: readonly T[],
  odd: readonly T[],
): { readonly served: readonly T[]; readonly skipped: readonly SkippedPeer[] } {
  if (odd.length === 0) return { served: regular, skipped: [] };
  const served = [...regular];
  const skipped: SkippedPeer[] = [];
  const taken = new PrefixSet(regular.map(({ prefix }) => prefix));
  for (const one of odd) {
    const { prefix } = one;
    if (taken.overlaps(prefix)) {
      const other = served.find((peer) => peer.prefix.overlaps(prefix))?.prefix;
      const reason = `its subnet overlaps ${String(other)}, which another peer has`;
      skipped.push({ subnet: prefix.toString(), reason });
      continue;
    }
    taken.add(prefix);
    served.push(one);
  }
  return { served, skipped };
}
