import type { SkippedPeer, Underlay } from "@loden/backend";
import type { Address, Prefix } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Peer } from "@loden/packet";
import { formatSubnet } from "@loden/subnet";
import { packetAddress } from "./packet-addresses.ts";

/** Some 10 microseconds. */
const LEASES_BETWEEN_PAUSES = 16;

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
 * @param capacity how many entries the table has room for. Leases that it hasn't are skipped, the last ones given: the others are served.
 * @param pause is called now and then, when a pump that waits for this processor may go first.
 * @returns the function; it takes the leases of all other hosts, and this host's underlay: it sends over the families that it has.
 */
export function createPeerRecords(
  port: number,
  capacity: number,
  pause: () => void,
): (leases: readonly Lease[], underlay: Underlay) => PeerRecords {
  // The last leases and their entries: most leases stay, and in their places.
  let last: readonly Lease[] = [];
  let lastEntries: readonly (readonly Peer[] | undefined)[] = [];
  let families = "";
  return (leases, underlay) => {
    const own = [underlay.ipv4 && "IPv4", underlay.ipv6 && "IPv6"].filter(Boolean).join(" or ");
    if (own !== families) last = [];
    families = own;
    const known =
      leases.length === last.length ? undefined : new Map(last.map((lease, i) => [lease, lastEntries[i]]));
    let made = 0;
    const entries = leases.map((lease, i) => {
      if (last[i] === lease) return lastEntries[i];
      if (++made % LEASES_BETWEEN_PAUSES === 0) pause();
      return known?.get(lease) ?? entriesOf(lease, port, underlay);
    });
    pause();
    [last, lastEntries] = [[...leases], entries];
    const records: Peer[] = [];
    const skipped: SkippedPeer[] = [];
    const skip = ({ subnet }: Lease, reason: string): void =>
      void skipped.push({ subnet: formatSubnet(subnet), reason });
    for (const [i, lease] of leases.entries()) {
      const peers = entries[i];
      if (peers === undefined) skip(lease, `it publishes no ${families} address to send to`);
      else if (records.length + peers.length > capacity)
        skip(lease, `the peer table is full, it has room for ${capacity} subnets`);
      else for (const peer of peers) records.push(peer);
    }
    return { records, skipped };
  };
}

function entriesOf(
  { subnet: { ipv4, ipv6 }, attributes }: Lease,
  endpointPort: number,
  underlay: Underlay,
): readonly Peer[] | undefined {
  const endpoint = endpointOf(attributes, underlay);
  if (endpoint === undefined) return undefined;
  const endpointAddress = packetAddress(endpoint);
  const entryOf = ({ address, length: prefixLength }: Prefix): Peer => ({
    network: packetAddress(address),
    prefixLength,
    endpointAddress,
    endpointPort,
  });
  if (ipv6 === undefined) return ipv4 === undefined ? [] : [entryOf(ipv4)];
  return ipv4 === undefined ? [entryOf(ipv6)] : [entryOf(ipv4), entryOf(ipv6)];
}

function endpointOf(
  { publicIP, publicIPv6 }: LeaseAttributes,
  { ipv4, ipv6 }: Underlay,
): Address | undefined {
  if (ipv4 !== undefined && publicIP?.isUnspecified === false) return publicIP;
  return ipv6 !== undefined && publicIPv6?.isUnspecified === false ? publicIPv6 : undefined;
}
