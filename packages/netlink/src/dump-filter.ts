import { ByteWriter } from "./byte-writer.ts";

/** What a dump of addresses or neighbours should hold; absent means any. */
export interface InterfaceFilter {
  /** Address family: 2 (AF_INET), 10 (AF_INET6), 7 (AF_BRIDGE); 0 for any. Default 0. */
  readonly family?: number | undefined;
  /** Index of the link. */
  readonly interfaceIndex?: number | undefined;
}

/** What a dump of routes should hold; absent means any. */
export interface RouteFilter extends InterfaceFilter {
  /** Routing table, 32 bits. */
  readonly table?: number | undefined;
  /** Who added it (RTPROT_*). */
  readonly protocol?: number | undefined;
  /** RTN_* */
  readonly type?: number | undefined;
}

/**
 * Writes the payload of a getAddress dump request. The kernel filters only on a socket with NETLINK_GET_STRICT_CHK
 * (Linux 4.20).
 *
 * @param filter What to list.
 * @returns Fresh bytes: struct ifaddrmsg.
 */
export function encodeAddressFilter(filter: InterfaceFilter): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(filter.family ?? 0);
  writer.u32(filter.interfaceIndex ?? 0);
  return writer.finish();
}

/**
 * Writes the payload of a getNeighbour dump request; filtered as {@link encodeAddressFilter} says.
 *
 * @param filter What to list.
 * @returns Fresh bytes: struct ndmsg and NDA_IFINDEX.
 */
export function encodeNeighbourFilter(filter: InterfaceFilter): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(filter.family ?? 0);
  writer.u32(0);
  writer.u32(0);
  if (filter.interfaceIndex !== undefined) writer.attributeU32(8, filter.interfaceIndex);
  return writer.finish();
}

/**
 * Writes the payload of a getRoute dump request; filtered as {@link encodeAddressFilter} says. A table that does not exist
 * is answered with ENOENT.
 *
 * @param filter What to list.
 * @returns Fresh bytes: struct rtmsg, RTA_TABLE and RTA_OIF.
 */
export function encodeRouteFilter(filter: RouteFilter): Uint8Array {
  const { table = 0, interfaceIndex } = filter;
  const writer = new ByteWriter();
  writer.u32(filter.family ?? 0);
  writer.u8(table > 255 ? 0 : table);
  writer.u8(filter.protocol ?? 0);
  writer.u8(0);
  writer.u8(filter.type ?? 0);
  writer.u32(0);
  if (table > 255) writer.attributeU32(15, table);
  if (interfaceIndex !== undefined) writer.attributeU32(4, interfaceIndex);
  return writer.finish();
}
