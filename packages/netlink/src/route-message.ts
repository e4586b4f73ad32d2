import { Address, Prefix } from "@loden/ip";
import { addressFamilyNumber, addressFamilyOf } from "./address-family.ts";
import type { Attribute } from "./attribute.ts";
import { addressBetween, locateAttributes, numberBetween, TYPE_BITS, writeAttributes } from "./attribute.ts";
import { ByteWriter } from "./byte-writer.ts";
import { decodeNextHops, type NextHop, readVia, writeGateway, writeNextHops } from "./next-hop.ts";
import { decodeMetrics, type RouteMetrics, writeMetrics } from "./route-metrics.ts";

/**
 * A route: the payload of a newRoute or deleteRoute message (struct rtmsg and RTA_* attributes, rtnetlink(7),
 * linux/rtnetlink.h).
 */
export interface RouteMessage {
  /** Where it leads; `0.0.0.0/0` or `::/0` is the default route. Its family is the message's. */
  readonly destination: Prefix;
  /** Routing table, 32 bits: 254 main, 255 local, 253 default. Default 254. */
  readonly table?: number | undefined;
  /** Who added it (RTPROT_*): 0 unspecified, 2 kernel, 3 boot, 4 static, ... Default 0. */
  readonly protocol?: number | undefined;
  /** {@link RouteScope}. Default 0, global. */
  readonly scope?: number | undefined;
  /** {@link RouteType}. Default 1, unicast; 0 in a delete request matches any. */
  readonly type?: number | undefined;
  /** RTNH_F_* and RTM_F_* bits: 1 dead, {@link ON_LINK}, 16 link down, 0x200 cloned. Default 0. */
  readonly flags?: number | undefined;
  /** Type of service that packets must have. Default 0. */
  readonly typeOfService?: number | undefined;
  /** IPv6: prefix that the packet's source must lie in. */
  readonly from?: Prefix | undefined;
  /** Next hop; may be of the other family (RTA_VIA). */
  readonly gateway?: Address | undefined;
  /** Index of the link it leads out of. */
  readonly interfaceIndex?: number | undefined;
  /** Source address for packets that have none yet (RTA_PREFSRC). */
  readonly source?: Address | undefined;
  /** Preference among routes to one destination, lower wins (RTA_PRIORITY). IPv6 defaults to 1024. */
  readonly metric?: number | undefined;
  /** Path properties: MTU, advertised MSS, ... */
  readonly metrics?: RouteMetrics | undefined;
  /** Several next hops to share the traffic, instead of `gateway` and `interfaceIndex`. */
  readonly nextHops?: readonly NextHop[] | undefined;
  /** Attributes that have no field here, verbatim; RTA_CACHEINFO (12) and RTA_PREF (20) are left out. */
  readonly other?: readonly Attribute[] | undefined;
}

/** Bit of {@link RouteMessage.flags}: the gateway is on the link even if no route says so (RTNH_F_ONLINK). */
export const ON_LINK = 4;

/** How far away the destination is (linux/rtnetlink.h: RT_SCOPE_*). IPv6 routes are all global. */
export const RouteScope: {
  readonly global: 0;
  readonly site: 200;
  readonly link: 253;
  readonly host: 254;
  readonly nowhere: 255;
} = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 };

/** What becomes of a packet that the route matches (linux/rtnetlink.h: RTN_*). */
export const RouteType: {
  readonly unspecified: 0;
  readonly unicast: 1;
  readonly local: 2;
  readonly broadcast: 3;
  readonly anycast: 4;
  readonly multicast: 5;
  readonly blackhole: 6;
  readonly unreachable: 7;
  readonly prohibit: 8;
  readonly throw: 9;
} = {
  unspecified: 0,
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
};

/**
 * Writes the payload of a route message.
 *
 * @param route The route; only what is given is written.
 * @returns Fresh bytes: struct rtmsg and attributes.
 */
