import { constants } from "./constants.ts";

/**
 * Writes a `struct sockaddr_in` or `sockaddr_in6`.
 *
 * @param address 4 or 16 bytes in network order.
 * @param port the port, 0 for any.
 * @returns 16 or 28 bytes, as `bind(2)` and `sendto(2)` take them.
 * @throws {RangeError} when the address has neither length.
 */
export function encodeSocketAddress(address: Uint8Array, port: number): Uint8Array {
  const isIPv4 = address.length === 4;
  if (!isIPv4 && address.length !== 16) {
    throw new RangeError(
      `Cannot encode a socket address: ${address.length} bytes of address, expected 4 or 16`,
    );
  }
  const bytes = new Uint8Array(isIPv4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isIPv4 ? constants.AF_INET : constants.AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(address, isIPv4 ? 4 : 8);
  return bytes;
}

/** An address and a port, as {@link decodeSocketAddress} reads them. */
export interface DecodedSocketAddress {
  /** 4 or 16 bytes in network order. */
  readonly address: Uint8Array;
  /** The port. */
  readonly port: number;
}

/**
 * Reads a `struct sockaddr_in` or `sockaddr_in6`.
 *
 * @param bytes the structure, as the kernel gave it.
 * @returns its address and port, or `undefined` for another family or too few bytes.
 */
export function decodeSocketAddress(bytes: Uint8Array): DecodedSocketAddress | undefined {
  if (bytes.length < 16) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2);
  if (family === constants.AF_INET) return { address: bytes.slice(4, 8), port };
  if (family === constants.AF_INET6 && bytes.length >= 24) return { address: bytes.slice(8, 24), port };
  return undefined;
}
