import type { Address, AddressFamily, Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { formatSubnet } from "@loden/subnet";
import type { Membership } from "./backend.ts";
import { hasRegularSubnet, leaveOutOverlaps, usableHost, unfitSubnet } from "./peer-fitness.ts";
import type { SkippedPeer } from "./peer-reports.ts";

/** One family of a peer's subnet, and where its host is. */
export interface PeerSubnet {
  /** The peer's lease. */
  readonly lease: Lease;
  /** The family of the packets inside. */
  readonly family: AddressFamily;
  /** The subnet's prefix of that family. */
  readonly prefix: Prefix;
  /** The public address that packets for it go to. */
  readonly host: Address;
}

/** What leases come to. */
export interface PeerSubnets {
  /** What can be served. A peer of a network with two families is there twice. */
  readonly subnets: readonly PeerSubnet[];
  /** What can't, and why. */
  readonly skipped: readonly SkippedPeer[];
}

/** Which peers a backend serves. */
export interface PeerSubnetOptions {
  /** The `BackendType` that their leases carry. */
  readonly backendType: string;
  /** This host's place. */
  readonly membership: Membership;
  /** The leases of all other hosts. */
  readonly peers: readonly Lease[];
  /** The family of the public address that packets of a family go to. Default the same. */
  readonly outerFamily?: ((family: AddressFamily) => AddressFamily) | undefined;
}

/**
 * Takes from leases what kernel routes can be made of: the families that this host has itself, of peers of the same backend that say where they are.
 * A lease could claim anything, so a subnet outside the network and one that overlaps this host's or another peer's are left out, as is a peer whose address
 * can be no other host's. One bad lease costs no other peer anything.
 *
 * @param options which peers.
 * @returns what can be served, in the order of the leases but for subnets of another size than the network's, which are last, and what is left out.
 */
export function listPeerSubnets(options: PeerSubnetOptions): PeerSubnets {
  const { membership, backendType, outerFamily = (family) => family } = options;
  const regular: PeerSubnet[] = [];
  const odd: PeerSubnet[] = [];
  const skipped: SkippedPeer[] = [];
  const seen = new Set<string>();
  for (const lease of options.peers) {
    const families = ([4, 6] as const).filter((family) => prefixOf(membership.lease, family) !== undefined);
    const wrong = unfitLease(lease, backendType, families);
    if (wrong !== undefined) {
      skipped.push({ subnet: formatSubnet(lease.subnet), reason: wrong });
      continue;
    }
    const isAsGivenOut = hasRegularSubnet(membership, lease);
    for (const family of families) {
      const prefix = prefixOf(lease, family);
      if (prefix === undefined) continue;
      const outer = outerFamily(family);
      const own = publicAddress(membership.lease, outer);
      const host =
        unfitSubnet(membership, prefix) ??
        usableHost(publicAddress(lease, outer), { family: outer, own }, [prefix]);
      const subnet = prefix.toString();
      if (typeof host === "string") {
        skipped.push({ subnet, reason: host });
        continue;
      }
      const isFirst = isAsGivenOut && !seen.has(subnet);
      if (isFirst) seen.add(subnet);
      (isFirst ? regular : odd).push({ lease, family, prefix, host });
    }
  }
  const { served, skipped: overlapping } = leaveOutOverlaps(regular, odd);
  return { subnets: served, skipped: [...skipped, ...overlapping] };
}

/**
 * Leaves out more of what could be served.
 *
 * @param peers as they were listed.
 * @param reasonOf says why one can't be served after all; `undefined` when it can.
 * @returns the rest, and all that is left out.
 */
export function leaveOut(
  { subnets, skipped }: PeerSubnets,
  reasonOf: (subnet: PeerSubnet) => string | undefined,
): PeerSubnets {
  const rest: PeerSubnet[] = [];
  const more: SkippedPeer[] = [...skipped];
  for (const subnet of subnets) {
    const reason = reasonOf(subnet);
    if (reason === undefined) rest.push(subnet);
    else more.push({ subnet: subnet.prefix.toString(), reason });
  }
  return { subnets: rest, skipped: more };
}

/** Why nothing of a lease can be served. */
function unfitLease(
  { subnet, attributes }: Lease,
  expected: string,
  families: readonly AddressFamily[],
): string | undefined {
  if (attributes.backendType === expected) {
    if (families.some((family) => (family === 4 ? subnet.ipv4 : subnet.ipv6) !== undefined)) return undefined;
    return `it has no subnet of a family that this host has, expected IPv${families.join(" or IPv")}`;
  }
  const type =
    attributes.backendType === ""
      ? "of a backend that says no type, as udp,"
      : `of the ${attributes.backendType} backend`;
  return `it is ${type} and this host's is ${expected}`;
}

function prefixOf({ subnet }: Lease, family: AddressFamily): Prefix | undefined {
  return family === 4 ? subnet.ipv4 : subnet.ipv6;
}

function publicAddress({ attributes }: Lease, family: AddressFamily): Address | undefined {
  return family === 4 ? attributes.publicIP : attributes.publicIPv6;
}
