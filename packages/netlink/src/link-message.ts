import type { Attribute } from "./attribute.ts";
import { numberOf, textOf, visitAttributes, writeAttributes } from "./attribute.ts";
import { ByteWriter } from "./byte-writer.ts";
import { decodeLinkInfo, type LinkInfo, writeLinkInfo } from "./link-info.ts";

/**
 * A link: the payload of a newLink, deleteLink, getLink or setLink message (struct ifinfomsg and IFLA_* attributes,
 * rtnetlink(7), linux/if_link.h). Absent fields are absent attributes.
 */
export interface LinkMessage {
  /** Address family, 0 for any; 7 (AF_BRIDGE) asks for bridge ports. Default 0. */
  readonly family?: number | undefined;
  /** ARPHRD_*: 1 Ethernet, 772 loopback, 65534 none (TUN). Default 0. */
  readonly deviceType?: number | undefined;
  /** Interface index, 0 when the link is known by its name or not yet made. Default 0. */
  readonly index?: number | undefined;
  /** {@link LinkFlag} bits. Default 0. */
  readonly flags?: number | undefined;
  /** Which bits of `flags` a request sets. Default 0. */
  readonly changeMask?: number | undefined;
  /** Name, at most 15 bytes. */
  readonly name?: string | undefined;
  /** Link-layer address (MAC), 6 bytes for Ethernet. */
  readonly hardwareAddress?: Uint8Array | undefined;
  /** Largest packet in bytes. */
  readonly mtu?: number | undefined;
  /** Index of the lower link, or of the other end of a veth. */
  readonly link?: number | undefined;
  /** Index of the bridge (or other master) it is a port of; 0 in a request takes it out. */
  readonly master?: number | undefined;
  /** Packets that may wait to be sent. */
  readonly queueLength?: number | undefined;
  /** RFC 2863 state: 0 unknown, 2 down, 3 lower layer down, 6 up. */
  readonly operationalState?: number | undefined;
  /** Index of its group; 0 is the default. */
  readonly group?: number | undefined;
  /** File descriptor of the network namespace to make it in or move it to. */
  readonly netnsFd?: number | undefined;
  /** Id, in this namespace, of the namespace where `link` is. */
  readonly linkNetnsId?: number | undefined;
  /** Kind of device and its settings. */
  readonly info?: LinkInfo | undefined;
  /** How IPv6 link-local addresses come about: 0 EUI-64, 1 none, 2 stable secret, 3 random (IFLA_INET6_ADDR_GEN_MODE). */
  readonly addrGenMode?: number | undefined;
  /** Request: RTEXT_FILTER_* bits; 8 leaves statistics out. */
  readonly extendedFilter?: number | undefined;
  /** Attributes that have no field here, verbatim. */
  readonly other?: readonly Attribute[] | undefined;
}

/** Bits of {@link LinkMessage.flags} (net/if.h: IFF_*). */
export const LinkFlag: {
  /** Switched on. */
  readonly up: 0x1;
  readonly broadcast: 0x2;
  readonly loopback: 0x8;
  readonly pointToPoint: 0x10;
  /** Operational: up, and the other end answers. */
  readonly running: 0x40;
  readonly noArp: 0x80;
  readonly promiscuous: 0x100;
  readonly multicast: 0x1000;
  /** The layer below has a carrier. */
  readonly lowerUp: 0x10000;
} = {
  up: 0x1,
  broadcast: 0x2,
  loopback: 0x8,
  pointToPoint: 0x10,
  running: 0x40,
  noArp: 0x80,
  promiscuous: 0x100,
  multicast: 0x1000,
  lowerUp: 0x10000,
};

/**
 * Writes the payload of a link message.
 *
 * @param link Header fields and attributes; only what is given is written.
 * @returns Fresh bytes: struct ifinfomsg and attributes.
 */
export function encodeLink(link: LinkMessage): Uint8Array {
  const writer = new ByteWriter();
  writeLink(writer, link);
  return writer.finish();
}

