import { errno, KernelError } from "@loden/linux";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Command } from "./bpf-command.ts";
import { keyOf } from "./bpf-host.fixture.ts";
import { lacksBpf } from "./testing.ts";
import { createAssembler, createMap, loadProgram } from "./index.ts";

/** Commands that the kernel refuses for once, with the number of its error; all else reaches the real one. */
const refusals: { readonly command: number; readonly errno: number }[] = [];
const calls: number[] = [];

vi.mock(import("@loden/linux"), async (original) => {
  const linux = await original();
  const bpf: typeof linux.bpf = (command, attributes, attempt) => {
    calls.push(command);
    if (refusals[0]?.command !== command) return linux.bpf(command, attributes, attempt);
    throw new linux.KernelError({ attempt, syscall: "bpf", errno: refusals.shift()?.errno ?? 0 });
  };
  return { ...linux, bpf };
});

afterEach(() => {
  refusals.length = 0;
  calls.length = 0;
});

const ENOTSUPP = 524;

describe.skipIf(lacksBpf)("refusals (needs CAP_BPF)", () => {
  test.each([
    ["Linux 5.5 and before", errno.EINVAL],
    ["kernels that can't for this kind of map", ENOTSUPP],
  ])("setMany() writes one entry after the other on %s", (_, number) => {
    using map = createMap({ kind: "hash", name: "hash", keyBytes: 4, valueBytes: 4, capacity: 3 });
    refusals.push({ command: Command.mapUpdateBatch, errno: number });
    const entries = Array.from({ length: 3 }, (_value, i) => [keyOf(i), keyOf(i * i)] as const);
    map.setMany(entries);
    for (const [key, value] of entries) expect(map.get(key)).toEqual(value);
    calls.length = 0;
    map.setMany(entries);
    expect(calls).toEqual([Command.mapUpdate, Command.mapUpdate, Command.mapUpdate]);
    expect(() => map.setMany([[keyOf(4), keyOf(4)]])).toThrow(/E2BIG.*expected at most 3 entries/);
  });

  test("setMany() throws what is no refusal of batches", () => {
    using map = createMap({ kind: "hash", name: "hash", keyBytes: 4, valueBytes: 4, capacity: 3 });
    refusals.push({ command: Command.mapUpdateBatch, errno: errno.ENOMEM });
    expect(() => map.setMany([[keyOf(1), keyOf(1)]])).toThrow(/ENOMEM from bpf/);
    expect(map.get(keyOf(1))).toBeUndefined();
  });

  const trivial = {
    name: "trivial",
    at: "egress",
    instructions: createAssembler().alu("mov", 0, 0).exit().assemble(),
    license: "Apache-2.0",
  } as const;

  test("loadProgram() tries again when a signal interrupted the kernel's check", () => {
    for (let i = 0; i < 5; i++) refusals.push({ command: Command.programLoad, errno: errno.EAGAIN });
    using program = loadProgram(trivial);
    expect(program.fd).toBeGreaterThan(0);
    expect(calls).toHaveLength(6);
  });

  test("loadProgram() throws EAGAIN when signals never end", () => {
    for (let i = 0; i < 1000; i++) refusals.push({ command: Command.programLoad, errno: errno.EAGAIN });
    expect(() => loadProgram(trivial)).toThrow(KernelError);
    expect(() => loadProgram(trivial)).toThrow(/EAGAIN from bpf/);
  });

  test("loadProgram() has the program when the refusal was a passing one", () => {
    refusals.push({ command: Command.programLoad, errno: errno.ENOMEM });
    using program = loadProgram(trivial);
    expect(program.fd).toBeGreaterThan(0);
  });
});
