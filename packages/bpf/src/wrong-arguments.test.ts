import { describe, expect, test } from "vitest";
import { createAssembler, createMap, loadProgram, Verdict } from "./index.ts";

const instructions = createAssembler().alu("mov", 0, Verdict.next).exit().assemble();

// What is wrong in itself is refused before the kernel is asked: that needs no privilege, and no Linux.
describe.each(["", "sixteen_letters_", "blank in it", "schön", "a/b", "a\0b"])("the name %j", (name) => {
  test("createMap() throws a RangeError", () => {
    expect(() => createMap({ kind: "array", name, keyBytes: 4, valueBytes: 8, capacity: 1 })).toThrow(
      new RangeError(
        `Cannot name a BPF map ${JSON.stringify(name)}: it has ${name.length} characters, expected 1 to 15 of A-Z, a-z, 0-9, "_" and "."`,
      ),
    );
  });

  test("loadProgram() throws a RangeError", () => {
    expect(() => loadProgram({ name, at: "egress", instructions, license: "Apache-2.0" })).toThrow(
      RangeError,
    );
  });
});

test.each([0, 7, 12])("loadProgram() throws a RangeError when the program has %i bytes", (bytes) => {
  const program = {
    name: "part",
    at: "ingress",
    instructions: new Uint8Array(bytes),
    license: "Apache-2.0",
  } as const;
  expect(() => loadProgram(program)).toThrow(
    new RangeError(`Cannot load the BPF program part: it has ${bytes} bytes, expected a multiple of 8`),
  );
});
