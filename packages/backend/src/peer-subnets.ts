import type { Address, AddressFamily, Prefix } from "@loden/ip";
import type { Lease } from "@loden/lease";
import { familyNetwork, formatSubnet } from "@loden/subnet";
import type { Membership } from "./backend.ts";
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
 * A lease could claim anything, so a subnet outside the network, this host's own one, and one whose first address is another peer's are left out.
 *
 * @param options which peers.
 * @returns what can be served, in the order of the leases, and what is left out.
 */
export function listPeerSubnets(options: PeerSubnetOptions): PeerSubnets {
  const subnets: PeerSubnet[] = [];
  const skipped: SkippedPeer[] = [];
  const taken = new Map<string, Prefix>();
  for (const lease of options.peers) {
    if (lease.attributes.backendType !== options.backendType) {
      skipped.push({ subnet: formatSubnet(lease.subnet), reason: otherBackend(lease, options.backendType) });
      continue;
    }
    for (const family of [4, 6] as const) {
      const prefix = prefixOf(lease, family);
      if (prefix === undefined || prefixOf(options.membership.lease, family) === undefined) continue;
      const host = publicAddress(lease, options.outerFamily?.(family) ?? family);
      const reason = refusal(options, family, prefix, host, taken);
      if (reason !== undefined) skipped.push({ subnet: prefix.toString(), reason });
      else if (host !== undefined) {
        taken.set(prefix.address.toString(), prefix);
        subnets.push({ lease, family, prefix, host });
      }
    }
  }
  return { subnets, skipped };
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

function refusal(
  { membership, outerFamily }: PeerSubnetOptions,
  family: AddressFamily,
  prefix: Prefix,
  host: Address | undefined,
  taken: ReadonlyMap<string, Prefix>,
): string | undefined {
  const { lease, network } = membership;
  const own = prefixOf(lease, family);
  const outer = outerFamily?.(family) ?? family;
  const other = taken.get(prefix.address.toString());
  if (familyNetwork(network, family)?.network.contains(prefix) !== true)
    return "its subnet lies outside the network";
  if (own?.overlaps(prefix) === true) return `its subnet overlaps this host's own, ${own.toString()}`;
  if (other !== undefined) return `its first address is that of ${other.toString()}, which another peer has`;
  if (host === undefined || host.isUnspecified) return `it publishes no IPv${outer} address to send to`;
  if (publicAddress(lease, outer)?.equals(host) === true)
    return `it publishes this host's own address, ${host.toString()}`;
  return undefined;
}

function otherBackend({ attributes }: Lease, expected: string): string {
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
