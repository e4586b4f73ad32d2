import { describe, expect, test } from "vitest";
import { type Assembler, createAssembler } from "./index.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** What an instruction is encoded as: opcode, source and destination register, offset, immediate. */
const encoded = (write: (assembler: Assembler) => unknown): string => {
  const assembler = createAssembler();
  write(assembler);
  return hex(assembler.assemble())
    .replaceAll(
      /(..)(..)(....)(........)/g,
      (_, opcode, registers, offset, immediate) => [opcode, registers, offset, immediate].join(" ") + "\n",
    )
    .trim();
};

// By hand, from Documentation/bpf/standardization/instruction-set.rst of the kernel: the opcode is CODE | S | CLASS for arithmetic and jumps (S is 8
// where the source is a register), MODE | SIZE | CLASS for loads and stores; multi-byte numbers are little-endian.
const instructions: readonly (readonly [
  name: string,
  write: (assembler: Assembler) => unknown,
  hex: string,
])[] = [
  // MOV 0xb0 | ALU64 7
  ["r0 = 0", (a) => a.alu("mov", 0, 0), "b7 00 0000 00000000"],
  ["r0 = -1", (a) => a.alu("mov", 0, -1), "b7 00 0000 ffffffff"],
  // MOV 0xb0 | X 8 | ALU64 7
  ["r1 = r2", (a) => a.alu("mov", 1, "r2"), "bf 21 0000 00000000"],
  ["r9 = r10", (a) => a.alu("mov", 9, "r10"), "bf a9 0000 00000000"],
  ["r3 += 0x12345678", (a) => a.alu("add", 3, 0x1234_5678), "07 03 0000 78563412"],
  ["r3 -= r4", (a) => a.alu("sub", 3, "r4"), "1f 43 0000 00000000"],
  ["r3 *= 3", (a) => a.alu("mul", 3, 3), "27 03 0000 03000000"],
  ["r3 /= 3", (a) => a.alu("div", 3, 3), "37 03 0000 03000000"],
  ["r3 |= 3", (a) => a.alu("or", 3, 3), "47 03 0000 03000000"],
  ["r3 &= 3", (a) => a.alu("and", 3, 3), "57 03 0000 03000000"],
  ["r3 <<= 3", (a) => a.alu("lsh", 3, 3), "67 03 0000 03000000"],
  ["r3 >>= 3", (a) => a.alu("rsh", 3, 3), "77 03 0000 03000000"],
  ["r3 %= 3", (a) => a.alu("mod", 3, 3), "97 03 0000 03000000"],
  ["r3 ^= 3", (a) => a.alu("xor", 3, 3), "a7 03 0000 03000000"],
  ["r3 s>>= 3", (a) => a.alu("arsh", 3, 3), "c7 03 0000 03000000"],
  // ADD 0 | ALU 4, and with X 8
  ["w5 += 1", (a) => a.alu32("add", 5, 1), "04 05 0000 01000000"],
  ["w5 += w6", (a) => a.alu32("add", 5, "r6"), "0c 65 0000 00000000"],
  ["w5 ^= 0xffffffff", (a) => a.alu32("xor", 5, 0xffff_ffff), "a4 05 0000 ffffffff"],
  ["w5 = 0xc0000201", (a) => a.alu32("mov", 5, 0xc000_0201), "b4 05 0000 010200c0"],
  // END 0xd0 | TO_BE 8 | ALU 4
  ["r2 = be16 r2", (a) => a.networkOrder(2, 16), "dc 02 0000 10000000"],
  ["r2 = be32 r2", (a) => a.networkOrder(2, 32), "dc 02 0000 20000000"],
  ["r2 = be64 r2", (a) => a.networkOrder(2, 64), "dc 02 0000 40000000"],
  // MEM 0x60 | B 0x10, H 8, W 0, DW 0x18 | LDX 1
  ["r0 = *(u8 *)(r1 + 9)", (a) => a.load(1, 0, 1, 9), "71 10 0900 00000000"],
  ["r0 = *(u16 *)(r1 + 22)", (a) => a.load(2, 0, 1, 22), "69 10 1600 00000000"],
  ["r0 = *(u32 *)(r1 + 76)", (a) => a.load(4, 0, 1, 76), "61 10 4c00 00000000"],
  ["r8 = *(u64 *)(r10 - 8)", (a) => a.load(8, 8, 10, -8), "79 a8 f8ff 00000000"],
  // MEM 0x60 | size | ST 2
  ["*(u8 *)(r1 + 1) = 255", (a) => a.store(1, 1, 1, 255), "72 01 0100 ff000000"],
  ["*(u16 *)(r1 + 2) = 1", (a) => a.store(2, 1, 2, 1), "6a 01 0200 01000000"],
  ["*(u32 *)(r10 - 4) = 0xfffffffe", (a) => a.store(4, 10, -4, 0xffff_fffe), "62 0a fcff feffffff"],
  ["*(u64 *)(r10 - 8) = -2", (a) => a.store(8, 10, -8, -2), "7a 0a f8ff feffffff"],
  // MEM 0x60 | size | STX 3
  ["*(u8 *)(r2 + 0) = r3", (a) => a.store(1, 2, 0, "r3"), "73 32 0000 00000000"],
  ["*(u64 *)(r10 - 16) = r1", (a) => a.store(8, 10, -16, "r1"), "7b 1a f0ff 00000000"],
  // ATOMIC 0xc0 | size | STX 3, immediate ADD 0
  ["lock *(u32 *)(r0 + 4) += r1", (a) => a.atomicAdd(4, 0, 4, 1), "c3 10 0400 00000000"],
  ["lock *(u64 *)(r0 + 8) += r1", (a) => a.atomicAdd(8, 0, 8, 1), "db 10 0800 00000000"],
  // CALL 0x80, EXIT 0x90 | JMP 5
  ["call 152", (a) => a.call(152), "85 00 0000 98000000"],
  ["exit", (a) => a.exit(), "95 00 0000 00000000"],
  // IMM 0 | DW 0x18 | LD 0; the upper half of the number is the immediate of a second instruction
  [
    "r7 = 0x0102030405060708",
    (a) => a.loadNumber(7, 0x0102_0304_0506_0708n),
    "18 07 0000 08070605\n00 00 0000 04030201",
  ],
  ["r7 = 2^48 - 1", (a) => a.loadNumber(7, 2 ** 48 - 1), "18 07 0000 ffffffff\n00 00 0000 ffff0000"],
  ["r7 = -2", (a) => a.loadNumber(7, -2), "18 07 0000 feffffff\n00 00 0000 ffffffff"],
  // the same with the source register MAP_BY_FD 1
  ["r1 = map 258", (a) => a.loadMap(1, 258), "18 11 0000 02010000\n00 00 0000 00000000"],
];

