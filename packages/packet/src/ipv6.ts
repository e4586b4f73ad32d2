import { readIpv6, writeIpv6 } from "./packet-address.ts";

/** An IPv6 packet taken apart (RFC 8200); addresses are 128-bit numbers. */
export interface Ipv6Packet {
  /** Traffic class: differentiated services and ECN, 0 to 255. */
  readonly trafficClass: number;
  /** Flow label, 20 bits. */
  readonly flowLabel: number;
  /** Protocol of the payload, or the number of the first extension header: 6 TCP, 17 UDP, 58 ICMPv6. */
  readonly nextHeader: number;
  /** Hop limit. */
  readonly hopLimit: number;
  /** Source address. */
  readonly source: bigint;
  /** Destination address. */
  readonly destination: bigint;
  /** What follows the header of 40 bytes, extension headers included, as long as the header says: a view of the given bytes. */
  readonly payload: Uint8Array;
}

/**
 * Takes an IPv6 packet apart: for tools and tests; pumps work on batches.
 *
 * @param bytes from the header on; bytes after the payload are ignored. Borrowed: the payload points into it.
 * @throws {SyntaxError} when it isn't IPv6, or is shorter than its length says.
 */
export function parseIpv6(bytes: Uint8Array): Ipv6Packet {
  if (bytes.length < 40) throw cannotParse(`it has ${bytes.length} bytes, expected a header of 40`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = view.getUint32(0);
  if (first >>> 28 !== 6) throw cannotParse(`its version is ${first >>> 28}, expected 6`);
  const length = view.getUint16(4);
  if (length + 40 > bytes.length) {
    throw cannotParse(`its payload length is ${length}, expected at most ${bytes.length - 40}`);
  }
  return {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xf_ffff,
    nextHeader: view.getUint8(6),
    hopLimit: view.getUint8(7),
    source: readIpv6(view, 8),
    destination: readIpv6(view, 24),
    payload: bytes.subarray(40, 40 + length),
  };
}

/** What {@link encodeIpv6} writes; what is left out is 0, and the hop limit is 64. */
export interface Ipv6Fields extends Partial<Pick<Ipv6Packet, "trafficClass" | "flowLabel" | "hopLimit">> {
  /** Source address. */
  readonly source: bigint;
  /** Destination address. */
  readonly destination: bigint;
  /** Protocol of the payload, or the number of its first extension header. */
  readonly nextHeader: number;
  /** Payload with extension headers; copied. */
  readonly payload: Uint8Array;
}

/**
 * Makes an IPv6 packet.
 *
 * @throws {RangeError} when the payload is longer than 65,535 bytes.
 */
export function encodeIpv6(fields: Ipv6Fields): Uint8Array {
  const { trafficClass = 0, flowLabel = 0, hopLimit = 64, payload } = fields;
  if (payload.length > 65_535) {
    throw new RangeError(
      `Cannot encode IPv6 packet: its payload has ${payload.length} bytes, expected at most 65535`,
    );
  }
  const bytes = new Uint8Array(40 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (0x6000_0000 | (trafficClass << 20) | flowLabel) >>> 0);
  view.setUint16(4, payload.length);
  view.setUint8(6, fields.nextHeader);
  view.setUint8(7, hopLimit);
  writeIpv6(view, 8, fields.source);
  writeIpv6(view, 24, fields.destination);
  bytes.set(payload, 40);
  return bytes;
}

function cannotParse(why: string): SyntaxError {
  return new SyntaxError(`Cannot parse IPv6 packet: ${why}`);
}
