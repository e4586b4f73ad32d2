import { KernelError } from "@loden/linux";
import { describe, expect, test } from "vitest";
import { lacksTcx } from "./testing.ts";
import {
  type Assembler,
  type BpfProgram,
  createAssembler,
  createMap,
  loadProgram,
  PacketContext,
} from "./index.ts";

const load = (write: (assembler: Assembler) => unknown, license: string = "Apache-2.0"): BpfProgram => {
  const assembler = createAssembler();
  write(assembler);
  return loadProgram({ name: "tried", at: "egress", instructions: assembler.assemble(), license });
};

const errorOf = (write: (assembler: Assembler) => unknown): KernelError => {
  try {
    load(write).close();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

const READ_KERNEL_MEMORY = 113;

/** Calls a function that the kernel keeps for programs under the GPL. */
const readKernelMemory = (a: Assembler): unknown =>
  a
    .alu("mov", 1, "r10")
    .alu("add", 1, -8)
    .alu("mov", 2, 8)
    .alu("mov", 3, 0)
    .call(READ_KERNEL_MEMORY)
    .alu("mov", 0, 0)
    .exit();

describe.skipIf(lacksTcx)("loadProgram() (needs Linux 6.6 and CAP_BPF)", () => {
  test("loadProgram() throws the kernel's reason when a program reads beyond the packet", () => {
    const error = errorOf((a) => a.load(4, 2, 1, PacketContext.data).load(1, 0, 2, 0).exit());
    expect(error).toMatchObject({ code: "EACCES", syscall: "bpf" });
    expect(error.detail).toMatch(/invalid access to packet, off=0 size=1/);
    expect(error.message).toBe(
      `Cannot load the BPF program tried: permission denied (EACCES from bpf): ${error.detail}`,
    );
    // the last lines, in one line and without statistics
    expect(error.detail?.split("; ")).toHaveLength(3);
    expect(error.detail).not.toMatch(/\n|processed \d/);
  });

  test.each([
    ["has no result", (a: Assembler) => a.exit(), "EACCES", /R0 !read_ok/],
    ["never ends", (a: Assembler) => a.label("again").jump("again"), "EINVAL", /loop/],
    ["has no end", (a: Assembler) => a.alu("mov", 0, 0), "EINVAL", /last insn/],
    [
      "uses a map that is none",
      (a: Assembler) => a.loadMap(1, 1_000_000).exit(),
      "EBADF",
      /not pointing to valid bpf_map|fd 1000000/,
    ],
    ["calls what is under the GPL", readKernelMemory, "EINVAL", /GPL/],
  ] as const)("loadProgram() throws the kernel's reason when a program %s", (_, write, code, reason) => {
    const error = errorOf(write);
    expect(error.code).toBe(code);
    expect(error.detail).toMatch(reason);
  });

  test("loadProgram() tells the kernel the licence", () => {
    using program = load(readKernelMemory, "GPL");
    expect(program.fd).toBeGreaterThan(0);
  });

  test("loadProgram() has the reason when the kernel says much before it", () => {
    const error = errorOf((a) => {
      for (let i = 0; i < 5_000; i++) a.alu("mov", 2, i);
      return a.load(4, 2, 1, PacketContext.data).load(1, 0, 2, 0).exit();
    });
    expect(error.detail).toMatch(/invalid access to packet, off=0 size=1/);
    expect(error.detail?.split("; ")).toHaveLength(3);
  });

  test("loadProgram() loads programs of a thousand branches, with a map", () => {
    using map = createMap({ kind: "hash", name: "map", keyBytes: 4, valueBytes: 4, capacity: 1 });
    using program = load((a) => {
      a.alu("mov", 0, 0).load(4, 2, 1, PacketContext.len);
      for (let i = 0; i < 1_000; i++) a.jumpIf(2, "==", i, "end");
      return a.loadMap(1, map.fd).label("end").exit();
    });
    expect(program).toMatchObject({ name: "tried", at: "egress" });
  });

  test("close() closes the descriptor once, and fd throws a TypeError after it", () => {
    const program = load((a) => a.alu("mov", 0, 0).exit());
    const { fd } = program;
    program.close();
    using other = load((a) => a.alu("mov", 0, 0).exit());
    expect(other.fd).toBe(fd);
    program.close();
    expect(other.fd).toBe(fd);
    expect(() => program.fd).toThrow(
      new TypeError("Cannot use the BPF program tried: it is closed, expected an open one"),
    );
  });
});
