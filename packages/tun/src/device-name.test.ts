import { describe, expect, test } from "vitest";
import { checkDeviceName } from "./device-name.ts";

describe("checkDeviceName()", () => {
  test.each(["loden%d", "loden0", "a", "%d", "fifteen-bytes-x", "flannel.1", "é0"])(
    "checkDeviceName() takes %j",
    (name) => {
      expect(() => checkDeviceName(name)).not.toThrow();
    },
  );

  test.each([
    "",
    "sixteen-bytes-xx",
    "a b",
    "a/b",
    "a:b",
    ".",
    "..",
    "a%s",
    "%d%d",
    "100%",
    "a\0b",
    "ééééééééé",
  ])("checkDeviceName() refuses %j", (name) => {
    expect(() => checkDeviceName(name)).toThrow(RangeError);
  });
});
