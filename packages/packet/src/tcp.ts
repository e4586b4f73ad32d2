/** A TCP segment taken apart (RFC 9293). */
export interface TcpSegment {
  /** Port that it comes from. */
  readonly sourcePort: number;
  /** Port that it goes to. */
  readonly destinationPort: number;
  /** Sequence number of the first byte. */
  readonly sequence: number;
  /** Next byte expected from the other side. */
  readonly acknowledgment: number;
  /** Bytes of the header with options: 20 to 60. */
  readonly headerLength: number;
  /** Flags, one bit each: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128. */
  readonly flags: number;
  /** Window, not scaled. */
  readonly window: number;
  /** Checksum as it stands. */
  readonly checksum: number;
  /** Urgent pointer. */
  readonly urgent: number;
  /** Options: a view of the given bytes. */
  readonly options: Uint8Array;
  /** Payload: a view of the given bytes. */
  readonly payload: Uint8Array;
}

/**
 * Takes a TCP segment apart. The checksum isn't verified: it needs the IP addresses.
 *
 * @param bytes the payload of an IP packet of protocol 6. Borrowed: the views point into it.
 * @throws {SyntaxError} when it is shorter than its header.
 */
export function parseTcp(bytes: Uint8Array): TcpSegment {
  if (bytes.length < 20) {
    throw new SyntaxError(`Cannot parse TCP segment: it has ${bytes.length} bytes, expected a header of 20`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = (view.getUint8(12) >>> 4) << 2;
  if (headerLength < 20 || headerLength > bytes.length) {
    throw new SyntaxError(
      `Cannot parse TCP segment: its header length is ${headerLength}, expected 20 to ${Math.min(60, bytes.length)}`,
    );
  }
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    headerLength,
    flags: view.getUint8(13),
    window: view.getUint16(14),
    checksum: view.getUint16(16),
    urgent: view.getUint16(18),
    options: bytes.subarray(20, headerLength),
    payload: bytes.subarray(headerLength),
  };
}
