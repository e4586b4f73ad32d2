import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { median, ratioOf } from "./dataplane/summarize.ts";
import { countPathCalls } from "./kernels/count-path-calls.ts";
import { createKernelRuns, type KernelRun } from "./kernels/kernel-runs.ts";

/** Name under which `npm run bench -- kernels` finds this benchmark. */
export const name = "kernels";

const SECONDS = 0.4;
const PASSES = 200;
/** Of a model, which may take milliseconds. */
const MODEL_PASSES = 10;

/**
 * Compares each WebAssembly kernel with a plain copy of as many bytes and with its model in TypeScript, and counts the system calls of the whole
 * path for each packet. Needs root, and `perf` for the calls.
 *
 * @param options how many interleaved rounds; `seconds` of each count of system calls.
 * @returns bytes a second of each kernel by those of `memcpy` and by those of the model; figures in GB/s and calls per packet.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const runs = createKernelRuns();
  const kernels: number[][] = runs.map(() => []);
  const models: number[][] = runs.map(() => []);
  const again: number[] = [];
  for (let round = 0; round <= options.rounds; round++) {
    for (const [i, each] of runs.entries()) {
      const kernel = speed(each, each.kernel, PASSES);
      const model = each.model === undefined ? undefined : speed(each, each.model, MODEL_PASSES);
      // The first round only warms up.
      if (round === 0) continue;
      kernels[i]?.push(kernel);
      if (model !== undefined) models[i]?.push(model);
    }
    if (round > 0) again.push(speed(runs[0] as KernelRun, (runs[0] as KernelRun).kernel, PASSES));
  }
  const calls = await countPathCalls(options.seconds ?? SECONDS);
  const [copied = []] = kernels;
  const ratio = (rows: readonly number[], against: readonly number[]): number =>
    ratioOf(rows, against)?.median ?? Number.NaN;
  return {
    ratios: {
      "memcpy/memcpy": ratio(again, copied),
      ...Object.fromEntries(
        runs.slice(1).flatMap(({ name: kernel, model }, index) => {
          const own = kernels[index + 1] ?? [];
          const copy = [`${kernel}/memcpy`, ratio(own, copied)] as const;
          return model === undefined
            ? [copy]
            : [copy, [`${kernel}/model`, ratio(own, models[index + 1] ?? [])] as const];
        }),
      ),
    },
    figures: {
      ...Object.fromEntries(
        runs.map(({ name: kernel }, i) => [`${kernel} GB/s`, median(kernels[i] ?? []) / 1e9]),
      ),
      ...calls,
    },
  };
}

/** Bytes a second; of the median pass, so that one that was interrupted counts for no more than another. */
function speed({ bytes, prepare }: KernelRun, work: () => void, passes: number): number {
  const times = new Float64Array(passes);
  for (let pass = 0; pass < passes; pass++) {
    prepare();
    const start = performance.now();
    work();
    times[pass] = performance.now() - start;
  }
  return bytes / ((times.toSorted()[passes >> 1] ?? Number.NaN) / 1000);
}
