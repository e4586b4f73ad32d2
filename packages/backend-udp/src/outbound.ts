/**
 * The way of a packet from this host's containers to a peer:
 *
 * 1. read a batch of packets from the TUN device
 * 2. check version, header and length of each
 * 3. look its peer up: longest prefix by inner destination
 * 4. check that it fits the tunnel
 * 5. decrement its TTL
 * 6. encapsulate it
 * 7. send the batch to the peers' endpoints
 * 8. answer what could not go with an ICMP error, and count
 *
 * Each stage is one pass over the batch and touches only the packets that are still to be passed on.
 *
 * @module
 */
import type { EncapCodec } from "@loden/encap";
import {
  answerErrors,
  checkPackets,
  checkSizes,
  countBatch,
  decrementTtl,
  routeToPeers,
  type PacketMemory,
  type PacketQueue,
} from "@loden/packet";
import type { TunQueue } from "@loden/tun";
import type { UdpQueue } from "@loden/udp";
import { encapsulate } from "./encapsulate.ts";

/** What both directions work with. All of it belongs to one pump. */
export interface PacketPath {
  /** Peers, this host's own subnet and the counters, shared with the main thread. */
  readonly memory: PacketMemory;
  /** The batches of this pump. */
  readonly queue: PacketQueue;
  /** The TUN device. */
  readonly tun: TunQueue;
  /** The outer socket. */
  readonly udp: UdpQueue;
  /** The encapsulation. */
  readonly codec: EncapCodec;
  /** Whether the outer source must be the peer's endpoint. */
  readonly peerSource: "strict" | "any";
}

/**
 * Passes on one batch from the TUN device to the peers.
 *
 * @param path the parts.
 * @param nowMs a monotonic time in milliseconds, for the rate limit of ICMP errors.
 * @returns how many packets were read; 0 when the device has none now, `-errno` when it is gone.
 */
export function passOutbound(path: PacketPath, nowMs: number): number {
  const { memory, queue, tun, udp, codec } = path;
  const { outbound, replies, counters } = queue;
  const packets = tun.read(outbound);
  if (packets <= 0) return packets;
  checkPackets(outbound);
  routeToPeers(outbound, memory.peers);
  checkSizes(outbound, memory.local.mtu);
  decrementTtl(outbound);
  encapsulate(outbound, codec);
  udp.send(outbound);
  answerErrors(outbound, replies, memory.local, queue.limiter, nowMs);
  tun.write(replies);
  replies.count = 0;
  countBatch(outbound, counters, "outbound");
  return packets;
}
