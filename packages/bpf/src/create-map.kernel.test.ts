import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { KernelError } from "@loden/linux";
import { describe, expect, test } from "vitest";
import { keyOf } from "./bpf-host.fixture.ts";
import { lacksBpf } from "./testing.ts";
import { countPossibleProcessors } from "./count-possible-processors.ts";
import { type BpfMap, createMap, readCounters } from "./index.ts";

const valueOf = (...numbers: bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(numbers).buffer);

const openHash = (capacity: number): BpfMap =>
  createMap({ kind: "hash", name: "hash", keyBytes: 4, valueBytes: 12, capacity });

const openArray = (): BpfMap =>
  createMap({ kind: "array", name: "array", keyBytes: 4, valueBytes: 16, capacity: 3 });

const openPerCpuArray = (valueBytes: number): BpfMap =>
  createMap({ kind: "perCpuArray", name: "per_cpu", keyBytes: 4, valueBytes, capacity: 3 });

const errorOf = (fn: () => unknown): KernelError => {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

/** What the kernel says of a map. */
const seen = ({ fd }: BpfMap): Record<string, number> =>
  Object.fromEntries(
    [...readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").matchAll(/^(\w+):\s+(\w+)$/gm)].map(
      ([, name, value]) => [name, Number(value)],
    ),
  );

describe.skipIf(lacksBpf)("createMap() (needs CAP_BPF)", () => {
  test.each([
    ["hash", 1, 6, 20, 9],
    ["array", 2, 4, 20, 9],
    ["perCpuArray", 6, 4, 24, 9],
  ] as const)("createMap() makes a map of kind %s", (kind, type, keyBytes, valueBytes, capacity) => {
    using map = createMap({ kind, name: "fifteen.letters", keyBytes, valueBytes, capacity });
    expect(seen(map)).toMatchObject({
      map_type: type,
      key_size: keyBytes,
      value_size: valueBytes,
      max_entries: capacity,
      // a hash takes memory as it grows: BPF_F_NO_PREALLOC
      map_flags: kind === "hash" ? 1 : 0,
    });
    expect(map).toMatchObject({ kind, name: "fifteen.letters", keyBytes, valueBytes, capacity });
  });

  test("createMap() throws a KernelError when its kind can't have such sizes", () => {
    const options = { kind: "array", name: "wide", keyBytes: 8, valueBytes: 8, capacity: 1 } as const;
    expect(() => createMap(options)).toThrow(/^Cannot make the BPF map wide: .*\(EINVAL from bpf\)$/);
  });

  test("createMap() throws EPERM when the process has no privilege", () => {
    const program = `
      import { createMap } from ${JSON.stringify(import.meta.resolve("./index.ts"))};
      try { createMap({ kind: "hash", name: "x", keyBytes: 4, valueBytes: 4, capacity: 1 }) }
      catch ({ name, code, message }) { console.log(name, code, message) }`;
    const words = ["--conditions=@loden/source", "--input-type=module", "--eval", program];
    const child = spawnSync("unshare", ["--user", process.execPath, ...words], {
      encoding: "utf8",
      cwd: import.meta.dirname,
    });
    expect(child.stderr).toBe("");
    expect(child.stdout).toMatch(/^KernelError EPERM Cannot make the BPF map x: .*\(EPERM from bpf\)\n$/);
  });

  test("set(), get() and delete() write, read and remove an entry of a hash", () => {
    using map = openHash(10);
    const value = Uint8Array.from({ length: 12 }, (_, i) => i);
    expect(map.get(keyOf(7))).toBeUndefined();
    map.delete(keyOf(7));
    map.set(keyOf(7), value);
    expect(map.get(keyOf(7))).toEqual(value);
    expect(map.get(keyOf(8))).toBeUndefined();
    map.set(keyOf(7), value.toReversed());
    const copy = map.get(keyOf(7));
    expect(copy).toEqual(value.toReversed());
    map.delete(keyOf(7));
    expect(map.get(keyOf(7))).toBeUndefined();
    expect(copy).toEqual(value.toReversed());
  });

  test("set() throws E2BIG and says why when a hash is full, and goes on when something is removed", () => {
    using map = openHash(3);
    for (let i = 0; i < 3; i++) map.set(keyOf(i), new Uint8Array(12));
    const error = errorOf(() => map.set(keyOf(3), new Uint8Array(12)));
    expect(error).toMatchObject({ code: "E2BIG", detail: "expected at most 3 entries" });
    expect(error.message).toMatch(/^Cannot write to the BPF map hash: .*: expected at most 3 entries$/);
    map.set(keyOf(2), new Uint8Array(12).fill(1));
    map.delete(keyOf(0));
    map.set(keyOf(3), new Uint8Array(12));
  });

  test("set(), get() and delete() throw what the kernel answers when an array has no such index", () => {
    using map = openArray();
    expect(map.get(keyOf(2))).toEqual(new Uint8Array(16));
    expect(map.get(keyOf(3))).toBeUndefined();
    expect(errorOf(() => map.set(keyOf(3), new Uint8Array(16))).code).toBe("E2BIG");
    expect(errorOf(() => map.delete(keyOf(2))).code).toBe("EINVAL");
  });

  test("set(), setMany(), get() and delete() throw a RangeError when a key or a value has another length", () => {
    using map = openHash(10);
    const [key, value] = [keyOf(1), new Uint8Array(12)];
    expect(() => map.set(new Uint8Array(3), value)).toThrow(
      new RangeError("Cannot use the BPF map hash: the key has 3 bytes, expected 4"),
    );
    expect(() => map.set(key, new Uint8Array(13))).toThrow(
      new RangeError("Cannot use the BPF map hash: the value has 13 bytes, expected 12"),
    );
    expect(() => map.get(new Uint8Array(5))).toThrow(RangeError);
    expect(() => map.delete(new Uint8Array())).toThrow(RangeError);
    const wrong = [
      [key, value],
      [key, new Uint8Array(11)],
    ] as const;
    expect(() => map.setMany(wrong)).toThrow(RangeError);
    expect(map.get(key)).toBeUndefined();
  });

  test("close() closes the descriptor once, and every other method throws a TypeError after it", () => {
    const map = openHash(10);
    const { fd } = map;
    map.close();
    using other = openArray();
    expect(other.fd).toBe(fd);
    map.close();
    expect(other.get(keyOf(0))).toEqual(new Uint8Array(16));
    const closed = new TypeError("Cannot use the BPF map hash: it is closed, expected an open one");
    expect(() => map.fd).toThrow(closed);
    expect(() => map.get(keyOf(1))).toThrow(closed);
    expect(() => map.delete(keyOf(1))).toThrow(closed);
    expect(() => map.set(keyOf(1), new Uint8Array(12))).toThrow(closed);
    expect(() => map.setMany([[keyOf(1), new Uint8Array(12)]])).toThrow(closed);
  });

  test("setMany() writes all entries, a later one over an earlier one", () => {
    using map = openHash(5000);
    map.set(keyOf(1), new Uint8Array(12).fill(255));
    const entries = Array.from({ length: 5000 }, (_, i) => [keyOf(i), new Uint8Array(12).fill(i)] as const);
    map.setMany(entries.concat([[keyOf(3), new Uint8Array(12).fill(99)]]));
    for (const [i, [key, value]] of entries.entries())
      expect(map.get(key)).toEqual(i === 3 ? new Uint8Array(12).fill(99) : value);
    map.setMany([]);
    map.setMany(new Map([[keyOf(3), new Uint8Array(12)]]));
    expect(map.get(keyOf(3))).toEqual(new Uint8Array(12));
  });

  test("setMany() says how many entries were written when there is no room for all", () => {
    using map = openHash(3);
    const entries = Array.from({ length: 5 }, (_, i) => [keyOf(i), new Uint8Array(12).fill(1)] as const);
    expect(errorOf(() => map.setMany(entries))).toMatchObject({
      code: "E2BIG",
      detail: "3 of 5 entries were written; expected at most 3 entries",
    });
    expect(entries.map(([key]) => map.get(key) !== undefined)).toEqual([true, true, true, false, false]);
  });

  test("a perCpuArray has a value for each possible processor, filled up to 8 bytes", () => {
    using map = openPerCpuArray(12);
    const bytes = 16 * countPossibleProcessors();
    expect(map.get(keyOf(0))).toEqual(new Uint8Array(bytes));
    const value = Uint8Array.from({ length: bytes }, (_, i) => (i % 16 < 12 ? i + 1 : 0));
    map.set(keyOf(0), value);
    map.setMany([
      [keyOf(1), value],
      [keyOf(2), value],
    ]);
    for (let i = 0; i < 3; i++) expect(map.get(keyOf(i))).toEqual(value);
    expect(map.get(keyOf(3))).toBeUndefined();
    expect(() => map.set(keyOf(0), new Uint8Array(12))).toThrow(
      new RangeError(`Cannot use the BPF map per_cpu: the value has 12 bytes, expected ${bytes}`),
    );
  });
});

describe.skipIf(lacksBpf)("readCounters() (needs CAP_BPF)", () => {
  test("readCounters() sums the counters of an entry over the processors", () => {
    using map = openPerCpuArray(16);
    const processors = countPossibleProcessors();
    const counted = Array.from({ length: processors }, (_, i) => [BigInt(i + 1), 2n ** 40n]).flat();
    map.set(keyOf(1), valueOf(...counted));
    expect(readCounters(map, 0)).toEqual([0n, 0n]);
    expect(readCounters(map, 1)).toEqual([
      BigInt((processors * (processors + 1)) / 2),
      BigInt(processors) * 2n ** 40n,
    ]);
  });

  test("readCounters() reads those of an array as they are", () => {
    using map = openArray();
    map.set(keyOf(2), valueOf(3n, 2n ** 64n - 1n));
    expect(readCounters(map, 2)).toEqual([3n, 2n ** 64n - 1n]);
  });

  test("readCounters() throws a RangeError when the map has no such counters", () => {
    using array = openArray();
    for (const index of [3, -1, 0.5, Number.NaN, 2 ** 32])
      expect(() => readCounters(array, index)).toThrow(
        new RangeError(`Cannot read counters of the BPF map array: the index is ${index}, expected 0 to 2`),
      );
    using hash = openHash(3);
    expect(() => readCounters(hash, 0)).toThrow(
      "Cannot read counters of the BPF map hash: it is of kind hash with values of 12 bytes, expected an array of 8-byte counters",
    );
    using odd = openPerCpuArray(12);
    expect(() => readCounters(odd, 0)).toThrow(RangeError);
  });
});
