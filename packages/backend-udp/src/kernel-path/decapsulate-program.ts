/**
 * The way of a packet from a peer to this host's containers, in the kernel: a program at the ingress of the underlay's device.
 *
 * 1. look at the outer headers: a datagram for this host and the network's port, without a checksum, which says that its sender means it for the kernel
 * 2. look at the inner header; what has options, is a fragment, is about to expire or is not all there goes up to the pump, as does all below that is unusual
 * 3. where the device gathers datagrams for the pump, take TCP's bare acknowledgements alone: nothing may overtake what the pump still has
 * 4. check the inner destination, and the sender: the outer source has to be the host whose subnet the inner source lies in
 * 5. decrement the TTL, take the outer headers off, count, and let the packet come in through the TUN device
 *
 * @module
 */
import { type Assembler, createAssembler, KernelFunction, PacketContext, Verdict } from "@loden/bpf";
import { adjustToTtl } from "./checksum-instructions.ts";
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
  PeerValue,
  Protocol,
  TCP_ACK,
  Transport,
  UDP_BYTES,
} from "./packet-layout.ts";
import { keepPlain, lookUp, makeReadable, readHeaderLength } from "./read-instructions.ts";

/** What {@link decapsulateProgram} builds on. Fixed in the program: another underlay takes another program. */
export interface DecapsulateSettings {
  /** The map of peers. */
  readonly peersFd: number;
  /** The counters. */
  readonly countersFd: number;
  /** The outer address that datagrams come to, as an unsigned number. */
  readonly own: number;
  /** The UDP port of the network. */
  readonly port: number;
  /** Of the overlay's subnets, as an unsigned number. */
  readonly mask: number;
  /** The base of this host's own subnet, and its mask, as unsigned numbers. */
  readonly subnet: number;
  readonly subnetMask: number;
  /** The number of the TUN device. */
  readonly tunIndex: number;
  /** Take everything, or bare acknowledgements alone. */
  readonly takes: "all" | "acks";
}

// include/uapi/linux/bpf.h
const BPF_F_INVALIDATE_HASH = 1 << 1;
const BPF_F_INGRESS = 1;
const PACKET_HOST = 0;

/** Offsets in the frame. */
const outer = ETHERNET_BYTES;
const outerUdp = outer + IPV4_BYTES;
const inner = outer + OUTER_BYTES;
const innerTcp = inner + IPV4_BYTES;
/** How far into it is looked: up to the flags of the inner TCP header. */
const LOOKED_AT = innerTcp + Transport.tcpFlags + 1;
/** The least that is: all headers, without what the inner one carries. */
const LEAST = innerTcp;
/** What is written again of the inner header: TTL, protocol, checksum. */
const REWRITTEN = 4;

const Stack = { scratch: -8, packets: -16, bytes: -24 } as const;

// Registers: r6 the packet's context, r7 its first byte, r8 the end of what can be looked at, r9 its length.

/**
 * Writes the program.
 *
 * @param settings what it is to use.
 * @returns the instructions.
 */
export function decapsulateProgram(settings: DecapsulateSettings): Uint8Array {
  const asm = createAssembler();
  lookAtOuter(asm, settings);
  lookAtInner(asm);
  if (settings.takes === "acks") keepAcknowledgements(asm);
  checkAddresses(asm, settings);
  measure(asm);
  deliver(asm, settings);
  asm.label("pump").alu("mov", 0, Verdict.next).exit();
  asm.label("drop").alu("mov", 0, Verdict.drop).exit();
  return asm.assemble();
}

function lookAtOuter(asm: Assembler, { own, port }: DecapsulateSettings): void {
  asm
    .alu("mov", 6, "r1")
    // Not what another host's card would get, nor what belongs to a VLAN's device.
    .load(4, 1, 6, PacketContext.pkt_type)
    .jumpIf(1, "!=", PACKET_HOST, "pump")
    .load(4, 1, 6, PacketContext.vlan_present)
    .jumpIf(1, "!=", 0, "pump")
    .load(4, 1, 6, PacketContext.protocol)
    .jumpIf(1, "!=", networkOrder16(ETHERTYPE_IPV4), "pump")
    .load(4, 7, 6, PacketContext.data)
    .load(4, 8, 6, PacketContext.data_end)
    .load(4, 9, 6, PacketContext.len)
    .alu("mov", 1, "r7")
    .alu("add", 1, inner)
    .jumpIf(1, ">", "r8", "pump")
    .load(1, 1, 7, outer + Ipv4.protocol)
    .jumpIf(1, "!=", Protocol.udp, "pump")
    .load(2, 1, 7, outerUdp + Transport.destinationPort)
    .jumpIf(1, "!=", networkOrder16(port), "pump")
    .load(2, 1, 7, outerUdp + Transport.udpChecksum)
    .jumpIf(1, "!=", 0, "pump");
  keepPlain(asm, outer, "pump");
  asm
    .load(4, 1, 7, outer + Ipv4.destination)
    .alu32("mov", 2, networkOrder32(own) | 0)
    .jumpIf(1, "!=", "r2", "pump");
}

