import { hasVni, readVni, requireVni, vxlanHeaderBytes, writeVxlanHeader } from "./vxlan-header.ts";

/** A VXLAN datagram's content. */
export interface VxlanDatagram {
  /** Network identifier, 0 to 16777215. */
  readonly vni: number;
  /** The Ethernet frame: a view of the datagram's bytes, not a copy. */
  readonly frame: Uint8Array;
}

/**
 * Makes the UDP payload that carries an Ethernet frame through VXLAN (RFC 7348).
 *
 * @param frame the frame, from its destination MAC address; copied.
 * @param options.vni network identifier, 0 to 16777215.
 * @returns the payload, 8 bytes longer than the frame.
 * @throws {RangeError} for an identifier out of range.
 *
 * @example
 * ```ts
 * encodeVxlan(frame, { vni: 1 }); // 08 00 00 00 00 00 01 00, then the frame
 * ```
 */
export function encodeVxlan(frame: Uint8Array, { vni }: { readonly vni: number }): Uint8Array {
  requireVni(vni);
  const datagram = new Uint8Array(vxlanHeaderBytes + frame.length);
  writeVxlanHeader(datagram, 0, vni);
  datagram.set(frame, vxlanHeaderBytes);
  return datagram;
}

/**
 * Takes a VXLAN datagram apart. Reserved bits are ignored, as RFC 7348 demands of a receiver.
 *
 * @param datagram the UDP payload; borrowed.
 * @returns the network identifier and a view of the frame (which may be empty).
 * @throws {SyntaxError} when the header isn't complete or its I flag isn't set.
 *
 * @example
 * ```ts
 * const { vni, frame } = decodeVxlan(payload);
 * ```
 */
export function decodeVxlan(datagram: Uint8Array): VxlanDatagram {
  if (datagram.length < vxlanHeaderBytes) {
    throw new SyntaxError(
      `Cannot decode VXLAN datagram: it has ${datagram.length} bytes, expected a header of ${vxlanHeaderBytes}`,
    );
  }
  if (!hasVni(datagram, 0)) {
    const flags = (datagram[0] ?? 0).toString(16).padStart(2, "0");
    throw new SyntaxError(
      `Cannot decode VXLAN datagram: its flags are 0x${flags}, expected the I flag (0x08) to be set`,
    );
  }
  return { vni: readVni(datagram, 0), frame: datagram.subarray(vxlanHeaderBytes) };
}
