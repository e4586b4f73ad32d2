import type { Lease } from "@loden/lease";
import type { Peer } from "@loden/packet";
import { formatSubnet } from "@loden/subnet";

/**
 * Makes the peer table's entries of leases.
 *
 * flannel's udp backend takes leases of any backend type as peers; so does this one. The destination port is the local one: it
 * is the same on all hosts.
 *
 * @param leases the leases of all other hosts.
 * @param port the UDP port of the network.
 * @param onSkipped told of each lease that can't be a peer, and why.
 * @returns an entry per lease with an IPv4 subnet and an IPv4 public address.
 */
export function peerRecords(
  leases: readonly Lease[],
  port: number,
  onSkipped: (subnet: string, reason: string) => void,
): Peer[] {
  const entries: Peer[] = [];
  for (const { subnet, attributes } of leases) {
    const { publicIP } = attributes;
    if (subnet.ipv4 === undefined) {
      onSkipped(formatSubnet(subnet), "it has no IPv4 subnet, and this backend carries IPv4 alone");
    } else if (publicIP === undefined || publicIP.isUnspecified) {
      onSkipped(formatSubnet(subnet), "it publishes no IPv4 address to send to");
    } else {
      entries.push({
        network: subnet.ipv4.address.toNumber(),
        prefixLength: subnet.ipv4.length,
        endpointAddress: publicIP.toNumber(),
        endpointPort: port,
      });
    }
  }
  return entries;
}
