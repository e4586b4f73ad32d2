/**
 * The way of a packet from this host's containers to a peer, in the kernel: a program at the egress of the TUN device.
 *
 * 1. look at the header; what has options, is a fragment or is about to expire goes up to the pump, as does everything below that is unusual
 * 2. find the peer by the inner destination
 * 3. measure: the packets that the kernel will cut a large piece into have to fit the peer's path
 * 4. choose the outer checksum: none for a peer whose kernel takes this packet off, else computed from headers alone
 * 5. write the outer headers, and the inner one with a TTL that is one less
 * 6. make room for them, which the kernel may refuse, count, and hand the packet to the underlay's device, which finds the next hop
 *
 * @module
 */
import { type Assembler, createAssembler, KernelFunction, PacketContext, Verdict } from "@loden/bpf";
import { adjustToTtl, foldSum } from "./checksum-instructions.ts";
import { countPackets, measurePiece } from "./count-instructions.ts";
import {
  Direction,
  AdjustRoom,
  ETHERNET_BYTES,
  ETHERTYPE_IPV4,
  IPV4_BYTES,
  Ipv4,
  networkOrder16,
  networkOrder32,
  OUTER_BYTES,
  PeerFlag,
  PeerValue,
  PLAIN_IPV4,
  Protocol,
  TCP_ACK,
  Transport,
  UDP_BYTES,
} from "./packet-layout.ts";
import { keepPlain, lookUp, makeReadable, readHeaderLength } from "./read-instructions.ts";

/** What {@link encapsulateProgram} builds on. Fixed in the program: another underlay takes another program. */
export interface EncapsulateSettings {
  /** The map of peers. */
  readonly peersFd: number;
  /** The counters. */
  readonly countersFd: number;
  /** This host's outer address, as an unsigned number. */
  readonly source: number;
  /** The UDP port of the network, from and to which datagrams are sent. */
  readonly port: number;
  /** Of the overlay's subnets, as an unsigned number. */
  readonly mask: number;
  /** The number of the device that datagrams leave through. */
  readonly underlayIndex: number;
  /**
   * Whether that device sends nothing but whole checksums and packets of its MTU. Otherwise a datagram may arrive as it left, with an inner checksum
   * that is not finished, and only a peer's kernel can take it.
   */
  readonly finishes: boolean;
}

const DONT_FRAGMENT = 0x4000;
const OUTER_TTL = 64;
/** How much of the inner header is written again: what lies before the addresses. */
const REWRITTEN = Ipv4.source;
const MOST = 0xffff;

/** Offsets from the end of the stack. The headers lie there as they will in the packet. */
const Stack = {
  inner: -16,
  udp: -24,
  ip: -44,
  ethernet: -58,
  scratch: -4,
  packets: -72,
  bytes: -80,
} as const;
/** How far into a packet is looked: IPv4 without options, and TCP up to its flags. */
const LOOKED_AT = 40;
/** The least that is: a header and the ports. */
const LEAST = 28;
const tcp = IPV4_BYTES;
const udp = IPV4_BYTES;

// Registers: r6 the packet's context, r7 its first byte, r8 what is known of the peer (see PeerValue), r9 the packet's length.

/**
 * Writes the program.
 *
 * @param settings what it is to use.
 * @returns the instructions.
 */
export function encapsulateProgram(settings: EncapsulateSettings): Uint8Array {
  const asm = createAssembler();
  lookAtHeader(asm);
  findPeer(asm, settings);
  measure(asm);
  chooseChecksum(asm, settings);
  writeHeaders(asm, settings);
  send(asm, settings);
  asm.label("pump").alu("mov", 0, Verdict.next).exit();
  asm.label("drop").alu("mov", 0, Verdict.drop).exit();
  return asm.assemble();
}

