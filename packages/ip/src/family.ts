/** An address family by the version number in its packet headers: `4` for IPv4, `6` for IPv6. */
export type AddressFamily = 4 | 6;

/**
 * The number of bits in an address of a family: 32 for IPv4, 128 for IPv6.
 *
 * @param family - `4` or `6`.
 * @returns The address width in bits, which is also the longest prefix length.
 */
export function addressBits(family: AddressFamily): 32 | 128 {
  return family === 4 ? 32 : 128;
}
