/**
 * The way of a packet from a peer to this host's containers:
 *
 * 1. receive a batch of datagrams
 * 2. take the encapsulation off
 * 3. check version, header and length of each inner packet
 * 4. check its sender: a peer's endpoint outside, that peer's subnet inside
 * 5. check its destination: this host's own subnet
 * 6. decrement its TTL
 * 7. write the batch to the TUN device
 * 8. answer what could not go with an ICMP error, through the peer it came from, and count
 *
 * Each stage is one pass over the batch and touches only the packets that are still to be passed on.
 *
 * @module
 */
import {
  answerErrors,
  checkDestinations,
  checkPackets,
  checkSenders,
  countBatch,
  decrementTtl,
} from "@loden/packet";
import { decapsulate, encapsulate } from "./encapsulate.ts";
import type { PacketPath } from "./outbound.ts";

/**
 * Passes on one batch from the outer socket to the TUN device.
 *
 * @param path the parts.
 * @param nowMs a monotonic time in milliseconds, for the rate limit of ICMP errors.
 * @returns how many datagrams were received; 0 when the socket has none now, `-errno` when it can't be used.
 */
export function passInbound(path: PacketPath, nowMs: number): number {
  const { memory, queue, tun, udp, codec, peerSource } = path;
  const { inbound, replies, counters } = queue;
  const datagrams = udp.receive(inbound);
  if (datagrams <= 0) return datagrams;
  decapsulate(inbound, codec);
  checkPackets(inbound);
  checkSenders(inbound, memory.peers, peerSource);
  checkDestinations(inbound, memory.local);
  decrementTtl(inbound);
  tun.write(inbound);
  answerErrors(inbound, replies, memory.local, queue.limiter, nowMs);
  encapsulate(replies, codec);
  udp.send(replies);
  replies.count = 0;
  countBatch(inbound, counters, "inbound");
  return datagrams;
}