function lookAtHeader(asm: Assembler): void {
  asm
    .alu("mov", 6, "r1")
    .load(4, 7, 6, PacketContext.data)
    .load(4, 8, 6, PacketContext.data_end)
    .load(4, 9, 6, PacketContext.len);
  makeReadable(asm, LOOKED_AT, LEAST, "pump");
  keepPlain(asm, 0, "pump");
  asm
    .load(1, 1, 7, Ipv4.ttl)
    .jumpIf(1, "<=", 1, "pump")
    .load(2, 1, 7, Ipv4.totalLength)
    .networkOrder(1, 16)
    .jumpIf(1, "!=", "r9", "pump");
}

function findPeer(asm: Assembler, { peersFd, mask }: EncapsulateSettings): void {
  asm
    .load(4, 1, 7, Ipv4.destination)
    .alu32("and", 1, networkOrder32(mask) | 0)
    .store(4, 10, Stack.scratch, "r1");
  lookUp(asm, peersFd, Stack.scratch, "pump");
  asm
    .load(8, 8, 0, 0)
    .alu("mov", 1, "r8")
    .alu("rsh", 1, 8 * PeerValue.flags)
    .jumpIf(1, "&", PeerFlag.send, "send")
    .jump("pump")
    .label("send");
}

/** Leaves in r2 the payload of each packet that a large piece is cut into, or 0; in r3 their length; in r4 the protocol; in r5 what is left for the last. */
function measure(asm: Assembler): void {
  asm
    .load(4, 2, 6, PacketContext.gso_size)
    .alu("mov", 3, "r9")
    .load(1, 4, 7, Ipv4.protocol)
    .alu("mov", 5, 0)
    .store(8, 10, Stack.packets, 1)
    .store(8, 10, Stack.bytes, "r9")
    .jumpIf(2, "==", 0, "measured")
    .jumpIf(4, "==", Protocol.tcp, "tcp")
    .jumpIf(4, "!=", Protocol.udp, "pump")
    // Datagrams in one piece: a kernel that takes such a piece off still has it for a tunnel's (Linux 6.18), and can't cut it for who receives it.
    .alu("mov", 1, "r8")
    .alu("rsh", 1, 8 * PeerValue.flags)
    .jumpIf(1, "&", PeerFlag.all, "pump")
    .alu("mov", 3, IPV4_BYTES + UDP_BYTES)
    .jump("headers")
    .label("tcp")
    .load(4, 5, 6, PacketContext.data_end)
    .alu("mov", 1, "r7")
    .alu("add", 1, LOOKED_AT)
    .jumpIf(1, ">", "r5", "pump");
  readHeaderLength(asm, 3, tcp);
  asm.label("headers");
  measurePiece(asm, Stack);
  asm
    .alu("mod", 5, "r2")
    .alu("add", 3, "r2")
    .label("measured")
    .alu("mov", 1, "r8")
    .alu("rsh", 1, 8 * PeerValue.mtu)
    .alu("and", 1, MOST)
    .jumpIf(3, ">", "r1", "pump");
}

/**
 * Leaves the outer checksum on the stack.
 *
 * A receiver gathers only datagrams with a checksum, so bulk has one, and what the peer's kernel shall take off, one by one, has none. It need
 * not be summed: the words of an IP header come to zero together, and those of TCP or UDP to the complement of its pseudo header, once its checksum is
 * finished. A large piece becomes packets of one length, so it is the same in all of them. Where the last would be shorter there is none, as IPv4 allows.
 */
