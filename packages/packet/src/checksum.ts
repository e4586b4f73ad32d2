/**
 * Computes the Internet checksum (RFC 1071) of a stretch of bytes; an odd last byte is padded with zero.
 *
 * A stretch that contains its own right checksum gives 0.
 *
 * @param bytes where the stretch lies.
 * @param offset of its first byte; default 0.
 * @param length in bytes, at most 128 KiB; default up to the end.
 * @param initial a sum to start from, such as that of a pseudo header; default 0.
 * @returns the ones' complement of the ones' complement sum, 0 to 65535.
 *
 * @example
 * ```ts
 * checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03)); // 0x0dfb
 * ```
 */
export function checksum(
  bytes: Uint8Array,
  offset = 0,
  length: number = bytes.length - offset,
  initial = 0,
): number {
  let sum = initial;
  const even = offset + (length & ~1);
  for (let at = offset; at < even; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  if ((length & 1) === 1) sum += (bytes[even] ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}