// JMP 5; the jump goes to the next instruction.
const comparisons = [
  ["==", "15"],
  [">", "25"],
  [">=", "35"],
  ["&", "45"],
  ["!=", "55"],
  ["s>", "65"],
  ["s>=", "75"],
  ["<", "a5"],
  ["<=", "b5"],
  ["s<", "c5"],
  ["s<=", "d5"],
] as const;

describe("createAssembler()", () => {
  test.each(instructions)("createAssembler() encodes %s", (_, write, expected) => {
    expect(encoded(write)).toBe(expected);
  });

  test.each(comparisons)("jumpIf() encodes the comparison %s", (comparison, opcode) => {
    expect(encoded((a) => a.jumpIf(6, comparison, 7, "to").label("to"))).toBe(`${opcode} 06 0000 07000000`);
  });

  test("jumpIf() compares registers, and jumpIf32() their lower halves", () => {
    // X 8 | JMP 5; JMP32 6
    expect(encoded((a) => a.jumpIf(6, ">", "r7", "to").label("to"))).toBe("2d 76 0000 00000000");
    expect(encoded((a) => a.jumpIf32(6, ">", "r7", "to").label("to"))).toBe("2e 76 0000 00000000");
    expect(encoded((a) => a.jumpIf32(6, "==", 0xc000_0201, "to").label("to"))).toBe("16 06 0000 010200c0");
  });

  test("label() names a place before and after the jumps to it", () => {
    const program = (a: Assembler): unknown =>
      a
        .label("again")
        .alu("add", 1, 1)
        .jumpIf(1, "<", 5, "again")
        .jumpIf(1, "==", 6, "end")
        .loadMap(1, 3)
        .jump("end")
        .jump("again")
        .label("end")
        .exit();
    expect(encoded(program).split("\n")).toEqual([
      "07 01 0000 01000000",
      "a5 01 feff 05000000", // back over itself and the addition
      "15 01 0400 06000000", // over the map's address, which is two, and two jumps
      "18 11 0000 03000000",
      "00 00 0000 00000000",
      "05 00 0100 00000000",
      "05 00 f9ff 00000000", // back over all seven
      "95 00 0000 00000000",
    ]);
  });

  test("label() gives one place several names", () => {
    expect(encoded((a) => a.jump("a").jump("b").label("a").label("b").exit())).toBe(
      "05 00 0100 00000000\n05 00 0000 00000000\n95 00 0000 00000000",
    );
  });

  test("assemble() gives what there is so far, each time anew", () => {
    const assembler = createAssembler();
    expect(assembler.assemble()).toEqual(new Uint8Array());
    const first = assembler.exit().assemble();
    first.fill(0);
    expect(hex(assembler.assemble())).toBe("9500000000000000");
    expect(assembler.exit().assemble()).toHaveLength(16);
  });

  test("label() throws a RangeError when the name is taken", () => {
    expect(() => createAssembler().label("loop").exit().label("loop")).toThrow(
      new RangeError("Cannot label a place loop: another one has that name, expected one of its own"),
    );
  });

  test("assemble() throws a RangeError when a jump leads nowhere", () => {
    expect(() => createAssembler().exit().jump("nowhere").assemble()).toThrow(
      new RangeError("Cannot assemble: instruction 1 jumps to nowhere, expected a label of that name"),
    );
  });

  test("assemble() jumps as far as 16 bits say, and throws a RangeError beyond", () => {
    const jumpOver = (count: number): Assembler => {
      const assembler = createAssembler().jump("end");
      for (let i = 0; i < count; i++) assembler.exit();
      return assembler.label("end");
    };
    expect(hex(jumpOver(32_767).assemble().subarray(0, 8))).toBe("0500ff7f00000000");
    expect(() => jumpOver(32_768).assemble()).toThrow(
      "the offset of instruction 0 is 32768, expected a whole number from -32768 to 32767",
    );
    const jumpBack = (count: number): Assembler => {
      const assembler = createAssembler().label("start");
      for (let i = 0; i < count; i++) assembler.exit();
      return assembler.jump("start");
    };
    expect(hex(jumpBack(32_767).assemble().subarray(-8))).toBe("0500008000000000");
    expect(() => jumpBack(32_768).assemble()).toThrow(/the offset of instruction 32768 is -32769/);
  });

  test.each([
    ["alu() of 64 bits, unsigned", (a: Assembler) => a.alu("mov", 0, 0x8000_0000)],
    ["jumpIf(), unsigned", (a: Assembler) => a.jumpIf(0, "==", 0x8000_0000, "to")],
    ["store() of 8 bytes, unsigned", (a: Assembler) => a.store(8, 10, -8, 0x8000_0000)],
    ["alu32() beyond 32 bits", (a: Assembler) => a.alu32("mov", 0, 0x1_0000_0000)],
    ["jumpIf32() below", (a: Assembler) => a.jumpIf32(0, "==", -0x8000_0001, "to")],
    ["alu() of a fraction", (a: Assembler) => a.alu("add", 0, 1.5)],
    ["alu() of no number", (a: Assembler) => a.alu("add", 0, Number.NaN)],
  ])("%s throws a RangeError", (_, write) => {
    expect(() => write(createAssembler())).toThrow(RangeError);
    expect(() => write(createAssembler())).toThrow(
      /^Cannot assemble: an operand is .*, expected a whole number/,
    );
  });

  test.each([2n ** 64n, -(2n ** 63n) - 1n, 2 ** 53, 0.5])(
    "loadNumber() throws a RangeError for %d",
    (value) => {
      expect(() => createAssembler().loadNumber(0, value)).toThrow(RangeError);
    },
  );

  test("assemble() throws a RangeError when an access is too far from its base", () => {
    expect(() => createAssembler().load(4, 0, 1, 32_768).assemble()).toThrow(RangeError);
    expect(() => createAssembler().store(4, 1, 0.5, 0).assemble()).toThrow(RangeError);
  });
});
