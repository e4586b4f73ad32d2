import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Samples what threads of the kernel do, as `perf record` does.
 *
 * @param threads their ids.
 * @param seconds for how long.
 * @returns a function that reads the samples, which takes a while, and gives the share of the threads' time that soft interrupts on top of them
 * took; `undefined` where `perf` is missing or may not look. Call it once.
 */
export async function sampleSoftInterrupts(
  threads: readonly number[],
  seconds: number,
): Promise<() => number | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "loden-bench-"));
  const file = join(folder, "samples");
  const what = ["-q", "-e", "cpu-clock", "-F", "1999", "-g", "-t", threads.join(","), "-o", file];
  const child = spawn("perf", ["record", ...what, "--", "sleep", String(seconds)], { stdio: "ignore" });
  await once(child, "exit").catch(() => undefined);
  return () => {
    const options = { encoding: "utf8", maxBuffer: 2 ** 28 } as const;
    const { stdout, status } = spawnSync("perf", ["script", "-i", file, "-F", "comm,ip,sym"], options);
    rmSync(folder, { recursive: true });
    return status === 0 ? shareOfSoftInterrupts(stdout) : undefined;
  };
}

/**
 * Reads what `perf script` prints: each sample is the thread's name and the functions that it was in, and a blank line ends it.
 *
 * @param samples the text.
 * @returns the share of samples inside a soft interrupt; `undefined` when there are none.
 */
export function shareOfSoftInterrupts(samples: string): number | undefined {
  const stacks = samples.split("\n\n").filter((stack) => stack.trim() !== "");
  if (stacks.length === 0) return undefined;
  // The first name from Linux 6.9 on, the second one before.
  const inside = stacks.filter((stack) => /\b(?:handle_softirqs|__do_softirq)\b/.test(stack));
  return inside.length / stacks.length;
}
