import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { addressOf, lendMemory } from "./index.ts";

describe("lendMemory()", () => {
  test("lendMemory() gives the addresses of the views in their order, and what the function returns", () => {
    const memory = new SharedArrayBuffer(64);
    const views = [new Uint8Array(memory, 8), new DataView(memory, 40), new Uint8Array(memory)] as const;
    const base = addressOf(new Uint8Array(memory));
    expect(lendMemory(views, (a, b, c) => [a - base, b - base, c - base])).toEqual([8, 40, 0]);
    expect(lendMemory([], () => "nothing lent")).toBe("nothing lent");
  });

  test("lendMemory() can be nested, and goes on after an exception", () => {
    const [outer, inner] = [new Uint8Array(new SharedArrayBuffer(8)), new Uint8Array(new ArrayBuffer(8))];
    const found = lendMemory([outer], (outerAt) => {
      expect(() =>
        lendMemory([inner], () => {
          throw new Error("from inside");
        }),
      ).toThrow("from inside");
      return lendMemory([inner], (innerAt) => [outerAt, innerAt]);
    });
    expect(found).toEqual([addressOf(outer), addressOf(inner)]);
  });

  test("lendMemory() throws a TypeError when the function is asynchronous", () => {
    expect(() => lendMemory([], async () => 1)).toThrow(
      new TypeError("Cannot lend memory: the function returned a promise, expected synchronous work"),
    );
  });

  test("lendMemory() keeps the memory during the call, and no longer", () => {
    // Collected in one thread, memory is gone at once; it shows in what the process has of it. Nobody else holds the view: V8 keeps what a running
    // function may still use, until it has optimised the function.
    const program = `
      import { lendMemory } from ${JSON.stringify(import.meta.resolve("./lend-memory.ts"))};
      const bytes = 1 << 24;
      const held = () => { gc(); return Math.round(process.memoryUsage().arrayBuffers / bytes); };
      const make = () => [new Uint8Array(new ArrayBuffer(bytes))];
      const lend = () => {
        const views = make();
        return lendMemory(views, () => { views.length = 0; return held(); });
      };
      const before = held();
      for (let i = 0; i < 20; i++) console.log(lend() - before, held() - before);`;
    const flags = ["--conditions=@loden/source", "--expose-gc", "--single-threaded-gc"];
    const { stdout, stderr, signal } = spawnSync(
      process.execPath,
      [...flags, "--input-type=module", "--eval", program],
      { encoding: "utf8", cwd: import.meta.dirname },
    );
    expect({ stdout, stderr, signal }).toEqual({ stdout: "1 0\n".repeat(20), stderr: "", signal: null });
  });
});
