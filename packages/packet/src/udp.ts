import { checksum } from "./checksum.ts";
import type { PacketAddress } from "./packet-address.ts";
import { pseudoHeaderSum } from "./pseudo-header.ts";

const protocolUdp = 17;

/** A UDP datagram taken apart (RFC 768). */
export interface UdpDatagram {
  /** Port that it comes from. */
  readonly sourcePort: number;
  /** Port that it goes to. */
  readonly destinationPort: number;
  /** Bytes of header and payload, as the header says. */
  readonly length: number;
  /** Checksum as it stands; 0 is none. */
  readonly checksum: number;
  /** Payload: a view of the given bytes. */
  readonly payload: Uint8Array;
}

/**
 * Takes a UDP datagram apart. The checksum isn't verified: it needs the IP addresses.
 *
 * @param bytes the payload of an IP packet of protocol 17. Borrowed: the payload points into it.
 * @throws {SyntaxError} when it is shorter than 8 bytes or than its length says.
 */
export function parseUdp(bytes: Uint8Array): UdpDatagram {
  if (bytes.length < 8) {
    throw new SyntaxError(`Cannot parse UDP datagram: it has ${bytes.length} bytes, expected a header of 8`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint16(4);
  if (length < 8 || length > bytes.length) {
    throw new SyntaxError(
      `Cannot parse UDP datagram: its length is ${length}, expected 8 to ${bytes.length}`,
    );
  }
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    length,
    checksum: view.getUint16(6),
    payload: bytes.subarray(8, length),
  };
}

/** What {@link encodeUdp} writes. */
export interface UdpFields {
  /** Source address, for the checksum. */
  readonly source: PacketAddress;
  /** Destination address, for the checksum. */
  readonly destination: PacketAddress;
  /** Port that it comes from. */
  readonly sourcePort: number;
  /** Port that it goes to. */
  readonly destinationPort: number;
  /** Payload; copied. */
  readonly payload: Uint8Array;
}

/**
 * Makes a UDP datagram: the payload of an IP packet of protocol 17, with a right checksum.
 */
export function encodeUdp(fields: UdpFields): Uint8Array {
  const { source, destination, sourcePort, destinationPort, payload } = fields;
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, bytes.length);
  bytes.set(payload, 8);
  const sum = checksum(
    bytes,
    0,
    bytes.length,
    pseudoHeaderSum(source, destination, protocolUdp, bytes.length),
  );
  view.setUint16(6, sum === 0 ? 0xffff : sum);
  return bytes;
}
