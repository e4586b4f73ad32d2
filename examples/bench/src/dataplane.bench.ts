import type { BenchmarkOptions, BenchmarkResult } from "./benchmark.ts";
import { measureDataplane } from "./dataplane/measure-dataplane.ts";

/** Name under which `npm run bench -- dataplane` finds this benchmark. */
export const name = "dataplane";

/** Long enough to be steady, and short enough for all paths of a round to meet the same machine. */
const SECONDS = 0.4;

/**
 * Compares Loden's data path with no overlay, kernel VXLAN, socat and the first release's path, over a plain veth and over a wire. Needs root.
 *
 * @param options how many interleaved rounds, how many seconds each measurement takes, which topologies, kinds and rows, and a checkout whose Loden is
 * a row of its own.
 * @returns ratios, and figures whose unit is part of the name. The readable tables go to standard error.
 */
export async function run(options: BenchmarkOptions): Promise<BenchmarkResult> {
  return measureDataplane({ ...options, seconds: options.seconds ?? SECONDS });
}
