/**
 * Gives the network mask of a prefix length as an unsigned 32-bit number: `prefixMask(24)` is 0xffffff00.
 *
 * @param length 0 to 32; not checked.
 */
export function prefixMask(length: number): number {
  return length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0;
}
