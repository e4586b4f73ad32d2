import { checksum } from "./checksum.ts";

const tcp = 6;
const udp = 17;

/**
 * Gives the sum of the pseudo header of a whole packet of either family, not folded: addresses, protocol, and the length of what
 * follows the IP header (RFC 9293, RFC 768, RFC 8200).
 *
 * @param packet the packet. @param l4 where its TCP or UDP header starts. @param protocol 6 or 17.
 */
export function pseudoSumOf(packet: Uint8Array, l4: number, protocol: number): number {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const isIpv4 = (packet[0] ?? 0) >> 4 === 4;
  const [from, to] = isIpv4 ? [12, 20] : [8, 40];
  let sum = protocol + packet.length - l4;
  for (let at = from; at < to; at += 2) sum += view.getUint16(at);
  return sum;
}

/**
 * Computes the checksum that belongs into a TCP or UDP packet, whatever stands there now. UDP has 0xffff for 0.
 *
 * @param packet a whole packet. @param l4 where its TCP or UDP header starts. @param protocol 6 for TCP, 17 for UDP.
 */
export function transportChecksum(packet: Uint8Array, l4: number, protocol: number): number {
  const copy = packet.slice();
  new DataView(copy.buffer).setUint16(l4 + (protocol === tcp ? 16 : 6), 0);
  const sum = checksum(copy, l4, copy.length - l4, pseudoSumOf(packet, l4, protocol));
  return protocol === udp && sum === 0 ? 0xffff : sum;
}
