/**
 * The way of a packet from this host's containers to a peer:
 *
 * 1. read a batch of packets from the TUN device; the kernel leaves TCP and UDP whole, up to 64 KiB, and their checksums to us
 * 2. check version, header and length of each
 * 3. look its peer up: longest prefix by inner destination
 * 4. check that it fits the tunnel
 * 5. decrement its TTL
 * 6. cut it into packets of the tunnel's size, with headers and checksums of their own; the payload stays where it is
 * 7. encapsulate these
 * 8. send them to the peers' endpoints, in as few messages as the kernel takes
 * 9. count, and answer what could not go with an ICMP error
 *
 * Each stage is one pass over the batch, in WebAssembly, and touches only the packets that are still to be passed on.
 *
 * @module
 */
import type { EncapCodec } from "@loden/encap";
import {
  answerErrors,
  type PacketBatch,
  type PacketKernels,
  type PacketMemory,
  type PacketQueue,
} from "@loden/packet";
import type { TunQueue } from "@loden/tun";
import { encapsulate } from "./encapsulate.ts";
import type { OuterQueue } from "./outer-queue.ts";

/** What both directions work with. All of it belongs to one pump. */
export interface PacketPath {
  /** Peers, this host's own subnet and the counters, shared with the main thread. */
  readonly memory: PacketMemory;
  /** The stages, over this memory. */
  readonly kernels: PacketKernels;
  /** The batches of this pump. */
  readonly queue: PacketQueue;
  /** The TUN device. */
  readonly tun: TunQueue;
  /** The outer sockets. */
  readonly udp: OuterQueue;
  /** The encapsulation. */
  readonly codec: EncapCodec;
  /** Longest inner packet on the way to an endpoint (an offset into the memory), as the kernel knows it. */
  readonly pathMtu: (endpoint: number) => number;
  /** Looks through a received batch for senders that are no peers. */
  readonly noteSenders: (batch: PacketBatch) => void;
  /** Looks through what routers sent back for the endpoints that it was sent to. */
  readonly noteNarrowPaths: (batch: PacketBatch) => void;
  /** A monotonic time in milliseconds, for the rate limit of ICMP errors. */
  readonly now: () => number;
  /** Whether the outer source must be the peer's endpoint. */
  readonly peerSource: "strict" | "any";
}

/**
 * Passes on one batch from the TUN device to the peers.
 *
 * @param path the parts.
 * @param most how many packets at most; all that are there and fit by default.
 * @returns how many packets were read; 0 when the device has none now, `-errno` when it is gone.
 */
export function passOutbound(path: PacketPath, most?: number): number {
  const { memory, kernels, queue, tun } = path;
  const { outbound, counters } = queue;
  const packets = tun.read(outbound, most);
  if (packets <= 0) return packets;
  kernels.checkPackets(outbound);
  kernels.routeToPeers(outbound, memory.peers);
  kernels.checkSizes(outbound, memory.local.mtu);
  kernels.decrementTtl(outbound);
  sendInSegments(path, outbound);
  const dropped = kernels.countBatch(outbound, counters, "outbound");
  if (dropped > 0) {
    answerErrors(outbound, queue.replies, memory.local, queue.limiter, path.now, path.pathMtu);
    tun.write(queue.replies);
    queue.replies.count = 0;
  }
  return packets;
}

/**
 * Cuts, encapsulates and sends the packets of a batch, in as many rounds as its segments need.
 *
 * @param path the parts.
 * @param batch the packets, each with its endpoint.
 */
export function sendInSegments({ kernels, udp, codec }: PacketPath, batch: PacketBatch): void {
  for (let next = 0; next < batch.count;) {
    next = kernels.segmentPackets(batch, next);
    encapsulate(batch, codec);
    udp.sendSegments(batch);
  }
}
