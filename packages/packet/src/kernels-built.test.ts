import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compileKernels } from "../assembly/build.ts";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

test("kernels.wasm.ts is what AssemblyScript makes of assembly/ (else run assembly/build.ts)", async () => {
  const { layout, module } = await compileKernels();
  expect(layout).toBe(read("../assembly/layout.ts"));
  expect(module === read("./kernels.wasm.ts")).toBe(true);
}, 60_000);
