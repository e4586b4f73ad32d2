/**
 * For tests of whatever uses BPF: whether this machine has it. They may be left out where it lacks it, and there alone. No test runner is imported.
 *
 * @example Test it where it can be
 * ```ts
 * import { lacksTcx } from "@loden/bpf/testing";
 *
 * console.log(lacksTcx ? "no programs at devices here" : "programs at devices");
 * ```
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";

/** Whether this process can't have maps and programs: the kernel lets root of a user namespace have none. */
export const lacksBpf: boolean = !/^\s*0\s+0\s+4294967295$/m.test(
  process.platform === "linux" ? readFileSync("/proc/self/uid_map", "utf8") : "",
);

/** Whether it can't attach programs to devices: that, or a kernel before Linux 6.6. */
export const lacksTcx: boolean = lacksBpf || version(release()) < version("6.6");

function version(text: string): number {
  const [major = 0, minor = 0] = text.split(".").map((part) => Number.parseInt(part, 10));
  return major * 1000 + minor;
}
