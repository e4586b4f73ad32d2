import { checksum } from "./checksum.ts";

/** An IPv4 packet taken apart (RFC 791); addresses are unsigned 32-bit numbers in host order. */
export interface Ipv4Packet {
  /** Bytes of the header with options: 20 to 60. */
  readonly headerLength: number;
  /** Type of service: differentiated services and ECN, 0 to 255. */
  readonly tos: number;
  /** Bytes of header and payload, as the header says. */
  readonly totalLength: number;
  /** Identification. */
  readonly id: number;
  /** Whether routers must not fragment the packet. */
  readonly dontFragment: boolean;
  /** Whether more fragments follow. */
  readonly moreFragments: boolean;
  /** Where a fragment's payload belongs, in bytes: a multiple of 8. */
  readonly fragmentOffset: number;
  /** Time to live. */
  readonly ttl: number;
  /** Protocol of the payload: 1 ICMP, 6 TCP, 17 UDP. */
  readonly protocol: number;
  /** Header checksum as it stands; `checksumValid` says whether it is right. */
  readonly checksum: number;
  /** Whether the header checksum is right. */
  readonly checksumValid: boolean;
  /** Source address. */
  readonly source: number;
  /** Destination address. */
  readonly destination: number;
  /** Options: a view of the given bytes. */
  readonly options: Uint8Array;
  /** Payload, without padding after the total length: a view of the given bytes. */
  readonly payload: Uint8Array;
}

/**
 * Takes an IPv4 packet apart: for tools and tests; pumps work on batches.
 *
 * @param bytes from the header on; bytes after the total length are ignored. Borrowed: the views point into it.
 * @throws {SyntaxError} when it isn't IPv4, or is shorter than its lengths say.
 *
 * @example
 * ```ts
 * const { source, protocol, payload } = parseIpv4(datagram);
 * ```
 */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet {
  if (bytes.length < 20) throw cannotParse(`it has ${bytes.length} bytes, expected a header of 20`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(0) >>> 4;
  if (version !== 4) throw cannotParse(`its version is ${version}, expected 4`);
  const headerLength = (view.getUint8(0) & 15) << 2;
  if (headerLength < 20 || headerLength > bytes.length) {
    throw cannotParse(`its header length is ${headerLength}, expected 20 to ${Math.min(60, bytes.length)}`);
  }
  const totalLength = view.getUint16(2);
  if (totalLength < headerLength || totalLength > bytes.length) {
    throw cannotParse(`its total length is ${totalLength}, expected ${headerLength} to ${bytes.length}`);
  }
  const fragment = view.getUint16(6);
  return {
    headerLength,
    tos: view.getUint8(1),
    totalLength,
    id: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    ttl: view.getUint8(8),
    protocol: view.getUint8(9),
    checksum: view.getUint16(10),
    checksumValid: checksum(bytes, 0, headerLength) === 0,
    source: view.getUint32(12),
    destination: view.getUint32(16),
    options: bytes.subarray(20, headerLength),
    payload: bytes.subarray(headerLength, totalLength),
  };
}

/** What {@link encodeIpv4} writes; what is left out is 0 or false, and the TTL is 64. */
export interface Ipv4Fields extends Partial<
  Pick<Ipv4Packet, "tos" | "id" | "dontFragment" | "moreFragments" | "fragmentOffset" | "ttl" | "options">
> {
  /** Source address, in host order. */
  readonly source: number;
  /** Destination address, in host order. */
  readonly destination: number;
  /** Protocol of the payload. */
  readonly protocol: number;
  /** Payload; copied. */
  readonly payload: Uint8Array;
}

/**
 * Makes an IPv4 packet with right lengths and header checksum.
 *
 * @throws {RangeError} when options aren't a multiple of 4 up to 40 bytes, or the packet would be longer than 65,535 bytes.
 */
export function encodeIpv4(fields: Ipv4Fields): Uint8Array {
  const { options = new Uint8Array(0), payload, fragmentOffset = 0 } = fields;
  const headerLength = 20 + options.length;
  const totalLength = headerLength + payload.length;
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(
      `Cannot encode IPv4 packet: options have ${options.length} bytes, expected a multiple of 4 up to 40`,
    );
  }
  if (totalLength > 65_535) {
    throw new RangeError(
      `Cannot encode IPv4 packet: it would have ${totalLength} bytes, expected at most 65535`,
    );
  }
  const bytes = new Uint8Array(totalLength);
  const view = new DataView(bytes.buffer);
  const flags = (fields.dontFragment === true ? 0x4000 : 0) | (fields.moreFragments === true ? 0x2000 : 0);
  view.setUint8(0, 0x40 | (headerLength >>> 2));
  view.setUint8(1, fields.tos ?? 0);
  view.setUint16(2, totalLength);
  view.setUint16(4, fields.id ?? 0);
  view.setUint16(6, flags | (fragmentOffset >>> 3));
  view.setUint8(8, fields.ttl ?? 64);
  view.setUint8(9, fields.protocol);
  view.setUint32(12, fields.source);
  view.setUint32(16, fields.destination);
  bytes.set(options, 20);
  view.setUint16(10, checksum(bytes, 0, headerLength));
  bytes.set(payload, headerLength);
  return bytes;
}

function cannotParse(why: string): SyntaxError {
  return new SyntaxError(`Cannot parse IPv4 packet: ${why}`);
}
