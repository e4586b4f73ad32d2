import {
  hasRegularSubnet,
  leaveOutOverlaps,
  type Membership,
  type SkippedPeer,
  type Underlay,
  unfitSubnet,
  usableHost,
} from "@loden/backend";
import type { Address, AddressFamily, Prefix } from "@loden/ip";
import type { Lease, LeaseAttributes } from "@loden/lease";
import type { Peer } from "@loden/packet";
import { formatSubnet } from "@loden/subnet";
import { type Decapsulates, readDecapsulates } from "./kernel-path/published.ts";
import { packetAddress } from "./packet-addresses.ts";

// Some 10 microseconds each.
const LEASES_BETWEEN_PAUSES = 16;
const ENTRIES_BETWEEN_PAUSES = 256;

/** An entry of the peer table, and what the kernel path has to know of the peer. */
export interface PeerRecord extends Peer {
  /** What the peer's own kernel takes off, as its lease says. */
  readonly takes: Decapsulates | undefined;
}

/** What the function of {@link createPeerRecords} makes of leases. */
export interface PeerRecords {
  /** An entry for each prefix of each lease that can be served. */
  readonly records: readonly PeerRecord[];
  /** The leases, or the prefixes of a lease, that can't, and why. */
  readonly skipped: readonly SkippedPeer[];
}

/** By what leases are looked at. */
export interface PeerRecordsPlace {
  /** This host's underlay: it is sent over the families that it has. */
  readonly underlay: Underlay;
  /** What this host publishes. */
  readonly attributes: LeaseAttributes;
  /** Its place in the overlay, once it has joined; before, any subnet may be a peer's. */
  readonly membership: Membership | undefined;
}

/**
 * Makes the function that gives the peer table's entries of leases. It gives the same objects for a lease that it knows, so that the table
 * has only to look at what is new.
 *
 * flannel's udp backend takes leases of any backend type as peers; so does this one. Datagrams go to a peer's IPv4 address, or to its
 * IPv6 address where either side has no IPv4: both sides choose the same then. The destination port is the local one: it is the same on
 * all hosts. What a lease says that can't be so leaves out that lease alone, or its prefix of one family.
 *
 * @param port the UDP port of the network.
 * @param capacity how many entries the table has room for. Leases that it hasn't are skipped, the last ones given: the others are served.
 * @param pause is called every some 10 microseconds, when a pump that waits for this processor may go first.
 * @returns the function; it takes the leases of all other hosts.
 */
export function createPeerRecords(
  port: number,
  capacity: number,
  pause: () => void,
): (leases: readonly Lease[], place: PeerRecordsPlace) => PeerRecords {
  // The last leases and their entries: most leases stay, and in their places.
  let last: readonly Lease[] = [];
  let lastEntries: readonly Entry[] = [];
  let lastPlace: PeerRecordsPlace | undefined;
  let overlaps: Overlaps = { fits: [], skipped: [] };
  return (leases, place) => {
    if (lastPlace === undefined || !isSamePlace(place, lastPlace)) last = [];
    lastPlace = place;
    const inPlaces = leases.length === last.length;
    const known = inPlaces ? undefined : new Map<Lease, Entry>();
    if (known !== undefined) {
      for (const [i, lease] of last.entries()) {
        if ((i + 1) % ENTRIES_BETWEEN_PAUSES === 0) pause();
        known.set(lease, lastEntries[i] as Entry);
      }
    }
    let made = 0;
    // Endpoints change more often than subnets do, and where subnets lie is the dearer question.
    let samePrefixes = inPlaces;
    const entries = leases.map((lease, i) => {
      if ((i + 1) % ENTRIES_BETWEEN_PAUSES === 0) pause();
      const before = lastEntries[i] as Entry;
      if (last[i] === lease) return before;
      if (++made % LEASES_BETWEEN_PAUSES === 0) pause();
      const entry = known?.get(lease) ?? entryOf(lease, port, place);
      samePrefixes &&= hasSamePrefixes(entry, before);
      return entry;
    });
    pause();
    if (!samePrefixes) overlaps = findOverlaps(entries);
    [last, lastEntries] = [[...leases], entries];
    const records: PeerRecord[] = [];
    const skipped: SkippedPeer[] = [];
    const odd: PeerRecord[] = [];
    const oddPrefixes: Prefix[] = [];
    const full = `the peer table is full, it has room for ${capacity} subnets`;
    for (const [i, entry] of entries.entries()) {
      if ((i + 1) % ENTRIES_BETWEEN_PAUSES === 0) pause();
      if (entry.skipped.length > 0) skipped.push(...entry.skipped);
      if (!entry.isRegular) {
        for (const record of entry.records) odd.push(record);
        for (const prefix of entry.prefixes) oddPrefixes.push(prefix);
      } else if (records.length + entry.records.length > capacity)
        skipped.push({ subnet: formatSubnet((leases[i] as Lease).subnet), reason: full });
      else for (const record of entry.records) records.push(record);
    }
    if (odd.length === 0) return { records, skipped };
    for (const [i, record] of odd.entries()) {
      if ((i + 1) % ENTRIES_BETWEEN_PAUSES === 0) pause();
      if (overlaps.fits[i] !== true) continue;
      if (records.length < capacity) records.push(record);
      else skipped.push({ subnet: String(oddPrefixes[i]), reason: full });
    }
    return { records, skipped: [...skipped, ...overlaps.skipped] };
  };
}

