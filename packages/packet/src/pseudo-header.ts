import type { PacketAddress } from "./packet-address.ts";

/**
 * Gives the sum of the pseudo header that TCP, UDP and ICMPv6 checksums cover (RFC 768, RFC 9293, RFC 8200): the `initial` value
 * for `checksum` over header and payload. A segment or datagram whose checksum is right then gives 0.
 *
 * @param source address. @param destination address, of the same family.
 * @param protocol 6 for TCP, 17 for UDP, 58 for ICMPv6. @param length bytes of header and payload.
 * @returns a sum that isn't folded yet.
 */
export function pseudoHeaderSum(
  source: PacketAddress,
  destination: PacketAddress,
  protocol: number,
  length: number,
): number {
  return sumOf(source) + sumOf(destination) + protocol + length;
}

function sumOf(address: PacketAddress): number {
  if (typeof address === "number") return (address >>> 16) + (address & 0xffff);
  let sum = 0;
  for (let rest = address; rest > 0n; rest >>= 16n) sum += Number(rest & 0xffffn);
  return sum;
}
