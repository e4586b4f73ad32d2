import { type Address, addressFromBytes, type AddressFamily } from "@loden/ip";
import { addressFamilyNumber } from "./address-family.ts";
import { numberOf, visitAttributes } from "./attribute.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** One of several next hops of a route (struct rtnexthop inside RTA_MULTIPATH). */
export interface NextHop {
  /** Index of the link. */
  readonly interfaceIndex: number;
  /** Share of the traffic relative to the other next hops, 1-256. Default 1. */
  readonly weight?: number | undefined;
  /** RTNH_F_* bits, as in the route. Default 0. */
  readonly flags?: number | undefined;
  /** Next hop; may be of the other family. */
  readonly gateway?: Address | undefined;
}

/** Writes the next hops inside RTA_MULTIPATH: structures with attributes, not attributes themselves. */
export function writeNextHops(writer: ByteWriter, hops: readonly NextHop[], family: AddressFamily): void {
  for (const hop of hops) {
    const start = writer.length;
    writer.u16(0);
    writer.u8(hop.flags ?? 0);
    writer.u8((hop.weight ?? 1) - 1);
    writer.u32(hop.interfaceIndex);
    if (hop.gateway) writeGateway(writer, hop.gateway, family);
    writer.setLength(start, 2);
  }
}

/** Reads the next hops inside RTA_MULTIPATH. */
export function decodeNextHops(bytes: Uint8Array): NextHop[] {
  const hops: NextHop[] = [];
  let offset = 0;
  while (offset + 8 <= bytes.length) {
    const length = numberOf(bytes.subarray(offset, offset + 2));
    if (length < 8 || offset + length > bytes.length)
      throw new RangeError(
        `Cannot decode next hop: length ${length} at offset ${offset}, expected 8 to ${bytes.length - offset}`,
      );
    hops.push(decodeNextHop(bytes.subarray(offset, offset + length)));
    offset += (length + 3) & ~3;
  }
  return hops;
}

/** Writes a gateway as RTA_GATEWAY, or as RTA_VIA when it is not of the route's family. */
export function writeGateway(writer: ByteWriter, gateway: Address, family: AddressFamily): void {
  if (gateway.family === family) {
    writer.attribute(5, gateway.toBytes());
    return;
  }
  writer.nest(
    18,
    () => {
      writer.u16(addressFamilyNumber(gateway.family));
      writer.bytes(gateway.toBytes());
    },
    0,
  );
}

/** Reads RTA_VIA: a 16-bit family and an address. */
export function readVia(bytes: Uint8Array): Address {
  return addressFromBytes(bytes.subarray(2));
}

function decodeNextHop(bytes: Uint8Array): NextHop {
  let gateway: Address | undefined;
  visitAttributes(bytes, 8, (type, value) => {
    if (type === 5) gateway = addressFromBytes(value);
    else if (type === 18) gateway = readVia(value);
  });
  return {
    interfaceIndex: numberOf(bytes.subarray(4, 8)),
    weight: bytes[3]! + 1,
    flags: bytes[2]!,
    ...(gateway && { gateway }),
  };
}
