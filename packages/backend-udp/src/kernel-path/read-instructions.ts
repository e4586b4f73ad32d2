import { type Assembler, KernelFunction, PacketContext, type Register } from "@loden/bpf";
import { FRAGMENT_MASK, Ipv4, IPV4_BYTES, PLAIN_IPV4, Transport } from "./packet-layout.ts";

/**
 * Writes instructions that make the beginning of a packet one that can be read: r7 points to it, r8 to the end of what can be read. A short packet, or one whose beginning
 * lies in pages, is put together first. Leaves the program where less is there than is needed.
 *
 * @param asm takes them: r6 is the packet's context, r7 and r8 are set, r9 is the packet's length. r1 to r5 are overwritten.
 * @param lookedAt how far into the packet is looked, in bytes. @param least what has to be there. @param otherwise where to go.
 */
export function makeReadable(asm: Assembler, lookedAt: number, least: number, otherwise: string): void {
  asm
    .alu("mov", 1, "r7")
    .alu("add", 1, lookedAt)
    .jumpIf(1, "<=", "r8", "readable")
    .alu("mov", 1, "r6")
    .alu("mov", 2, "r9")
    .jumpIf(2, "<=", lookedAt, "pull")
    .alu("mov", 2, lookedAt)
    .label("pull")
    .call(KernelFunction.skb_pull_data)
    .load(4, 7, 6, PacketContext.data)
    .load(4, 8, 6, PacketContext.data_end)
    .alu("mov", 1, "r7")
    .alu("add", 1, least)
    .jumpIf(1, ">", "r8", otherwise)
    .label("readable");
}

/**
 * Writes instructions that leave the program for an IPv4 packet that has options or is a fragment.
 *
 * @param asm takes them: r7 points to what is read; r1 is overwritten. @param at where the packet begins there. @param otherwise where to go.
 */
export function keepPlain(asm: Assembler, at: number, otherwise: string): void {
  asm
    .load(1, 1, 7, at + Ipv4.versionAndLength)
    .jumpIf(1, "!=", PLAIN_IPV4, otherwise)
    .load(2, 1, 7, at + Ipv4.fragment)
    .jumpIf(1, "&", FRAGMENT_MASK, otherwise);
}

/**
 * Writes instructions that leave in r0 where a map has the value of a key. r1 to r5 are lost.
 *
 * @param asm takes them. @param mapFd the map. @param keyAt where the key lies on the stack, as an offset from r10. @param otherwise where to go when there is none.
 */
export function lookUp(asm: Assembler, mapFd: number, keyAt: number, otherwise: string): void {
  asm
    .alu("mov", 2, "r10")
    .alu("add", 2, keyAt)
    .loadMap(1, mapFd)
    .call(KernelFunction.map_lookup_elem)
    .jumpIf(0, "==", 0, otherwise);
}

/**
 * Writes instructions that read how long the headers of IPv4, without options, and TCP are together.
 *
 * @param asm takes them: r7 points to the packet. @param destination the register. @param tcp where TCP begins in the packet.
 */
export function readHeaderLength(asm: Assembler, destination: Register, tcp: number): void {
  asm
    .load(1, destination, 7, tcp + Transport.tcpHeaderLength)
    // In its upper half, in units of four bytes.
    .alu("and", destination, 0xf0)
    .alu("rsh", destination, 2)
    .alu("add", destination, IPV4_BYTES);
}
