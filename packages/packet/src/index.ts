/**
 * IP packets in linear memory: batches, checks, peer lookup, TTL, ICMP errors, counters. Pure: no system calls.
 *
 * Packets lie in one shared WebAssembly memory; a stage is a function that passes once over a batch and gives each packet a
 * verdict. An outbound pump runs
 *
 * ```ts
 * import { answerErrors, checkPackets, countBatch, decrementTtl, routeToPeers } from "@loden/packet";
 *
 * queue.enter();
 * checkPackets(queue.outbound);
 * routeToPeers(queue.outbound, memory.peers);
 * decrementTtl(queue.outbound);
 * answerErrors(queue.outbound, queue.replies, memory.local, queue.limiter, () => performance.now());
 * countBatch(queue.outbound, queue.counters, "outbound");
 * queue.leave();
 * ```
 *
 * between reading from the TUN device and sending.
 *
 * @module
 */
export { answerErrors } from "./answer-errors.ts";
export { checkDestinations } from "./check-destinations.ts";
export { checkPackets } from "./check-packets.ts";
export { checkSenders, type PeerSource } from "./check-senders.ts";
export { checkSizes } from "./check-sizes.ts";
export { checksum } from "./checksum.ts";
export { countBatch } from "./count-batch.ts";
export { type DirectionCounts, QueueCounters } from "./counters.ts";
export { checksumAfterDecrement, decrementTtl } from "./decrement-ttl.ts";
export { encodeIcmpEcho, type IcmpEcho, type IcmpMessage, type Icmpv6Addresses, parseIcmp } from "./icmp.ts";
export { encodeIpv4, type Ipv4Fields, type Ipv4Packet, parseIpv4 } from "./ipv4.ts";
export { encodeIpv6, type Ipv6Fields, type Ipv6Packet, parseIpv6 } from "./ipv6.ts";
export { Join, kernelsOf, type PacketKernels, setMemoryAddress } from "./kernels.ts";
export { type Frame, joinPackets } from "./join-packets.ts";
export { HEADROOM, type PacketMemoryOptions } from "./layout.ts";
export type { LinearMemory } from "./linear-memory.ts";
export { LocalNode, type LocalNodeValues } from "./local-node.ts";
export type { PacketAddress } from "./packet-address.ts";
export { Direction, PacketBatch, SegmentWord } from "./packet-batch.ts";
export {
  attachPacketMemory,
  createPacketMemory,
  type PacketMemory,
  type SharedPacketMemory,
} from "./packet-memory.ts";
export { PacketQueue } from "./packet-queue.ts";
export { type Peer, type PeerChanges, PeerTable } from "./peer-table.ts";
export { pseudoHeaderSum } from "./pseudo-header.ts";
export { type RateLimit, RateLimiter } from "./rate-limiter.ts";
export { type PacketCounters, readCounters } from "./read-counters.ts";
export { routeToPeers } from "./route-to-peers.ts";
export { segmentPacket } from "./segment-packet.ts";
export { parseTcp, type TcpSegment } from "./tcp.ts";
export { encodeUdp, parseUdp, type UdpDatagram, type UdpFields } from "./udp.ts";
export { type DropReason, dropReasons, Verdict } from "./verdict.ts";
export { encodeVirtioHeader, type VirtioHeader } from "./virtio-header.ts";
