const INSTRUCTION_BYTES = 8;
const MOST_OFFSET = 0x7fff;

/** One instruction; what it doesn't have is 0. */
export interface Instruction {
  readonly opcode: number;
  readonly destination?: number;
  readonly source?: number;
  /** Bytes of an access, or where a jump goes. */
  readonly offset?: number | { readonly label: string };
  /** Signed or unsigned, 32 bits. */
  readonly immediate?: number;
}

/**
 * Encodes instructions, as little-endian machines have them: `struct bpf_insn { u8 code; u8 dst_reg:4, src_reg:4; s16 off; s32 imm; }`.
 *
 * @param instructions in their order.
 * @param labels the number of the instruction that each names; it may be the one after the last.
 * @returns 8 bytes for each.
 * @throws {RangeError} for a label that names no place, and for an offset without room.
 */
export function encodeInstructions(
  instructions: readonly Instruction[],
  labels: ReadonlyMap<string, number>,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(instructions.length * INSTRUCTION_BYTES));
  for (const [i, instruction] of instructions.entries()) {
    const { opcode, destination = 0, source = 0, offset = 0, immediate = 0 } = instruction;
    const at = i * INSTRUCTION_BYTES;
    view.setUint8(at, opcode);
    view.setUint8(at + 1, destination | (source << 4));
    view.setInt16(
      at + 2,
      checked(typeof offset === "number" ? offset : distance(i, offset.label, labels), i),
      true,
    );
    view.setInt32(at + 4, immediate, true);
  }
  return new Uint8Array(view.buffer);
}

/** A jump counts from the instruction after it. */
function distance(from: number, label: string, labels: ReadonlyMap<string, number>): number {
  const to = labels.get(label);
  if (to !== undefined) return to - from - 1;
  throw new RangeError(
    `Cannot assemble: instruction ${from} jumps to ${label}, expected a label of that name`,
  );
}

function checked(offset: number, at: number): number {
  if (Number.isInteger(offset) && offset >= -MOST_OFFSET - 1 && offset <= MOST_OFFSET) return offset;
  throw new RangeError(
    `Cannot assemble: the offset of instruction ${at} is ${offset}, expected a whole number from ${-MOST_OFFSET - 1} to ${MOST_OFFSET}`,
  );
}
