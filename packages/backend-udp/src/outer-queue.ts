import { constants } from "@loden/linux";
import { type PacketBatch, SegmentWord } from "@loden/packet";
import type { UdpQueue } from "@loden/udp";

/** What a pump needs of the outer sockets. */
export type OuterQueue = Pick<
  UdpQueue,
  "receive" | "drained" | "sendSegments" | "receiveErrors" | "hasErrors"
>;

/**
 * Makes one queue of the sockets of both families: it receives from either in turn, and sends each segment through the socket of its
 * endpoint's family.
 *
 * Neighbours of one family still share a system call. A host with one family needs none of this.
 *
 * @param ipv4 the IPv4 socket. @param ipv6 the IPv6 socket.
 * @returns the queue.
 */
export function joinQueues(ipv4: UdpQueue, ipv6: UdpQueue): OuterQueue {
  let isIpv6First = false;
  return {
    receive(batch) {
      isIpv6First = !isIpv6First;
      const datagrams = (isIpv6First ? ipv6 : ipv4).receive(batch);
      return datagrams === 0 ? (isIpv6First ? ipv4 : ipv6).receive(batch) : datagrams;
    },
    get drained() {
      return ipv4.drained && ipv6.drained;
    },
    receiveErrors(batch) {
      const errors = ipv4.receiveErrors(batch);
      return errors === 0 ? ipv6.receiveErrors(batch) : errors;
    },
    get hasErrors() {
      return ipv4.hasErrors || ipv6.hasErrors;
    },
    sendSegments(batch, from = 0, end = batch.segmentCount) {
      let sent = 0;
      for (let first = from; first < end;) {
        const isIpv6 = isIpv6Endpoint(batch, first);
        let next = first + 1;
        while (next < end && isIpv6Endpoint(batch, next) === isIpv6) next++;
        sent += (isIpv6 ? ipv6 : ipv4).sendSegments(batch, first, next);
        first = next;
      }
      return sent;
    },
  };
}

function isIpv6Endpoint({ bytes, endpoints, segments }: PacketBatch, segment: number): boolean {
  const packet = segments[segment * SegmentWord.count + SegmentWord.packet] as number;
  return bytes[endpoints[packet] as number] === constants.AF_INET6;
}
