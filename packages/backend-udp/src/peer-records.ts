import type { SkippedPeer, Underlay } from "@loden/backend";
import type { Address } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Peer } from "@loden/packet";
import { formatSubnet } from "@loden/subnet";
import { packetAddress } from "./packet-addresses.ts";

/** What {@link peerRecords} makes of leases. */
export interface PeerRecords {
  /** An entry for each prefix of each lease that can be served. */
  readonly records: readonly Peer[];
  /** The leases that can't, and why. */
  readonly skipped: readonly SkippedPeer[];
}

/**
 * Makes the peer table's entries of leases.
 *
 * flannel's udp backend takes leases of any backend type as peers; so does this one. Datagrams go to a peer's IPv4 address, or to its
 * IPv6 address where either side has no IPv4: both sides choose the same then. The destination port is the local one: it is the same on
 * all hosts.
 *
 * @param leases the leases of all other hosts.
 * @param port the UDP port of the network.
 * @param underlay this host's: it sends over the families that it has.
 * @returns the entries, and what is left out.
 */
export function peerRecords(leases: readonly Lease[], port: number, underlay: Underlay): PeerRecords {
  const records: Peer[] = [];
  const skipped: SkippedPeer[] = [];
  for (const { subnet, attributes } of leases) {
    const endpoint = endpointOf(attributes, underlay);
    if (endpoint === undefined) {
      const families = [underlay.ipv4 && "IPv4", underlay.ipv6 && "IPv6"].filter(Boolean).join(" or ");
      skipped.push({
        subnet: formatSubnet(subnet),
        reason: `it publishes no ${families} address to send to`,
      });
      continue;
    }
    for (const prefix of [subnet.ipv4, subnet.ipv6]) {
      if (prefix === undefined) continue;
      records.push({
        network: packetAddress(prefix.address),
        prefixLength: prefix.length,
        endpointAddress: packetAddress(endpoint),
        endpointPort: port,
      });
    }
  }
  return { records, skipped };
}

function endpointOf(
  { publicIP, publicIPv6 }: LeaseAttributes,
  { ipv4, ipv6 }: Underlay,
): Address | undefined {
  if (ipv4 !== undefined && publicIP?.isUnspecified === false) return publicIP;
  return ipv6 !== undefined && publicIPv6?.isUnspecified === false ? publicIPv6 : undefined;
}
