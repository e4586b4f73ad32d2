import type { Address } from "@loden/ip";
import type { AddressMessage } from "@loden/netlink";

/** An address to give to a link. */
export interface NewAddress {
  /** Name of the link. */
  readonly link: string;
  /** The address itself; its family decides the link's table. */
  readonly address: Address;
  /** Bits of the network on the link, 0-32 or 0-128. */
  readonly prefixLength: number;
  /** Address of the other end, on a point-to-point link. */
  readonly peer?: Address | undefined;
  /** IPv4 broadcast address; none without it. */
  readonly broadcast?: Address | undefined;
  /** How far it is valid; `host` for loopback addresses and `global` otherwise without it. */
  readonly scope?: "global" | "link" | "host" | undefined;
  /** IPv6: ask whether another host has it, which delays its use by a second or more. Default true. */
  readonly duplicateDetection?: boolean | undefined;
  /** Have the kernel add the route to the network on the link. Default true. */
  readonly prefixRoute?: boolean | undefined;
}

/** An address of a link, as the kernel lists it. */
export interface LinkAddress extends NewAddress {
  /** How far it is valid. */
  readonly scope: "global" | "link" | "host";
  /** Index of the link. */
  readonly linkIndex: number;
  /** IPv6: whether duplicate detection is still under way, so that it cannot be used. */
  readonly tentative: boolean;
  /** Whether it stays until it is deleted; false for one from autoconfiguration. */
  readonly permanent: boolean;
  /** Whether it is about to go, so that nothing new should use it. */
  readonly deprecated: boolean;
  /** IPv4: not the first address of its network on the link. IPv6: one of those that change for privacy. */
  readonly secondary: boolean;
}

const AddressFlag = {
  secondary: 0x01,
  noDuplicateDetection: 0x02,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
  noPrefixRoute: 0x200,
};
const scopes = { global: 0, link: 253, host: 254 };

/** The message for an address on the link with that index. */
export function addressMessage(address: NewAddress, interfaceIndex: number): AddressMessage {
  const scope =
    address.scope ?? (address.address.family === 4 && address.address.isLoopback ? "host" : "global");
  return {
    address: address.address,
    prefixLength: address.prefixLength,
    interfaceIndex,
    scope: scopes[scope],
    flags:
      (address.duplicateDetection === false ? AddressFlag.noDuplicateDetection : 0) |
      (address.prefixRoute === false ? AddressFlag.noPrefixRoute : 0),
    peer: address.peer,
    broadcast: address.broadcast,
  };
}

/** The address that a message tells of. */
export function linkAddressOf(message: AddressMessage, link: string): LinkAddress {
  const { flags = 0, scope = 0, peer, broadcast } = message;
  return {
    link,
    linkIndex: message.interfaceIndex,
    address: message.address,
    prefixLength: message.prefixLength,
    ...(peer && { peer }),
    ...(broadcast && { broadcast }),
    scope: scope >= 254 ? "host" : scope >= 253 ? "link" : "global",
    tentative: (flags & AddressFlag.tentative) !== 0,
    permanent: (flags & AddressFlag.permanent) !== 0,
    deprecated: (flags & AddressFlag.deprecated) !== 0,
    secondary: (flags & AddressFlag.secondary) !== 0,
    ...(flags & AddressFlag.noDuplicateDetection && { duplicateDetection: false }),
    ...(flags & AddressFlag.noPrefixRoute && { prefixRoute: false }),
  };
}
