/** A register of the BPF machine: r0 takes results, r1 to r5 arguments, r6 to r9 survive calls, r10 points to the end of the stack. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/** Bytes that one access moves. */
export type AccessSize = 1 | 2 | 4 | 8;

/** Where a jump goes: a name that {@link Assembler.label} gives to a place, before or after it is jumped to. */
export type Label = string;

/** The operations of the arithmetic unit, by their names in the instruction set's documentation. */
export type Arithmetic = keyof typeof ARITHMETIC;

/** Comparisons of jumps; `s` means signed. */
export type Comparison = keyof typeof COMPARISONS;

// Documentation/bpf/standardization/instruction-set.rst
const ARITHMETIC = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
} as const;

const COMPARISONS = {
  "==": 0x10,
  ">": 0x20,
  ">=": 0x30,
  "&": 0x40,
  "!=": 0x50,
  "s>": 0x60,
  "s>=": 0x70,
  "<": 0xa0,
  "<=": 0xb0,
} as const;

const Class = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, jmp32: 6, alu64: 7 } as const;
const SIZES: Readonly<Record<AccessSize, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };
const MEM = 0x60;
const ATOMIC = 0xc0;
const IMM = 0x00;
const FROM_REGISTER = 0x08;
const PSEUDO_MAP_FD = 1;
const INSTRUCTION_BYTES = 8;

/** Writes BPF instructions one after the other. Each method appends one (a map's address: two) and gives the assembler. */
export interface Assembler {
  /** Names the place of the next instruction. */
  label(name: Label): Assembler;
  /** `destination = destination OP value`, in 64 bits. `value` is a register (`"r3"`) or a signed 32-bit number. */
  alu(operation: Arithmetic, destination: Register, value: Operand): Assembler;
  /** The same in 32 bits; the upper half becomes 0. */
  alu32(operation: Arithmetic, destination: Register, value: Operand): Assembler;
  /** Turns the lower 16, 32 or 64 bits between the machine's byte order and the network's; the rest becomes 0. */
  networkOrder(register: Register, bits: 16 | 32 | 64): Assembler;
  /** `destination = *(size *)(base + offset)`. */
  load(size: AccessSize, destination: Register, base: Register, offset: number): Assembler;
  /** `*(size *)(base + offset) = value`. */
  store(size: AccessSize, base: Register, offset: number, value: Operand): Assembler;
  /** `*(size *)(base + offset) += value`, at once for all processors. */
  atomicAdd(size: 4 | 8, base: Register, offset: number, value: Register): Assembler;
  /** Jumps when the comparison holds, in 64 bits. */
  jumpIf(left: Register, comparison: Comparison, right: Operand, to: Label): Assembler;
  /** Jumps always. */
  jump(to: Label): Assembler;
  /** Calls a function of the kernel by its number, with r1 to r5; the result is in r0. */
  call(helper: number): Assembler;
  /** Loads a map's address, as functions of the kernel take it. */
  loadMap(destination: Register, mapFd: number): Assembler;
  /** Leaves the program, with r0 as its result. */
  exit(): Assembler;
  /**
   * Gives the program.
   *
   * @returns the instructions, 8 bytes each.
   * @throws {RangeError} for a jump to a label that names no place, or too far away.
   */
  assemble(): Uint8Array<ArrayBuffer>;
}

/** A register, as text, or a signed 32-bit number. */
export type Operand = `r${Register}` | number;

interface Instruction {
  readonly opcode: number;
  readonly destination?: Register;
  readonly source?: number;
  readonly offset?: number | { readonly label: Label };
  readonly immediate?: number;
}

/**
 * Makes an assembler for BPF programs: no compiler and no library is needed to make one, and what it says stands next to the code that loads it.
 *
 * @returns an assembler without instructions.
 */
export function createAssembler(): Assembler {
  const instructions: Instruction[] = [];
  const labels = new Map<Label, number>();

  function append(...added: Instruction[]): Assembler {
    instructions.push(...added);
    return assembler;
  }

  function compute(
    group: number,
    operation: Arithmetic,
    destination: Register,
    value: Operand,
  ): Assembler {
    return append({ opcode: group | ARITHMETIC[operation] | form(value), destination, ...operand(value) });
  }

  const assembler: Assembler = {
    label(name) {
      if (labels.has(name))
        throw new RangeError(`Cannot assemble: the label ${name} names two places, expected one`);
      labels.set(name, instructions.length);
      return assembler;
    },
    alu: (operation, destination, value) => compute(Class.alu64, operation, destination, value),
    alu32: (operation, destination, value) => compute(Class.alu, operation, destination, value),
    networkOrder: (destination, bits) =>
      append({ opcode: Class.alu | 0xd0 | FROM_REGISTER, destination, immediate: bits }),
    load: (size, destination, base, offset) =>
      append({ opcode: Class.ldx | MEM | SIZES[size], destination, source: base, offset }),
    store: (size, base, offset, value) =>
      append({
        opcode: (typeof value === "number" ? Class.st : Class.stx) | MEM | SIZES[size],
        destination: base,
        offset,
        ...operand(value),
      }),
    atomicAdd: (size, base, offset, value) =>
      append({ opcode: Class.stx | ATOMIC | SIZES[size], destination: base, source: value, offset }),
    jumpIf: (left, comparison, right, label) =>
      append({
        opcode: Class.jmp | COMPARISONS[comparison] | form(right),
        destination: left,
        ...operand(right),
        offset: { label },
      }),
    jump: (label) => append({ opcode: Class.jmp, offset: { label } }),
    call: (helper) => append({ opcode: Class.jmp | 0x80, immediate: helper }),
    loadMap: (destination, mapFd) =>
      append(
        { opcode: Class.ld | IMM | SIZES[8], destination, source: PSEUDO_MAP_FD, immediate: mapFd },
        { opcode: 0 },
      ),
    exit: () => append({ opcode: Class.jmp | 0x90 }),
    assemble: () => encode(instructions, labels),
  };
  return assembler;
}

function form(value: Operand): number {
  return typeof value === "number" ? 0 : FROM_REGISTER;
}

function operand(value: Operand): Pick<Instruction, "source" | "immediate"> {
  return typeof value === "number" ? { immediate: value } : { source: Number(value.slice(1)) };
}

/** struct bpf_insn { u8 code; u8 dst_reg:4, src_reg:4; s16 off; s32 imm; } */
function encode(
  instructions: readonly Instruction[],
  labels: ReadonlyMap<Label, number>,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(instructions.length * INSTRUCTION_BYTES));
  for (const [i, { opcode, destination = 0, source = 0, offset = 0, immediate = 0 }] of instructions.entries()) {
    const at = i * INSTRUCTION_BYTES;
    view.setUint8(at, opcode);
    view.setUint8(at + 1, destination | (source << 4));
    view.setInt16(at + 2, typeof offset === "number" ? offset : distance(i, offset.label, labels), true);
    view.setInt32(at + 4, immediate, true);
  }
  return new Uint8Array(view.buffer);
}

function distance(from: number, label: Label, labels: ReadonlyMap<Label, number>): number {
  const to = labels.get(label);
  if (to === undefined) throw new RangeError(`Cannot assemble: nothing is labelled ${label}, and instruction ${from} jumps to it`);
  const offset = to - from - 1;
  if (offset < -0x8000 || offset > 0x7fff)
    throw new RangeError(`Cannot assemble: ${label} is ${offset} instructions away, expected -32768 to 32767`);
  return offset;
}