function lookAtInner(asm: Assembler): void {
  makeReadable(asm, LOOKED_AT, LEAST, "pump");
  keepPlain(asm, inner, "pump");
  asm
    .load(1, 1, 7, inner + Ipv4.ttl)
    .jumpIf(1, "<=", 1, "pump")
    // Several datagrams that came glued together are longer than the first packet says.
    .load(2, 1, 7, inner + Ipv4.totalLength)
    .networkOrder(1, 16)
    .jumpIf(1, "<", IPV4_BYTES, "pump")
    .alu("add", 1, inner)
    .jumpIf(1, "!=", "r9", "pump");
}

function keepAcknowledgements(asm: Assembler): void {
  asm
    .load(1, 1, 7, inner + Ipv4.protocol)
    .jumpIf(1, "!=", Protocol.tcp, "pump")
    .alu("mov", 1, "r7")
    .alu("add", 1, LOOKED_AT)
    .jumpIf(1, ">", "r8", "pump")
    .load(1, 1, 7, innerTcp + Transport.tcpFlags)
    .jumpIf(1, "!=", TCP_ACK, "pump");
  readHeaderLength(asm, 1, innerTcp);
  asm.alu("add", 1, inner).jumpIf(1, "!=", "r9", "pump");
}

function checkAddresses(asm: Assembler, { peersFd, mask, subnet, subnetMask }: DecapsulateSettings): void {
  asm
    .load(4, 1, 7, inner + Ipv4.destination)
    .alu32("and", 1, networkOrder32(subnetMask) | 0)
    .alu32("mov", 2, networkOrder32(subnet) | 0)
    .jumpIf(1, "!=", "r2", "pump")
    .load(4, 1, 7, inner + Ipv4.source)
    .alu32("and", 1, networkOrder32(mask) | 0)
    .store(4, 10, Stack.scratch, "r1");
  lookUp(asm, peersFd, Stack.scratch, "pump");
  asm
    .load(4, 1, 0, PeerValue.endpoint)
    .load(4, 2, 7, outer + Ipv4.source)
    .jumpIf(1, "!=", "r2", "pump");
}

/** Leaves on the stack how many packets it is, and their bytes. */
function measure(asm: Assembler): void {
  asm
    .alu("sub", 9, inner)
    .store(8, 10, Stack.packets, 1)
    .store(8, 10, Stack.bytes, "r9")
    .load(4, 2, 6, PacketContext.gso_size)
    .jumpIf(2, "==", 0, "measured")
    .load(1, 1, 7, inner + Ipv4.protocol)
    .alu("mov", 3, IPV4_BYTES + UDP_BYTES)
    .jumpIf(1, "!=", Protocol.tcp, "headers")
    .alu("mov", 1, "r7")
    .alu("add", 1, LOOKED_AT)
    .jumpIf(1, ">", "r8", "pump");
  readHeaderLength(asm, 3, innerTcp);
  asm.label("headers");
  measurePiece(asm, Stack);
  asm.label("measured");
}

function deliver(asm: Assembler, { countersFd, tunIndex }: DecapsulateSettings): void {
  asm
    .load(1, 1, 7, inner + Ipv4.ttl)
    .alu("sub", 1, 1)
    .store(1, 10, Stack.scratch, "r1")
    .load(1, 1, 7, inner + Ipv4.protocol)
    .store(1, 10, Stack.scratch + 1, "r1")
    .load(2, 1, 7, inner + Ipv4.checksum);
  adjustToTtl(asm, 1, "adjusted");
  asm
    .store(2, 10, Stack.scratch + 2, "r1")
    .alu("mov", 1, "r6")
    .alu("mov", 2, inner + Ipv4.ttl)
    .alu("mov", 3, "r10")
    .alu("add", 3, Stack.scratch)
    .alu("mov", 4, REWRITTEN)
    // The sum of the header stays what it was, so that of the packet does; its hash is to be that of the inner flow.
    .alu("mov", 5, BPF_F_INVALIDATE_HASH)
    .call(KernelFunction.skb_store_bytes)
    .jumpIf(0, "!=", 0, "drop")
    .alu("mov", 1, "r6")
    .alu("mov", 2, -OUTER_BYTES)
    .alu("mov", 3, AdjustRoom.mac)
    .alu("mov", 4, AdjustRoom.fixedGso | AdjustRoom.decapIpv4)
    .call(KernelFunction.skb_adjust_room)
    .jumpIf(0, "!=", 0, "drop")
    .load(8, 7, 10, Stack.packets)
    .load(8, 8, 10, Stack.bytes);
  countPackets(asm, countersFd, Direction.inbound, Stack.scratch, { packets: "r7", bytes: "r8" }, "counted");
  asm.alu("mov", 1, tunIndex).alu("mov", 2, BPF_F_INGRESS).call(KernelFunction.redirect).exit();
}
