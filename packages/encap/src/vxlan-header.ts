/** Bytes of a VXLAN header. */
export const vxlanHeaderBytes = 8;

const flagVni = 0x08;

/** Throws RangeError for a network identifier that doesn't fit 24 bits. */
export function requireVni(vni: number): void {
  if (Number.isInteger(vni) && vni >= 0 && vni <= 0xff_ffff) return;
  throw new RangeError(
    `Cannot use VXLAN network identifier: ${vni} is given, expected an integer from 0 to 16777215`,
  );
}

/** Writes the 8 bytes of a header: flags 0x08, the identifier, every reserved bit zero (RFC 7348, section 5). */
export function writeVxlanHeader(bytes: Uint8Array, offset: number, vni: number): void {
  bytes.fill(0, offset, offset + vxlanHeaderBytes);
  bytes[offset] = flagVni;
  bytes[offset + 4] = vni >>> 16;
  bytes[offset + 5] = vni >>> 8;
  bytes[offset + 6] = vni;
}

/** Whether the I flag is set. Reserved bits are ignored, as the RFC demands of a receiver. */
export function hasVni(bytes: Uint8Array, offset: number): boolean {
  return ((bytes[offset] ?? 0) & flagVni) !== 0;
}

/** Reads the network identifier. */
export function readVni(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset + 4] ?? 0) << 16) | ((bytes[offset + 5] ?? 0) << 8) | (bytes[offset + 6] ?? 0);
}
