/**
 * Gives the sum of the IPv4 pseudo header that TCP and UDP checksums cover (RFC 768, RFC 9293): the `initial` value for
 * `checksum` over header and payload. A segment or datagram whose checksum is right then gives 0.
 *
 * @param source address in host order. @param destination address in host order.
 * @param protocol 6 for TCP, 17 for UDP. @param length bytes of header and payload.
 * @returns a sum that isn't folded yet.
 */
export function pseudoHeaderSum(
  source: number,
  destination: number,
  protocol: number,
  length: number,
): number {
  return (
    (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length
  );
}
