import { type Address, addressFromBytes } from "@loden/ip";
import type { Attribute } from "./attribute.ts";
import { numberOf, visitAttributes, writeAttributes } from "./attribute.ts";
import { ByteWriter } from "./byte-writer.ts";

/**
 * A neighbour, or an entry of a bridge's forwarding table (FDB): the payload of a newNeighbour or deleteNeighbour message
 * (struct ndmsg and NDA_* attributes, rtnetlink(7), linux/neighbour.h).
 */
export interface NeighbourMessage {
  /** Address family: 2 (AF_INET), 10 (AF_INET6), or 7 (AF_BRIDGE) for an FDB entry. */
  readonly family: number;
  /** Index of the link. */
  readonly interfaceIndex: number;
  /** {@link NeighbourState} bits. Default 0. */
  readonly state?: number | undefined;
  /** NTF_* bits: 0x02 on the device itself, 0x04 in its master, 0x08 proxy, 0x10 learnt outside, 0x80 router. Default 0. */
  readonly flags?: number | undefined;
  /** RTN_* type as routes have it; 1 unicast. Default 0. */
  readonly type?: number | undefined;
  /** The neighbour's IP address; for an FDB entry of a VXLAN device, the tunnel's far end. */
  readonly destination?: Address | undefined;
  /** Link-layer address (MAC). */
  readonly hardwareAddress?: Uint8Array | undefined;
  /** FDB of a bridge: VLAN identifier. */
  readonly vlan?: number | undefined;
  /** FDB of a VXLAN device: UDP port of the far end, where it is not the device's. */
  readonly port?: number | undefined;
  /** FDB of a VXLAN device: its network identifier. */
  readonly vni?: number | undefined;
  /** FDB of a VXLAN device: index of the link that leads to the far end (NDA_IFINDEX). */
  readonly lowerIndex?: number | undefined;
  /** Index of the master, for an FDB entry. */
  readonly master?: number | undefined;
  /** Who added it, numbered as route protocols are (NDA_PROTOCOL). */
  readonly protocol?: number | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/** Bits of {@link NeighbourMessage.state} (linux/neighbour.h: NUD_*). */
export const NeighbourState: {
  readonly incomplete: 0x1;
  readonly reachable: 0x2;
  readonly stale: 0x4;
  readonly delay: 0x8;
  readonly probe: 0x10;
  readonly failed: 0x20;
  readonly noArp: 0x40;
  readonly permanent: 0x80;
} = {
  incomplete: 0x1,
  reachable: 0x2,
  stale: 0x4,
  delay: 0x8,
  probe: 0x10,
  failed: 0x20,
  noArp: 0x40,
  permanent: 0x80,
};

/**
 * Writes the payload of a neighbour message.
 *
 * @param neighbour Header fields and attributes; only what is given is written.
 * @returns Fresh bytes: struct ndmsg and attributes.
 */
export function encodeNeighbour(neighbour: NeighbourMessage): Uint8Array {
  const { destination, hardwareAddress, vlan, port, vni, lowerIndex, master, protocol, other } = neighbour;
  const writer = new ByteWriter();
  writer.u32(neighbour.family);
  writer.u32(neighbour.interfaceIndex);
  writer.u16(neighbour.state ?? 0);
  writer.u8(neighbour.flags ?? 0);
  writer.u8(neighbour.type ?? 0);
  if (destination) writer.attribute(1, destination.toBytes());
  if (hardwareAddress) writer.attribute(2, hardwareAddress);
  if (vlan !== undefined) writer.attributeU16(5, vlan);
  if (port !== undefined) writer.attribute(6, Uint8Array.of(port >> 8, port & 0xff));
  if (vni !== undefined) writer.attributeU32(7, vni);
  if (lowerIndex !== undefined) writer.attributeU32(8, lowerIndex);
  if (master !== undefined) writer.attributeU32(9, master);
  if (protocol !== undefined) writer.attributeU8(12, protocol);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a neighbour message.
 *
 * @param bytes The payload of a newNeighbour or deleteNeighbour message.
 * @returns Its fields; byte values are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeNeighbour(bytes: Uint8Array): NeighbourMessage {
  if (bytes.length < 12)
    throw new RangeError(`Cannot decode neighbour message: ${bytes.length} bytes, expected at least 12`);
  const neighbour: Writable<NeighbourMessage> = {
    family: bytes[0]!,
    interfaceIndex: numberOf(bytes.subarray(4, 8)),
    state: numberOf(bytes.subarray(8, 10)),
    flags: bytes[10]!,
    type: bytes[11]!,
  };
  const other: Attribute[] = [];
  visitAttributes(bytes, 12, (type, value, flags) => {
    // An FDB entry may carry a destination that is no IP address: kept verbatim.
    if (type === 1 && (value.length === 4 || value.length === 16))
      neighbour.destination = addressFromBytes(value);
    else if (type === 2) neighbour.hardwareAddress = value;
    else if (type === 5) neighbour.vlan = numberOf(value);
    else if (type === 6) neighbour.port = (value[0]! << 8) | value[1]!;
    else if (type === 7) neighbour.vni = numberOf(value);
    else if (type === 8) neighbour.lowerIndex = numberOf(value);
    else if (type === 9) neighbour.master = numberOf(value);
    else if (type === 12) neighbour.protocol = numberOf(value);
    else other.push({ type, value, flags });
  });
  if (other.length > 0) neighbour.other = other;
  return neighbour;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
