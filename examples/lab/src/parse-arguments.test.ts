import { describe, expect, test } from "vitest";
import { parseArguments } from "./parse-arguments.ts";

describe("parseArguments()", () => {
  test("parseArguments() gives three hosts and the screen when nothing is asked", () => {
    expect(parseArguments([])).toEqual({ hosts: 3, store: "memory", once: false, json: false, help: false });
  });

  test("parseArguments() takes --json as --once too", () => {
    expect(parseArguments(["--json", "--hosts", "8"])).toEqual({
      hosts: 8,
      store: "memory",
      once: true,
      json: true,
      help: false,
    });
  });

  test.each(["1", "65", "three", "3.5", ""])("parseArguments() refuses --hosts %j", (hosts) => {
    expect(() => parseArguments(["--hosts", hosts])).toThrow(RangeError);
  });

  test("parseArguments() takes etcd as the store, and refuses others", () => {
    expect(parseArguments(["--store", "etcd"]).store).toBe("etcd");
    expect(() => parseArguments(["--store", "redis"])).toThrow(RangeError);
  });

  test("parseArguments() refuses an option that does not exist", () => {
    expect(() => parseArguments(["--host", "3"])).toThrow(TypeError);
  });
});
