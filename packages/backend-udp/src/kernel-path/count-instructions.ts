import type { Assembler } from "@loden/bpf";
import { lookUp } from "./read-instructions.ts";

/**
 * Writes instructions that say how many packets the kernel cuts a large piece into, and how many bytes they have: each but the first has headers that are not
 * there yet.
 *
 * @param asm takes them: r2 is the payload of each packet, r3 the length of its headers, r9 that of the piece. r1 is overwritten, and r5 is the piece's payload then.
 * @param stack takes both numbers, 8 bytes each, as offsets from r10.
 */
export function measurePiece(
  asm: Assembler,
  { packets, bytes }: { readonly packets: number; readonly bytes: number },
): void {
  asm
    .alu("mov", 5, "r9")
    .alu("sub", 5, "r3")
    .alu("mov", 1, "r5")
    .alu("add", 1, "r2")
    .alu("sub", 1, 1)
    .alu("div", 1, "r2")
    .store(8, 10, packets, "r1")
    .alu("sub", 1, 1)
    .alu("mul", 1, "r3")
    .alu("add", 1, "r9")
    .store(8, 10, bytes, "r1");
}

/**
 * Writes instructions that count packets on this processor, as the pump counts them: a large piece as what it is cut into, each with a header.
 *
 * Uses r0 to r5.
 *
 * @param asm takes them.
 * @param countersFd the map: packets and bytes of each direction.
 * @param direction which of them.
 * @param scratch 4 bytes of the stack, as an offset from r10.
 * @param registers what holds the number of packets, and of bytes; one that survives calls.
 * @param label names a place in the program, once.
 */
export function countPackets(
  asm: Assembler,
  countersFd: number,
  direction: number,
  scratch: number,
  {
    packets,
    bytes,
  }: { readonly packets: "r6" | "r7" | "r8" | "r9"; readonly bytes: "r6" | "r7" | "r8" | "r9" },
  label: string,
): void {
  asm.store(4, 10, scratch, direction);
  lookUp(asm, countersFd, scratch, label);
  asm
    .load(8, 1, 0, 0)
    .alu("add", 1, packets)
    .store(8, 0, 0, "r1")
    .load(8, 1, 0, 8)
    .alu("add", 1, bytes)
    .store(8, 0, 8, "r1")
    .label(label);
}
