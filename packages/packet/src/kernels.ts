import { MemoryField, memoryHeaderOffset } from "./layout.ts";
import type { LinearMemory } from "./linear-memory.ts";
import { kernelsBase64 } from "./kernels.wasm.ts";
import type { LocalNode } from "./local-node.ts";
import type { PacketBatch } from "./packet-batch.ts";
import type { PacketMemory } from "./packet-memory.ts";
import type { PeerTable } from "./peer-table.ts";
import type { QueueCounters } from "./counters.ts";

/** What `nextFrame` may do; a sum of bits. */
export const Join = {
  /** A `struct virtio_net_hdr` goes before each frame, as a TUN device with offloads wants it. */
  virtio: 1,
  /** TCP packets are joined. Needs `virtio`. */
  tcp: 2,
  /** UDP packets are joined, for a kernel that takes them (6.2). Needs `virtio`. */
  udp: 4,
} as const;

/**
 * The stages and what lies under them as WebAssembly over one packet memory. They do what the functions of the same names do,
 * in a fraction of the time, and allocate nothing.
 */
export interface PacketKernels {
  /** As the function `checkPackets`. */
  checkPackets(batch: PacketBatch): void;
  /** As the function `routeToPeers`. */
  routeToPeers(batch: PacketBatch, peers: PeerTable): void;
  /** As the function `checkSizes`; of a super-packet, what counts is how long its packets will be. */
  checkSizes(batch: PacketBatch, maximum: number): void;
  /** As the function `decrementTtl`. */
  decrementTtl(batch: PacketBatch): void;
  /** As the function `checkSenders`. */
  checkSenders(batch: PacketBatch, peers: PeerTable, peerSource: "strict" | "any"): void;
  /** As the function `checkDestinations`. */
  checkDestinations(batch: PacketBatch, local: LocalNode): void;
  /**
   * As the function `countBatch`; of a super-packet, its packets are counted.
   * @returns how many packets were dropped.
   */
  countBatch(batch: PacketBatch, counters: QueueCounters, direction: "outbound" | "inbound"): number;
  /**
   * Cuts super-packets (TCP and UDP, IPv4 and IPv6) into packets with headers and checksums of their own, and fills in the
   * checksums that were left to us; a packet that is finished becomes one segment. The model is `segmentPacket`.
   *
   * Headers are made in the batch's arena and payloads stay where they are, so each segment is two pieces of memory. The
   * segments of the last call are gone.
   *
   * @param batch `segments`, `parts`, `wireBytes` and `verdicts` change; what can't be cut gets `badLength`.
   * @param from the first packet to cut.
   * @returns the packet to go on with: `batch.count` when all are cut, less when the segments are full.
   */
  segmentPackets(batch: PacketBatch, from: number): number;
  /**
   * Makes the messages of `sendmmsg` from segments. Neighbours of one length for one endpoint, the last may be shorter, share
   * a message that tells the kernel to cut it (UDP_SEGMENT).
   *
   * @param batch the sending scratch changes; message `m` carries the segments from `groups[m]` up to `groups[m + 1]`.
   * @param from the first segment.
   * @param end the segment to stop before, at most `batch.segmentCount`.
   * @param most segments per message; 1 where the kernel can't cut.
   * @returns how many messages.
   */
  gatherMessages(batch: PacketBatch, from: number, end: number, most: number): number;
  /** Points the messages of `recvmmsg` at the slots; once for each batch, since `takeReceived` readies what was used. */
  prepareReceive(batch: PacketBatch): void;
  /**
   * Makes entries of what `recvmmsg` brought: a train (UDP_GRO) becomes an entry for each datagram in it.
   *
   * @param batch `count` and all columns change; a datagram that was cut gets `badLength`.
   * @param messages how many messages were received.
   * @returns how many packets.
   */
  takeReceived(batch: PacketBatch, messages: number): number;
  /**
   * Makes the iovecs of the next frame for the TUN device, of the packets from `batch.frameNext` on whose verdict is pass.
   * Consecutive packets of one flow that `segmentPackets` would give back byte for byte are joined into one; their checksums
   * are verified for it. The model is `joinPackets`.
   *
   * @param batch `frameFirst`, `frameNext` and `framePackets` tell which packets are in it.
   * @param how a sum of bits of `Join`.
   * @returns how many iovecs; 0 when no packet is left.
   */
  nextFrame(batch: PacketBatch, how: number): number;
  /** As the function `checksum`, over a stretch of the memory. */
  checksum(offset: number, length: number): number;
  /** As `PeerTable.find` of an IPv4 address. */
  findPeer(peers: PeerTable, address: number): number;
  /** As `PeerTable.find` of the IPv6 address whose 16 bytes lie at an offset. */
  findPeerIpv6(peers: PeerTable, offset: number): number;
}