export function encodeRoute(route: RouteMessage): Uint8Array {
  const { destination, from, gateway, interfaceIndex, source, metric, metrics, nextHops, other } = route;
  const table = route.table ?? 254;
  const writer = new ByteWriter();
  writer.u8(addressFamilyNumber(destination.family));
  writer.u8(destination.length);
  writer.u8(from?.length ?? 0);
  writer.u8(route.typeOfService ?? 0);
  writer.u8(table > 255 ? 0 : table);
  writer.u8(route.protocol ?? 0);
  writer.u8(route.scope ?? 0);
  writer.u8(route.type ?? 1);
  writer.u32(route.flags ?? 0);
  if (destination.length > 0) writer.attribute(1, destination.address.toBytes());
  if (from && from.length > 0) writer.attribute(2, from.address.toBytes());
  if (gateway) writeGateway(writer, gateway, destination.family);
  if (interfaceIndex !== undefined) writer.attributeU32(4, interfaceIndex);
  if (metric !== undefined) writer.attributeU32(6, metric);
  if (source) writer.attribute(7, source.toBytes());
  if (metrics) writer.nest(8, () => writeMetrics(writer, metrics));
  if (nextHops) writer.nest(9, () => writeNextHops(writer, nextHops, destination.family), 0);
  if (table > 255) writer.attributeU32(15, table);
  if (other) writeAttributes(writer, other);
  return writer.finish();
}

/**
 * Reads the payload of a route message.
 *
 * @param bytes The payload of a newRoute or deleteRoute message of family AF_INET or AF_INET6.
 * @returns Its fields; values of `other` are views into `bytes`.
 * @throws {RangeError} The bytes are cut off or of another family.
 */
export function decodeRoute(bytes: Uint8Array): RouteMessage {
  if (bytes.length < 12)
    throw new RangeError(`Cannot decode route message: ${bytes.length} bytes, expected at least 12`);
  const family = addressFamilyOf(bytes[0]);
  if (family === undefined)
    throw new RangeError(`Cannot decode route message: address family ${bytes[0]}, expected 2 or 10`);
  let destination = family === 4 ? unspecified4 : unspecified6;
  let fromAddress = destination;
  const route: Writable<RouteMessage> = {
    destination: family === 4 ? default4 : default6,
    table: bytes[4]!,
    protocol: bytes[5]!,
    scope: bytes[6]!,
    type: bytes[7]!,
    flags: numberBetween(bytes, 8, 12),
  };
  if (bytes[3] !== 0) route.typeOfService = bytes[3]!;
  let other: Attribute[] | undefined;
  locateAttributes(bytes, 12, (typeField, from, to) => {
    const type = typeField & TYPE_BITS;
    if (type === 15) route.table = numberBetween(bytes, from, to);
    else if (type === 1) destination = addressBetween(bytes, from, to);
    else if (type === 4) route.interfaceIndex = numberBetween(bytes, from, to);
    else if (type === 5) route.gateway = addressBetween(bytes, from, to);
    else if (type === 2) fromAddress = addressBetween(bytes, from, to);
    else if (type === 6) route.metric = numberBetween(bytes, from, to);
    else if (type === 7) route.source = addressBetween(bytes, from, to);
    else if (type === 8) route.metrics = decodeMetrics(bytes.subarray(from, to));
    else if (type === 9) route.nextHops = decodeNextHops(bytes.subarray(from, to));
    else if (type === 18) route.gateway = readVia(bytes.subarray(from, to));
    else if (type !== 12 && type !== 20)
      (other ??= []).push({ type, value: bytes.subarray(from, to), flags: typeField & ~TYPE_BITS });
  });
  if (bytes[1] !== 0) route.destination = new Prefix(destination, bytes[1]!);
  if (bytes[2] !== 0) route.from = new Prefix(fromAddress, bytes[2]!);
  if (other) route.other = other;
  return route;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const unspecified4 = new Address(4, 0n);
const unspecified6 = new Address(6, 0n);
const default4 = new Prefix(unspecified4, 0);
const default6 = new Prefix(unspecified6, 0);
