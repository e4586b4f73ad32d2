import { type Assembler, KernelFunction, PacketContext, type Register } from "@loden/bpf";
import { IPV4_BYTES, Transport } from "./packet-layout.ts";

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