/** The functions of `assembly/index.ts`: every argument is an offset into the memory or a small number. */
interface KernelExports {
  checkPackets(batch: number): void;
  routeToPeers(batch: number, table: number): void;
  checkSizes(batch: number, maximum: number): void;
  decrementTtl(batch: number): void;
  checkSenders(batch: number, table: number, strict: number): void;
  checkDestinations(batch: number, local: number): void;
  countBatch(batch: number, cells: number): number;
  segmentPackets(batch: number, from: number): number;
  gatherMessages(batch: number, from: number, end: number, most: number): number;
  prepareReceive(batch: number): void;
  takeReceived(batch: number, messages: number): number;
  nextFrame(batch: number, how: number): number;
  checksum(offset: number, length: number): number;
  findPeer(table: number, address: number): number;
  findPeerIpv6(table: number, offset: number): number;
}

interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: LinearMemory } },
  ) => { readonly exports: KernelExports };
}

const known = new WeakMap<LinearMemory, PacketKernels>();
let compiled: object | undefined;

/**
 * Gives the kernels over a packet memory: the same object each time in one thread. They keep no state of their own.
 *
 * @param memory a memory of `createPacketMemory` or `attachPacketMemory`.
 */
export function kernelsOf({ memory }: Pick<PacketMemory, "memory">): PacketKernels {
  const kernels = known.get(memory) ?? instantiate(memory);
  known.set(memory, kernels);
  return kernels;
}

/**
 * Tells the kernels at which address the memory lies: the scratch of system calls holds absolute addresses.
 *
 * @param memory the packet memory.
 * @param address of its first byte; `addressOf` of `@loden/linux` gives it.
 */
export function setMemoryAddress({ view }: Pick<PacketMemory, "view">, address: number): void {
  view.setBigUint64(memoryHeaderOffset + MemoryField.address, BigInt(address), true);
}

function instantiate(memory: LinearMemory): PacketKernels {
  // The types of WebAssembly come with the browser's library, which isn't loaded: see LinearMemory.
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  compiled ??= new Module(decodeBase64(kernelsBase64));
  const { exports } = new Instance(compiled, { env: { memory } });
  return {
    checkPackets: (batch) => exports.checkPackets(batch.headerOffset),
    routeToPeers: (batch, peers) => exports.routeToPeers(batch.headerOffset, peers.offset),
    checkSizes: (batch, maximum) => exports.checkSizes(batch.headerOffset, maximum),
    decrementTtl: (batch) => exports.decrementTtl(batch.headerOffset),
    checkSenders: (batch, peers, peerSource) =>
      exports.checkSenders(batch.headerOffset, peers.offset, peerSource === "strict" ? 1 : 0),
    checkDestinations: (batch, local) => exports.checkDestinations(batch.headerOffset, local.offset),
    countBatch: (batch, counters, direction) =>
      exports.countBatch(batch.headerOffset, counters[direction].byteOffset),
    segmentPackets: (batch, from) => exports.segmentPackets(batch.headerOffset, from),
    gatherMessages: (batch, from, end, most) => exports.gatherMessages(batch.headerOffset, from, end, most),
    prepareReceive: (batch) => exports.prepareReceive(batch.headerOffset),
    takeReceived: (batch, messages) => exports.takeReceived(batch.headerOffset, messages),
    nextFrame: (batch, how) => exports.nextFrame(batch.headerOffset, how),
    checksum: (offset, length) => exports.checksum(offset, length),
    findPeer: (peers, address) => exports.findPeer(peers.offset, address),
    findPeerIpv6: (peers, offset) => exports.findPeerIpv6(peers.offset, offset),
  };
}

function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
