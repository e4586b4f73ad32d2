import type { Assembler, Register } from "@loden/bpf";

/**
 * Writes instructions that fold a sum of 16-bit words, of up to 64 bits, into one word (RFC 1071). The order of bytes doesn't matter.
 *
 * @param asm takes them. @param sum the register. @param scratch is overwritten.
 */
export function foldSum(asm: Assembler, sum: Register, scratch: Register): void {
  asm
    .alu("mov", scratch, `r${sum}`)
    .alu("rsh", scratch, 32)
    .alu32("mov", sum, `r${sum}`)
    .alu("add", sum, `r${scratch}`);
  // 33 bits at most, then 18, 17 and 16.
  for (let i = 0; i < 3; i++) {
    asm
      .alu("mov", scratch, `r${sum}`)
      .alu("rsh", scratch, 16)
      .alu("and", sum, 0xffff)
      .alu("add", sum, `r${scratch}`);
  }
}

/**
 * Writes instructions that adjust an IPv4 header's checksum to a TTL that is one less (RFC 1624): in network order that adds 0x0100, which a
 * little-endian machine reads as 1, with the carry at the other end.
 *
 * @param asm takes them. @param checksum the register that holds it. @param label names a place in the program, once.
 */
export function adjustToTtl(asm: Assembler, checksum: Register, label: string): void {
  asm.alu("add", checksum, 1).jumpIf(checksum, "<", 0xffff, label).alu("sub", checksum, 0xffff).label(label);
}
