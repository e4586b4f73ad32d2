import { describe, expect, test } from "vitest";
import { parseArguments } from "./parse-arguments.ts";

describe("parseArguments()", () => {
  test("parseArguments() gives three hosts and the screen when nothing is asked", () => {
    expect(parseArguments([])).toEqual({
      hosts: 3,
      backend: "udp",
      dualStack: false,
      mtu: 1500,
      nat: false,
      kernelPath: "auto",
      store: "memory",
      once: false,
      json: false,
      help: false,
    });
  });

  test("parseArguments() takes --json as --once too", () => {
    expect(parseArguments(["--json", "--hosts", "8"])).toMatchObject({ hosts: 8, once: true, json: true });
  });

  test("parseArguments() takes the kind of overlay", () => {
    const words = ["--backend", "vxlan", "--dual-stack", "--mtu=9001", "--nat"];
    expect(parseArguments(words)).toMatchObject({
      backend: "vxlan",
      dualStack: true,
      mtu: 9001,
      nat: true,
    });
    expect(() => parseArguments(["--backend", "wireguard"])).toThrow("expected udp, vxlan, host-gw");
  });

  test.each([["600"], ["1300", "--dual-stack"], ["65536"], ["big"]])(
    "parseArguments() refuses --mtu %s %s",
    (mtu, ...more) => {
      expect(() => parseArguments(["--mtu", mtu, ...more])).toThrow(RangeError);
    },
  );

  test.each(["1", "65", "three", "3.5", ""])("parseArguments() refuses --hosts %j", (hosts) => {
    expect(() => parseArguments(["--hosts", hosts])).toThrow(RangeError);
  });

  test("parseArguments() takes etcd as the store, and refuses others", () => {
    expect(parseArguments(["--store", "etcd"]).store).toBe("etcd");
    expect(() => parseArguments(["--store", "redis"])).toThrow(RangeError);
  });

  test("parseArguments() takes the kernel path as auto or off, and refuses others", () => {
    expect(parseArguments(["--kernel-path", "off"]).kernelPath).toBe("off");
    expect(() => parseArguments(["--kernel-path", "on"])).toThrow("expected auto or off");
  });

  test("parseArguments() refuses an option that does not exist", () => {
    expect(() => parseArguments(["--host", "3"])).toThrow("Cannot start the lab: Unknown option");
  });
});
