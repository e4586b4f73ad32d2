import { type Arithmetic, ARITHMETIC, type Comparison, COMPARISONS } from "./operations.ts";
import { encodeInstructions, type Instruction } from "./encode-instructions.ts";

/** A register of the BPF machine: r0 takes results, r1 to r5 arguments, r6 to r9 survive calls, r10 points to the end of the stack. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/**
 * What an operation works with: a register, as text, or a number. Where it works in 64 bits the number is a signed one of 32 bits, which the
 * machine extends; where it works in fewer, an unsigned one is as good.
 */
export type Operand = `r${Register}` | number;

/** Bytes that one access moves. */
export type AccessSize = 1 | 2 | 4 | 8;

/** Where a jump goes: a name that {@link Assembler.label} gives to a place, before or after it is jumped to. */
export type Label = string;

// Instruction classes and modes: Documentation/bpf/standardization/instruction-set.rst
const LD = 0;
const LDX = 1;
const ST = 2;
const STX = 3;
const ALU = 4;
const JMP = 5;
const JMP32 = 6;
const ALU64 = 7;
const IMM = 0x00;
const MEM = 0x60;
const ATOMIC = 0xc0;
const FROM_REGISTER = 0x08;
const TO_BIG_ENDIAN = 0xd8;
const CALL = 0x80;
const EXIT = 0x90;
const SIZES: Readonly<Record<AccessSize, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };
/** As the source register of a load of 64 bits: the number is a map's descriptor. */
const PSEUDO_MAP_FD = 1;

/**
 * Writes BPF instructions one after the other. Each method appends one (`loadNumber` and `loadMap`: one that is twice as long) and gives the assembler.
 *
 * Numbers that an instruction has no room for are a RangeError.
 */
export interface Assembler {
  /**
   * Names the place of the next instruction.
   *
   * @throws {RangeError} when the name has a place already.
   */
  label(name: Label): Assembler;
  /** `destination = destination OPERATION value`, in 64 bits. */
  alu(operation: Arithmetic, destination: Register, value: Operand): Assembler;
  /** The same in 32 bits; the upper half becomes 0. */
  alu32(operation: Arithmetic, destination: Register, value: Operand): Assembler;
  /** Turns the lower 16, 32 or 64 bits between the machine's byte order and the network's; the rest becomes 0. */
  networkOrder(register: Register, bits: 16 | 32 | 64): Assembler;
  /** `destination = *(size *)(base + offset)`, unsigned; `offset` in bytes. */
  load(size: AccessSize, destination: Register, base: Register, offset: number): Assembler;
  /** `*(size *)(base + offset) = value`; `offset` in bytes. */
  store(size: AccessSize, base: Register, offset: number, value: Operand): Assembler;
  /** `*(size *)(base + offset) += value`, at once for all processors. */
  atomicAdd(size: 4 | 8, base: Register, offset: number, value: Register): Assembler;
  /** Jumps when the comparison holds, in 64 bits. */
  jumpIf(left: Register, comparison: Comparison, right: Operand, to: Label): Assembler;
  /** Jumps when the comparison of the lower 32 bits holds. */
  jumpIf32(left: Register, comparison: Comparison, right: Operand, to: Label): Assembler;
  /** Jumps always. */
  jump(to: Label): Assembler;
  /** Calls a function of the kernel by its number (see `KernelFunction`), with r1 to r5; the result is in r0, and r1 to r5 are lost. */
  call(kernelFunction: number): Assembler;
  /** `destination = value`, whole and of 64 bits, signed or unsigned. */
  loadNumber(destination: Register, value: number | bigint): Assembler;
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

/**
 * Makes an assembler for BPF programs: no compiler and no library is needed to make one, and what it says stands next to the code that loads it.
 *
 * Programs are for little-endian machines, which all are that Loden runs on.
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

  function compute(group: number, operation: Arithmetic, destination: Register, value: Operand): Assembler {
    const opcode = group | ARITHMETIC[operation] | form(value);
    return append({ opcode, destination, ...operand(value, group === ALU64) });
  }

  function compare(
    group: number,
    left: Register,
    comparison: Comparison,
    right: Operand,
    label: Label,
  ): Assembler {
    const opcode = group | COMPARISONS[comparison] | form(right);
    return append({ opcode, destination: left, ...operand(right, group === JMP), offset: { label } });
  }

  const assembler: Assembler = {
    label(name) {
      if (labels.has(name))
        throw new RangeError(
          `Cannot label a place ${name}: another one has that name, expected one of its own`,
        );
      labels.set(name, instructions.length);
      return assembler;
    },
    alu: (operation, destination, value) => compute(ALU64, operation, destination, value),
    alu32: (operation, destination, value) => compute(ALU, operation, destination, value),
    networkOrder: (destination, bits) =>
      append({ opcode: ALU | TO_BIG_ENDIAN, destination, immediate: bits }),
    load: (size, destination, base, offset) =>
      append({ opcode: LDX | MEM | SIZES[size], destination, source: base, offset }),
    store: (size, base, offset, value) =>
      append({
        opcode: (typeof value === "number" ? ST : STX) | MEM | SIZES[size],
        destination: base,
        offset,
        ...operand(value, size === 8),
      }),
    atomicAdd: (size, base, offset, value) =>
      append({ opcode: STX | ATOMIC | SIZES[size], destination: base, source: value, offset }),
    jumpIf: (left, comparison, right, to) => compare(JMP, left, comparison, right, to),
    jumpIf32: (left, comparison, right, to) => compare(JMP32, left, comparison, right, to),
    jump: (label) => append({ opcode: JMP, offset: { label } }),
    call: (kernelFunction) => append({ opcode: JMP | CALL, immediate: kernelFunction }),
    loadNumber: (destination, value) => {
      const bits = wide(value);
      return append(
        { opcode: LD | IMM | SIZES[8], destination, immediate: Number(bits & 0xffff_ffffn) },
        { opcode: 0, immediate: Number(bits >> 32n) },
      );
    },
    loadMap: (destination, mapFd) =>
      append(
        { opcode: LD | IMM | SIZES[8], destination, source: PSEUDO_MAP_FD, immediate: mapFd },
        { opcode: 0 },
      ),
    exit: () => append({ opcode: JMP | EXIT }),
    assemble: () => encodeInstructions(instructions, labels),
  };
  return assembler;
}

function form(value: Operand): number {
  return typeof value === "number" ? 0 : FROM_REGISTER;
}

/** A number goes into 32 bits, which an operation in 64 bits takes as signed. */
function operand(value: Operand, isWide: boolean): Pick<Instruction, "source" | "immediate"> {
  if (typeof value !== "number") return { source: Number(value.slice(1)) };
  const [least, most] = [-0x8000_0000, isWide ? 0x7fff_ffff : 0xffff_ffff];
  if (!Number.isInteger(value) || value < least || value > most)
    throw new RangeError(
      `Cannot assemble: an operand is ${value}, expected a whole number from ${least} to ${most}`,
    );
  return { immediate: value };
}

function wide(value: number | bigint): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw new RangeError(`Cannot assemble: a number is ${value}, expected a whole one that is exact`);
  const number = BigInt(value);
  if (number < -(2n ** 63n) || number >= 2n ** 64n)
    throw new RangeError(`Cannot assemble: a number is ${value}, expected one of 64 bits`);
  return BigInt.asUintN(64, number);
}
