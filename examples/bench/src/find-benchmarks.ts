import { globSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Benchmark } from "./benchmark.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const places = ["packages/*/src/**/*.bench.ts", "examples/*/src/**/*.bench.ts"];

/** A benchmark and the file it was found in, from the root of the repository. */
export interface FoundBenchmark {
  readonly file: string;
  readonly benchmark: Benchmark;
}

/** Loads every `*.bench.ts` of the workspace, by name. Throws TypeError for one that does not export `name` and `run`, or shares its name. */
export async function findBenchmarks(): Promise<readonly FoundBenchmark[]> {
  const files = globSync(places, { cwd: root, exclude: ["**/node_modules/**"] });
  const found = await Promise.all(files.map(load));
  found.sort((a, b) => a.benchmark.name.localeCompare(b.benchmark.name));
  for (const [index, { file, benchmark }] of found.entries()) {
    const other = found[index + 1];
    if (other?.benchmark.name === benchmark.name) {
      throw new TypeError(
        `Cannot list benchmarks: ${file} and ${other.file} are both named "${benchmark.name}"`,
      );
    }
  }
  return found;
}

async function load(file: string): Promise<FoundBenchmark> {
  const module = (await import(pathToFileURL(join(root, file)).href)) as Partial<Benchmark>;
  const { name, run } = module;
  if (typeof name !== "string" || typeof run !== "function") {
    throw new TypeError(`Cannot list benchmarks: ${file} has no name or no run, expected both as exports`);
  }
  return { file, benchmark: { name, run } };
}