function chooseChecksum(asm: Assembler, { source, port, finishes }: EncapsulateSettings): void {
  asm
    .alu("mov", 1, "r5")
    .alu("mov", 5, 0)
    .alu("mov", 0, "r8")
    .alu("rsh", 0, 8 * PeerValue.flags)
    .jumpIf(0, "&", PeerFlag.all, "checksum")
    .jumpIf(2, "!=", 0, "bulk")
    .jumpIf(0, "&", PeerFlag.acks, "able")
    .jump("bulk")
    .label("able")
    .jumpIf(4, "!=", Protocol.tcp, "bulk")
    .load(4, 0, 6, PacketContext.data_end)
    .alu("mov", 2, "r7")
    .alu("add", 2, LOOKED_AT)
    .jumpIf(2, ">", "r0", "bulk")
    .load(1, 0, 7, tcp + Transport.tcpFlags)
    .jumpIf(0, "!=", TCP_ACK, "bulk");
  readHeaderLength(asm, 0, tcp);
  asm.jumpIf(0, "==", "r9", "checksum").label("bulk");
  if (finishes) {
    asm.jumpIf(1, "!=", 0, "checksum");
    asm.loadNumber(5, networkOrder32(source) + networkOrder16(Protocol.udp) + 2 * networkOrder16(port));
    asm
      .alu32("mov", 1, "r8")
      .alu("add", 5, "r1")
      // The length stands in the pseudo header and in UDP's own.
      .alu("mov", 1, "r3")
      .alu("add", 1, UDP_BYTES)
      .networkOrder(1, 16)
      .alu("add", 5, "r1")
      .alu("add", 5, "r1")
      // ICMP has no pseudo header.
      .jumpIf(4, "==", Protocol.icmp, "sum")
      .jumpIf(4, "==", Protocol.tcp, "pseudo")
      .jumpIf(4, "!=", Protocol.udp, "pump")
      // Its length may be less than the packet has room for, and its checksum is of no more.
      .load(2, 1, 7, udp + Transport.udpLength)
      .networkOrder(1, 16)
      .alu("add", 1, IPV4_BYTES)
      .jumpIf(1, "!=", "r9", "pump")
      .load(2, 1, 7, udp + Transport.udpChecksum)
      .jumpIf(1, "!=", 0, "pseudo")
      .alu("mov", 5, 0)
      .jump("checksum")
      .label("pseudo")
      .load(4, 1, 7, Ipv4.source)
      .alu32("xor", 1, -1)
      .alu("add", 5, "r1")
      .load(4, 1, 7, Ipv4.destination)
      .alu32("xor", 1, -1)
      .alu("add", 5, "r1")
      .alu("mov", 1, "r4")
      .networkOrder(1, 16)
      .alu("xor", 1, 0xffff)
      .alu("add", 5, "r1")
      .alu("mov", 1, "r3")
      .alu("sub", 1, IPV4_BYTES)
      .networkOrder(1, 16)
      .alu("xor", 1, 0xffff)
      .alu("add", 5, "r1")
      .label("sum");
    foldSum(asm, 5, 1);
    // As 0 means none, a checksum that is 0 is written as its other form.
    asm.alu("xor", 5, 0xffff).jumpIf(5, "!=", 0, "checksum").alu("mov", 5, 0xffff);
  } else asm.jump("pump");
  asm.label("checksum").store(2, 10, Stack.udp + Transport.udpChecksum, "r5");
}

