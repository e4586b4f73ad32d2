/**
 * The way of a packet from a peer to this host's containers:
 *
 * 1. receive a batch of datagrams; the kernel hands over those of one size and sender as trains
 * 2. take the encapsulation off
 * 3. check version, header and length of each inner packet
 * 4. check its sender: a peer's endpoint outside, that peer's subnet inside
 * 5. check its destination: this host's own subnet
 * 6. decrement its TTL
 * 7. write the batch to the TUN device, consecutive packets of one flow joined into one, so that the kernel has less to route
 * 8. count, tell of senders that are no peers, and answer what could not go with an ICMP error, through the peer it came from
 *
 * Each stage is one pass over the batch, in WebAssembly, and touches only the packets that are still to be passed on.
 *
 * @module
 */
import { answerErrors } from "@loden/packet";
import { decapsulate } from "./encapsulate.ts";
import { sendInSegments, type PacketPath } from "./outbound.ts";

/**
 * Passes on one batch from the outer socket to the TUN device.
 *
 * @param path the parts.
 * @returns how many datagrams were received; 0 when the socket has none now, `-errno` when it can't be used.
 */
export function passInbound(path: PacketPath): number {
  const { memory, kernels, queue, tun, udp, codec, peerSource } = path;
  const { inbound, replies, counters } = queue;
  const datagrams = udp.receive(inbound);
  if (datagrams <= 0) return datagrams;
  decapsulate(inbound, codec);
  kernels.checkPackets(inbound);
  kernels.checkSenders(inbound, memory.peers, peerSource);
  kernels.checkDestinations(inbound, memory.local);
  kernels.decrementTtl(inbound);
  tun.write(inbound);
  const dropped = kernels.countBatch(inbound, counters, "inbound");
  if (dropped > 0) {
    path.noteSenders(inbound);
    answerErrors(inbound, replies, memory.local, queue.limiter, path.now);
    sendInSegments(path, replies);
    replies.count = 0;
  }
  return datagrams;
}
