import * as fc from "fast-check";
import { posix } from "node:path";
import { expect, test } from "vitest";
import { joinPath } from "./join-path.ts";

// What Go's path.Join answers.
test.each([
  [["/coreos.com/network", "config"], "/coreos.com/network/config"],
  [["/coreos.com/network/", "config"], "/coreos.com/network/config"],
  [["//coreos.com//network", "subnets"], "/coreos.com/network/subnets"],
  [["coreos.com/network", "subnets"], "coreos.com/network/subnets"],
  [["", "config"], "config"],
  [["/", "config"], "/config"],
  [["a/../b", "./config"], "b/config"],
  [["../a", "config"], "../a/config"],
  [["/..", "config"], "/config"],
  [["a", ".."], "."],
  [["", ""], ""],
])("joinPath(...%j) is %j", (parts, expected) => {
  expect(joinPath(...parts)).toBe(expected);
});

test("joinPath() answers as Node's posix.join does but for empty paths and slashes at the end", () => {
  const part = fc.stringMatching(/^[ab./]{0,6}$/);
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
      const joined = posix.join(...parts);
      const expected = joined.length > 1 ? joined.replace(/\/$/, "") : joined;
      const isEmpty = parts.every((text) => text === "");
      expect(joinPath(...parts)).toBe(isEmpty ? "" : expected);
    }),
  );
});
