import { type Assembler, KernelFunction } from "@loden/bpf";

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
  asm
    .store(4, 10, scratch, direction)
    .alu("mov", 2, "r10")
    .alu("add", 2, scratch)
    .loadMap(1, countersFd)
    .call(KernelFunction.map_lookup_elem)
    .jumpIf(0, "==", 0, label)
    .load(8, 1, 0, 0)
    .alu("add", 1, packets)
    .store(8, 0, 0, "r1")
    .load(8, 1, 0, 8)
    .alu("add", 1, bytes)
    .store(8, 0, 8, "r1")
    .label(label);
}
