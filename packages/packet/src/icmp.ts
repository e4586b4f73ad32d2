import { checksum } from "./checksum.ts";
import { pseudoHeaderSum } from "./pseudo-header.ts";

const protocolIcmpv6 = 58;

/** The IPv6 addresses of a packet, which the checksum of ICMPv6 covers. */
export interface Icmpv6Addresses {
  /** Source address. */
  readonly source: bigint;
  /** Destination address. */
  readonly destination: bigint;
}

/** An ICMP message taken apart (RFC 792, RFC 4443). */
export interface IcmpMessage {
  /**
   * Type. ICMP: 0 echo reply, 3 destination unreachable, 8 echo request, 11 time exceeded. ICMPv6: 1 destination unreachable,
   * 2 packet too big, 3 time exceeded, 128 echo request, 129 echo reply.
   */
  readonly type: number;
  /** Code, whose meaning depends on the type. */
  readonly code: number;
  /** Whether the checksum is right. */
  readonly checksumValid: boolean;
  /** Echo: identifier. Otherwise bytes 4 and 5. */
  readonly identifier: number;
  /** Echo: sequence number. Fragmentation needed, packet too big: the next hop's MTU. Otherwise bytes 6 and 7. */
  readonly sequence: number;
  /** What follows the 8-byte header: an echo's data, an error's quote. A view of the given bytes. */
  readonly payload: Uint8Array;
}

/**
 * Takes an ICMP message apart.
 *
 * @param bytes the payload of an IPv4 packet of protocol 1, or of an IPv6 packet of protocol 58. Borrowed: the payload points into it.
 * @param addresses of the IPv6 packet, for ICMPv6.
 * @throws {SyntaxError} when it is shorter than 8 bytes.
 */
export function parseIcmp(bytes: Uint8Array, addresses?: Icmpv6Addresses): IcmpMessage {
  if (bytes.length < 8) {
    throw new SyntaxError(`Cannot parse ICMP message: it has ${bytes.length} bytes, expected a header of 8`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    type: view.getUint8(0),
    code: view.getUint8(1),
    checksumValid: checksum(bytes, 0, bytes.length, pseudoSum(bytes, addresses)) === 0,
    identifier: view.getUint16(4),
    sequence: view.getUint16(6),
    payload: bytes.subarray(8),
  };
}

/** What {@link encodeIcmpEcho} writes. */
export interface IcmpEcho {
  /** Whether it is a request (type 8 or 128, the default) or a reply (type 0 or 129). */
  readonly reply?: boolean;
  /** Identifier of the sender, 0 to 65535. */
  readonly identifier: number;
  /** Number of the request, 0 to 65535. */
  readonly sequence: number;
  /** Data that the reply repeats; copied. None by default. */
  readonly payload?: Uint8Array;
}

/**
 * Makes an ICMP echo message, what `ping` sends: the payload of an IPv4 packet of protocol 1, or of an IPv6 packet of protocol 58.
 *
 * @param echo what to write. @param addresses of the IPv6 packet, for ICMPv6.
 * @returns 8 bytes and the payload, with a right checksum.
 *
 * @example
 * ```ts
 * encodeIcmpEcho({ identifier: 1, sequence: 2 }); // 08 00 f7 fc 00 01 00 02
 * ```
 */
export function encodeIcmpEcho(echo: IcmpEcho, addresses?: Icmpv6Addresses): Uint8Array {
  const { reply = false, identifier, sequence, payload = new Uint8Array(0) } = echo;
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  const [request, answer] = addresses === undefined ? [8, 0] : [128, 129];
  view.setUint8(0, reply ? answer : request);
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(payload, 8);
  view.setUint16(2, checksum(bytes, 0, bytes.length, pseudoSum(bytes, addresses)));
  return bytes;
}

function pseudoSum(bytes: Uint8Array, addresses: Icmpv6Addresses | undefined): number {
  if (addresses === undefined) return 0;
  return pseudoHeaderSum(addresses.source, addresses.destination, protocolIcmpv6, bytes.length);
}
