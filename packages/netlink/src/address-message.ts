import { type Address, addressFromBytes } from "@loden/ip";
import { addressFamilyNumber } from "./address-family.ts";
import type { Attribute } from "./attribute.ts";
import { numberOf, textOf, visitAttributes, writeAttributes } from "./attribute.ts";
import { ByteWriter } from "./byte-writer.ts";

/**
 * An address of a link: the payload of a newAddress or deleteAddress message (struct ifaddrmsg and IFA_* attributes,
 * rtnetlink(7), linux/if_addr.h).
 */
export interface AddressMessage {
  /** The address itself (IFA_LOCAL, or IFA_ADDRESS where that stands alone). */
  readonly address: Address;
  /** Bits of the network that is on the link, 0-32 or 0-128. */
  readonly prefixLength: number;
  /** Index of the link. */
  readonly interfaceIndex: number;
  /** Address of the other end, on a point-to-point link. */
  readonly peer?: Address | undefined;
  /** 0 global, 200 site, 253 link, 254 host. Default 0. */
  readonly scope?: number | undefined;
  /** IFA_F_* bits: 0x01 secondary, 0x02 no duplicate detection, 0x40 tentative, 0x80 permanent, 0x200 no prefix route. Default 0. */
  readonly flags?: number | undefined;
  /** IPv4: the label, the link's name or `name:something`. */
  readonly label?: string | undefined;
  /** IPv4: the broadcast address. */
  readonly broadcast?: Address | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/**
 * Writes the payload of an address message.
 *
 * @param message The address and where it goes.
 * @returns Fresh bytes: struct ifaddrmsg and attributes.
 */
export function encodeAddress(message: AddressMessage): Uint8Array {
  const { address, peer, label, broadcast, flags = 0, other } = message;
  const writer = new ByteWriter();
  writer.u8(addressFamilyNumber(address.family));
  writer.u8(message.prefixLength);
  writer.u8(flags & 0xff);
  writer.u8(message.scope ?? 0);
  writer.u32(message.interfaceIndex);
  writer.attribute(2, address.toBytes());
  writer.attribute(1, (peer ?? address).toBytes());
  if (label !== undefined) writer.attributeText(3, label);
  if (broadcast) writer.attribute(4, broadcast.toBytes());
  if (flags > 0xff) writer.attributeU32(8, flags);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of an address message.
 *
 * @param bytes The payload of a newAddress or deleteAddress message.
 * @returns Its fields; values of `other` are views into `bytes`.
 * @throws {RangeError} The bytes are cut off, or have no address of 4 or 16 bytes.
 */
export function decodeAddress(bytes: Uint8Array): AddressMessage {
  if (bytes.length < 8)
    throw new RangeError(`Cannot decode address message: ${bytes.length} bytes, expected at least 8`);
  const other: Attribute[] = [];
  let local: Address | undefined;
  let remote: Address | undefined;
  let label: string | undefined;
  let broadcast: Address | undefined;
  let addressFlags = bytes[2]!;
  visitAttributes(bytes, 8, (type, value, flags) => {
    if (type === 1) remote = addressFromBytes(value);
    else if (type === 2) local = addressFromBytes(value);
    else if (type === 3) label = textOf(value);
    else if (type === 4) broadcast = addressFromBytes(value);
    else if (type === 8) addressFlags = numberOf(value);
    else other.push({ type, value, flags });
  });
  const address = local ?? remote;
  if (address === undefined)
    throw new RangeError("Cannot decode address message: no address, expected IFA_LOCAL or IFA_ADDRESS");
  return {
    address,
    prefixLength: bytes[1]!,
    interfaceIndex: numberOf(bytes.subarray(4, 8)),
    scope: bytes[3]!,
    flags: addressFlags,
    ...(remote && !address.equals(remote) && { peer: remote }),
    ...(label !== undefined && { label }),
    ...(broadcast && { broadcast }),
    ...(other.length > 0 && { other }),
  };
}
