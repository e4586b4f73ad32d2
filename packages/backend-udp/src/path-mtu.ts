import { connectSocket, constants, getSocketOption, KernelError } from "@loden/linux";
import type { PacketBatch } from "@loden/packet";

/** Bytes of the outer IPv4 and UDP headers. */
export const OUTER_HEADERS = 28;
const SOCKADDR_BYTES = 16;
/** The flag byte of an IPv4 header, and its bit "don't fragment". */
const FLAGS = 6;
const DONT_FRAGMENT = 0x40;

/**
 * Makes the function that tells how long an inner packet may be on the way to an endpoint.
 *
 * The kernel knows the path's MTU: the device's, or what a router answered (RFC 1191). It tells for the destination of a connected
 * socket, so this connects one that is never sent through. Slow; for packets that did not fit.
 *
 * @param fd a UDP socket of the underlay's namespace, for this alone.
 * @param bytes the memory that the endpoints lie in.
 * @param overhead bytes of the outer headers, encapsulation included.
 * @returns the function; it gives Infinity where the kernel knows no way.
 */
export function createPathMtu(fd: number, bytes: Uint8Array, overhead: number): (endpoint: number) => number {
  return (endpoint) => {
    if (endpoint === 0) return Infinity;
    try {
      connectSocket(fd, bytes.slice(endpoint, endpoint + SOCKADDR_BYTES));
      return getSocketOption(fd, constants.SOL_IP, constants.IP_MTU) - overhead;
    } catch (error) {
      if (error instanceof KernelError) return Infinity;
      throw error;
    }
  };
}

/**
 * Tells whether a packet that is too long for its path may cross in fragments of the outer datagram.
 *
 * @param batch the packets. @param packet its index.
 * @returns whether its sender left "don't fragment" clear.
 */
export function mayFragment({ bytes, offsets }: PacketBatch, packet: number): boolean {
  return ((bytes[(offsets[packet] as number) + FLAGS] as number) & DONT_FRAGMENT) === 0;
}