/** What becomes of a lease. */
interface Entry {
  /** What can be served, and the table's entry for each. */
  readonly prefixes: readonly Prefix[];
  readonly records: readonly PeerRecord[];
  readonly skipped: readonly SkippedPeer[];
  /** Whether its prefixes are such as overlap no others of the same kind. */
  readonly isRegular: boolean;
}

function entryOf(lease: Lease, endpointPort: number, place: PeerRecordsPlace): Entry {
  const { subnet, attributes } = lease;
  const { membership } = place;
  const all = [subnet.ipv4, subnet.ipv6].filter((prefix) => prefix !== undefined);
  const endpoint = endpointOf(attributes, place, all);
  if (typeof endpoint === "string") {
    const skipped = [{ subnet: formatSubnet(subnet), reason: endpoint }];
    return { prefixes: [], records: [], skipped, isRegular: true };
  }
  const endpointAddress = packetAddress(endpoint);
  const prefixes: Prefix[] = [];
  const records: PeerRecord[] = [];
  const skipped: SkippedPeer[] = [];
  const takes = readDecapsulates(attributes);
  for (const prefix of all) {
    const reason = membership && unfitSubnet(membership, prefix);
    const { address, length: prefixLength } = prefix;
    if (reason === undefined) {
      prefixes.push(prefix);
      records.push({ network: packetAddress(address), prefixLength, endpointAddress, endpointPort, takes });
    } else skipped.push({ subnet: prefix.toString(), reason });
  }
  const isRegular = membership === undefined || hasRegularSubnet(membership, lease);
  return { prefixes, records, skipped: skipped.length === 0 ? NONE : skipped, isRegular };
}

// One for all: there may be as many entries as hosts.
const NONE: readonly SkippedPeer[] = [];

/** Which of the prefixes that are not regular overlap no other, in their order, and what is said of the rest. */
interface Overlaps {
  readonly fits: readonly boolean[];
  readonly skipped: readonly SkippedPeer[];
}

function findOverlaps(entries: readonly Entry[]): Overlaps {
  const prefixesOf = (regular: boolean): { readonly prefix: Prefix }[] =>
    entries
      .filter(({ isRegular }) => isRegular === regular)
      .flatMap(({ prefixes }) => prefixes.map((prefix) => ({ prefix })));
  const odd = prefixesOf(false);
  if (odd.length === 0) return { fits: [], skipped: [] };
  const { served, skipped } = leaveOutOverlaps(prefixesOf(true), odd);
  const kept = new Set(served);
  return { fits: odd.map((one) => kept.has(one)), skipped };
}

function hasSamePrefixes(entry: Entry, other: Entry): boolean {
  if (entry.isRegular !== other.isRegular || entry.prefixes.length !== other.prefixes.length) return false;
  return entry.prefixes.every((prefix, i) => prefix.equals(other.prefixes[i] as Prefix));
}

/** Where datagrams for a lease go, or why they can't. */
function endpointOf(
  { publicIP, publicIPv6 }: LeaseAttributes,
  { underlay: { ipv4, ipv6 }, attributes }: PeerRecordsPlace,
  subnets: readonly Prefix[],
): Address | string {
  const over = (family: AddressFamily): Address | string | undefined => {
    const [host, own] = family === 4 ? [publicIP, attributes.publicIP] : [publicIPv6, attributes.publicIPv6];
    if (host === undefined || host.isUnspecified) return undefined;
    return usableHost(host, { family, own }, subnets);
  };
  const endpoint = (ipv4 && over(4)) ?? (ipv6 && over(6));
  if (endpoint !== undefined) return endpoint;
  const families = [ipv4 && "IPv4", ipv6 && "IPv6"].filter(Boolean).join(" or ");
  return `it publishes no ${families} address to send to`;
}

function isSamePlace(a: PeerRecordsPlace, b: PeerRecordsPlace): boolean {
  return (
    a.membership === b.membership &&
    a.attributes === b.attributes &&
    (a.underlay.ipv4 === undefined) === (b.underlay.ipv4 === undefined) &&
    (a.underlay.ipv6 === undefined) === (b.underlay.ipv6 === undefined)
  );
}
