import { connectSocket, constants, getSocketOption, KernelError } from "@loden/linux";
import { type PacketBatch, SegmentWord } from "@loden/packet";

/** Bytes of the outer IP and UDP headers, by family. */
export const OUTER_HEADERS = { ipv4: 28, ipv6: 48 } as const;
/** What every path takes of IPv6 (RFC 8200, 5): the least MTU of a device that carries it. */
export const LEAST_IPV6_MTU = 1280;
/** The flag byte of an IPv4 header, and its bit "don't fragment". */
const FLAGS = 6;
const DONT_FRAGMENT = 0x40;

/** UDP sockets of the underlay's namespace, never sent through. */
export interface MtuSockets {
  readonly ipv4: number | undefined;
  readonly ipv6: number | undefined;
}

/**
 * Makes the function that tells how long an inner packet may be on the way to an endpoint.
 *
 * The kernel knows the path's MTU: the device's, or what a router answered (RFC 1191, RFC 8201). It tells for the destination of a
 * connected socket, so this connects one. Slow; for packets that did not fit.
 *
 * @param sockets of either family, for this alone.
 * @param bytes the memory that the endpoints lie in.
 * @param overhead bytes of the encapsulation.
 * @returns the function; it gives Infinity where the kernel knows no way.
 */
export function createPathMtu(
  sockets: MtuSockets,
  bytes: Uint8Array,
  overhead: number,
): (endpoint: number) => number {
  const { SOL_IP, SOL_IPV6, IP_MTU, IPV6_MTU, AF_INET6 } = constants;
  return (endpoint) => {
    const isIpv6 = bytes[endpoint] === AF_INET6;
    const fd = isIpv6 ? sockets.ipv6 : sockets.ipv4;
    if (endpoint === 0 || fd === undefined) return Infinity;
    try {
      connectSocket(fd, bytes.slice(endpoint, endpoint + (isIpv6 ? 28 : 16)));
      return isIpv6
        ? getSocketOption(fd, SOL_IPV6, IPV6_MTU) - OUTER_HEADERS.ipv6 - overhead
        : getSocketOption(fd, SOL_IP, IP_MTU) - OUTER_HEADERS.ipv4 - overhead;
    } catch (error) {
      if (error instanceof KernelError) return Infinity;
      throw error;
    }
  };
}

/**
 * Makes the function that tells whether a segment that is too long for its path may cross in fragments of the outer datagram: a
 * piece of an IPv4 packet whose sender left "don't fragment" clear, and an IPv6 packet that every path has to take (RFC 2473, 7.1).
 *
 * @param overhead bytes of the encapsulation, which segments have before them by then.
 * @returns the function of a batch and a segment's number.
 */
export function createMayFragment(overhead: number): (batch: PacketBatch, segment: number) => boolean {
  return ({ bytes, offsets, segments }, segment) => {
    const at = segment * SegmentWord.count;
    const packet = offsets[segments[at + SegmentWord.packet] as number] as number;
    const length =
      (segments[at + SegmentWord.headerLength] as number) +
      (segments[at + SegmentWord.payloadLength] as number);
    return isFragmentable(bytes, packet, length - overhead);
  };
}

/**
 * Tells whether an inner packet may cross in fragments of the outer datagram; its sender then need not hear of the path's MTU.
 *
 * @param bytes the memory. @param packet where the packet lies in it. @param length of the packet in bytes.
 */
export function isFragmentable(bytes: Uint8Array, packet: number, length: number): boolean {
  if ((bytes[packet] as number) >> 4 === 6) return length <= LEAST_IPV6_MTU;
  return ((bytes[packet + FLAGS] as number) & DONT_FRAGMENT) === 0;
}