function writeHeaders(asm: Assembler, { source, port }: EncapsulateSettings): void {
  const { inner, udp: udpAt, ip, ethernet } = Stack;
  asm
    // The inner header, with a TTL that is one less.
    .load(4, 1, 7, 0)
    .store(4, 10, inner, "r1")
    .load(4, 1, 7, 4)
    .store(4, 10, inner + 4, "r1")
    .load(1, 1, 7, Ipv4.ttl)
    .alu("sub", 1, 1)
    .store(1, 10, inner + Ipv4.ttl, "r1")
    .store(1, 10, inner + Ipv4.protocol, "r4")
    .load(2, 1, 7, Ipv4.checksum);
  adjustToTtl(asm, 1, "adjusted");
  asm
    .store(2, 10, inner + Ipv4.checksum, "r1")
    // An Ethernet header whose addresses the neighbour table fills in.
    .store(2, 10, ethernet, 0)
    .store(4, 10, ethernet + 2, 0)
    .store(4, 10, ethernet + 6, 0)
    .store(2, 10, ethernet + 10, 0)
    .store(2, 10, ethernet + 12, networkOrder16(ETHERTYPE_IPV4))
    .store(2, 10, ip + Ipv4.versionAndLength, PLAIN_IPV4)
    // A piece of 64 KiB has a length that 16 bits don't hold; the packets it is cut into get their own.
    .alu("mov", 1, "r9")
    .alu("add", 1, OUTER_BYTES)
    .jumpIf(1, "<=", MOST, "fits")
    .alu("mov", 1, MOST)
    .label("fits")
    .networkOrder(1, 16)
    .store(2, 10, ip + Ipv4.totalLength, "r1")
    .store(2, 10, ip + 4, 0)
    .store(2, 10, ip + Ipv4.fragment, networkOrder16(DONT_FRAGMENT))
    .store(2, 10, ip + Ipv4.ttl, OUTER_TTL | (Protocol.udp << 8));
  const fixed = PLAIN_IPV4 + networkOrder16(DONT_FRAGMENT) + (OUTER_TTL | (Protocol.udp << 8));
  asm.loadNumber(2, fixed + networkOrder32(source));
  asm
    .alu("add", 2, "r1")
    .alu32("mov", 1, "r8")
    .store(4, 10, ip + Ipv4.destination, "r1")
    .alu("add", 2, "r1");
  foldSum(asm, 2, 1);
  asm.alu("xor", 2, 0xffff).store(2, 10, ip + Ipv4.checksum, "r2");
  asm.loadNumber(1, networkOrder32(source));
  asm
    .store(4, 10, ip + Ipv4.source, "r1")
    .store(2, 10, udpAt + Transport.sourcePort, networkOrder16(port))
    .store(2, 10, udpAt + Transport.destinationPort, networkOrder16(port))
    .alu("mov", 1, "r9")
    .alu("add", 1, UDP_BYTES)
    .jumpIf(1, "<=", MOST, "fits udp")
    .alu("mov", 1, MOST)
    .label("fits udp")
    .networkOrder(1, 16)
    .store(2, 10, udpAt + Transport.udpLength, "r1");
}

function send(asm: Assembler, { countersFd, underlayIndex }: EncapsulateSettings): void {
  const flags = AdjustRoom.fixedGso | AdjustRoom.encapIpv4 | AdjustRoom.encapUdp;
  asm
    // The size of what a large piece is cut into stays: the device's MTU leaves room for the outer headers. The kernel refuses what is in a tunnel already, as
    // what a peer's kernel sent is when it goes on to another host. It is as it was then.
    .alu("mov", 1, "r6")
    .alu("mov", 2, OUTER_BYTES)
    .alu("mov", 3, AdjustRoom.mac)
    .alu("mov", 4, flags)
    .call(KernelFunction.skb_adjust_room)
    .jumpIf(0, "!=", 0, "pump")
    // The TUN device has no link header, the underlay's has.
    .alu("mov", 1, "r6")
    .alu("mov", 2, ETHERNET_BYTES)
    .alu("mov", 3, 0)
    .call(KernelFunction.skb_change_head)
    .jumpIf(0, "!=", 0, "drop")
    .alu("mov", 1, "r6")
    .alu("mov", 2, 0)
    .alu("mov", 3, "r10")
    .alu("add", 3, Stack.ethernet)
    .alu("mov", 4, ETHERNET_BYTES + OUTER_BYTES + REWRITTEN)
    .alu("mov", 5, 0)
    .call(KernelFunction.skb_store_bytes)
    .jumpIf(0, "!=", 0, "drop")
    .load(8, 7, 10, Stack.packets)
    .load(8, 8, 10, Stack.bytes);
  countPackets(asm, countersFd, Direction.outbound, Stack.scratch, { packets: "r7", bytes: "r8" }, "counted");
  asm
    // A mark is the inner packet's; rules for the outer one don't see it when the pump sends.
    .store(4, 6, PacketContext.mark, 0)
    .alu("mov", 1, underlayIndex)
    .alu("mov", 2, 0)
    .alu("mov", 3, 0)
    .alu("mov", 4, 0)
    .call(KernelFunction.redirect_neigh)
    .exit();
}
