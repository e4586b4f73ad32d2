import type { AddressFamily } from "@loden/ip";

/**
 * The number by which the kernel knows an address family (AF_*, linux/socket.h).
 *
 * @param family `4` or `6`.
 * @returns 2 (AF_INET) or 10 (AF_INET6).
 */
export function addressFamilyNumber(family: AddressFamily): 2 | 10 {
  return family === 4 ? 2 : 10;
}

/**
 * The address family that a number of the kernel's stands for: the inverse of {@link addressFamilyNumber}.
 *
 * @param number AF_*.
 * @returns `4` or `6`; `undefined` for a family without IP addresses, such as AF_BRIDGE.
 */
export function addressFamilyOf(number: number | undefined): AddressFamily | undefined {
  return number === 2 ? 4 : number === 10 ? 6 : undefined;
}
