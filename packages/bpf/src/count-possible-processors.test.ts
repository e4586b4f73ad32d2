import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { countPossibleProcessors, countProcessors } from "./count-possible-processors.ts";

test.each([
  ["0", 1],
  ["0-1\n", 2],
  ["0-3,8", 5],
  ["0-3,8-11,16-127\n", 120],
])("countProcessors() counts %j", (list, count) => {
  expect(countProcessors(list)).toBe(count);
});

test.each(["", "\n", "0-", "3-1", "a", "0,,2", "0-1-2", "-1"])(
  "countProcessors() throws a SyntaxError for %j",
  (list) => {
    expect(() => countProcessors(list)).toThrow(SyntaxError);
    expect(() => countProcessors(list)).toThrow(/expected one such as "0-3,8"$/);
  },
);

test.skipIf(process.platform !== "linux")(
  "countPossibleProcessors() counts no fewer than this process may use",
  () => {
    expect(countPossibleProcessors()).toBeGreaterThanOrEqual(availableParallelism());
  },
);
