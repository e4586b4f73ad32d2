import type { SkippedPeer, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Peer } from "@loden/packet";
import { formatSubnet } from "@loden/subnet";
import { packetAddress } from "./packet-addresses.ts";

/** What the function of {@link createPeerRecords} makes of leases. */
export interface PeerRecords {
  /** An entry for each prefix of each lease that can be served. */
  readonly records: readonly Peer[];
  /** The leases that can't, and why. */
  readonly skipped: readonly SkippedPeer[];
}

/**
 * Makes the function that gives the peer table's entries of leases. It gives the same objects for a lease that it knows, so that the table
 * has only to look at what is new.
 *
 * flannel's udp backend takes leases of any backend type as peers; so does this one. Datagrams go to a peer's IPv4 address, or to its
 * IPv6 address where either side has no IPv4: both sides choose the same then. The destination port is the local one: it is the same on
 * all hosts.
 *
 * @param port the UDP port of the network.
 * @returns the function; it takes the leases of all other hosts, and this host's underlay: it sends over the families that it has.
 */
export function createPeerRecords(
  port: number,
): (leases: readonly Lease[], underlay: Underlay) => PeerRecords {
  let known = new WeakMap<Lease, readonly Peer[]>();
  let families = "";
  return (leases, underlay) => {
    const own = [underlay.ipv4 && "IPv4", underlay.ipv6 && "IPv6"].filter(Boolean).join(" or ");
    if (own !== families) known = new WeakMap();
    families = own;
    const records: Peer[] = [];
    const skipped: SkippedPeer[] = [];
    for (const lease of leases) {
      let entries = known.get(lease);
      if (entries === undefined) {
        entries = recordsOf(lease, port, underlay);
        if (entries !== undefined) known.set(lease, entries);
      }
      if (entries === undefined) {
        const reason = `it publishes no ${families} address to send to`;
        skipped.push({ subnet: formatSubnet(lease.subnet), reason });
      } else {
        records.push(...entries);
      }
    }
    return { records, skipped };
  };
}

function recordsOf(
  { subnet, attributes }: Lease,
  endpointPort: number,
  underlay: Underlay,
): readonly Peer[] | undefined {
  const endpoint = endpointOf(attributes, underlay);
  if (endpoint === undefined) return undefined;
  const endpointAddress = packetAddress(endpoint);
  return [subnet.ipv4, subnet.ipv6]
    .filter((prefix) => prefix !== undefined)
    .map(({ address, length: prefixLength }) => ({
      network: packetAddress(address),
      prefixLength,
      endpointAddress,
      endpointPort,
    }));
}

function endpointOf(
  { publicIP, publicIPv6 }: LeaseAttributes,
  { ipv4, ipv6 }: Underlay,
): Address | undefined {
  if (ipv4 !== undefined && publicIP?.isUnspecified === false) return publicIP;
  return ipv6 !== undefined && publicIPv6?.isUnspecified === false ? publicIPv6 : undefined;
}