/**
 * Reads the payload of a link message.
 *
 * @param bytes The payload of a newLink or deleteLink message.
 * @returns Its fields; byte values are views into `bytes`.
 * @throws {RangeError} The bytes are cut off.
 */
export function decodeLink(bytes: Uint8Array): LinkMessage {
  if (bytes.length < 16)
    throw new RangeError(`Cannot decode link message: ${bytes.length} bytes, expected at least 16`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const link: Writable<LinkMessage> = {
    family: bytes[0]!,
    deviceType: view.getUint16(2, true),
    index: view.getUint32(4, true),
    flags: view.getUint32(8, true),
    changeMask: view.getUint32(12, true),
  };
  const other: Attribute[] = [];
  visitAttributes(bytes, 16, (type, value, flags) => {
    if (!readAttribute(link, type, value)) other.push({ type, value, flags });
  });
  if (other.length > 0) link.other = other;
  return link;
}

/** IFLA_AF_SPEC: settings by address family. */
const AF_SPEC = 26;

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Writes a link message after what `writer` has; the peer of a veth is one inside another. */
export function writeLink(writer: ByteWriter, link: LinkMessage): void {
  writer.u16(link.family ?? 0);
  writer.u16(link.deviceType ?? 0);
  writer.u32(link.index ?? 0);
  writer.u32(link.flags ?? 0);
  writer.u32(link.changeMask ?? 0);
  const { hardwareAddress, name, info, addrGenMode, other } = link;
  if (hardwareAddress) writer.attribute(1, hardwareAddress);
  if (name !== undefined) writer.attributeText(3, name);
  for (const [field, type] of numbers) {
    const value = link[field];
    if (value !== undefined) writer.attributeU32(type, value);
  }
  if (link.operationalState !== undefined) writer.attributeU8(16, link.operationalState);
  if (info) writer.nest(18, () => writeLinkInfo(writer, info));
  // One that is kept verbatim, because there was more in it, has the mode as well.
  if (addrGenMode !== undefined && !other?.some(({ type }) => type === AF_SPEC)) {
    // IFLA_AF_SPEC holds one attribute per address family: here AF_INET6 (10).
    writer.nest(AF_SPEC, () => writer.nest(10, () => writer.attributeU8(8, addrGenMode)));
  }
  if (other) writeAttributes(writer, other);
}

/** Fields whose attribute is one 32-bit number. */
const numbers = [
  ["mtu", 4],
  ["link", 5],
  ["master", 10],
  ["queueLength", 13],
  ["group", 27],
  ["netnsFd", 28],
  ["extendedFilter", 29],
  ["linkNetnsId", 37],
] as const satisfies readonly (readonly [keyof LinkMessage, number])[];

const numberFields = new Map<number, (typeof numbers)[number][0]>(
  numbers.map(([field, type]) => [type, field]),
);

/** Puts an attribute into its field; false when it has none and is to be kept verbatim. */
function readAttribute(link: Writable<LinkMessage>, type: number, value: Uint8Array): boolean {
  const field = numberFields.get(type);
  if (field !== undefined) link[field] = numberOf(value);
  else if (type === 1) link.hardwareAddress = value;
  else if (type === 3) link.name = textOf(value);
  else if (type === 16) link.operationalState = numberOf(value);
  else if (type === 18) link.info = decodeLinkInfo(value);
  else if (type === AF_SPEC) return readFamilies(link, value);
  else return false;
  return true;
}

/** Takes the IPv6 address generation mode out of IFLA_AF_SPEC; true when nothing else was in it. */
function readFamilies(link: Writable<LinkMessage>, bytes: Uint8Array): boolean {
  let whole = true;
  visitAttributes(bytes, 0, (family, settings) => {
    if (family !== 10) whole = false;
    else
      visitAttributes(settings, 0, (type, value) => {
        if (type === 8) link.addrGenMode = numberOf(value);
        else whole = false;
      });
  });
  return whole;
}
