import { readFileSync } from "node:fs";

/**
 * Gives how many processors the kernel reckons with, present or not: so many values has each entry of a map that keeps them by processor.
 *
 * @returns their number, as of the system's start.
 * @throws {Error} Node's own when `/sys` can't be read.
 */
export function countPossibleProcessors(): number {
  return countProcessors(readFileSync("/sys/devices/system/cpu/possible", "utf8"));
}

/**
 * Counts the processors of a list such as `0-3,8`.
 *
 * @param list numbers and ranges, separated by commas (Documentation/admin-guide/cputopology.rst).
 * @throws {SyntaxError} for any other text.
 */
export function countProcessors(list: string): number {
  return list
    .trim()
    .split(",")
    .map((range) => {
      const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
      const count = Number(last) - Number(first) + 1;
      if (count > 0) return count;
      throw new SyntaxError(
        `Cannot count processors: the list is ${JSON.stringify(list)}, expected one such as "0-3,8"`,
      );
    })
    .reduce((sum, count) => sum + count, 0);
}
