import { execFileSync, spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  closeFd,
  constants,
  KernelError,
  openFile,
  readLinkFeatures,
  setLinkFeatures,
  setNamespace,
  unshareNamespaces,
} from "./index.ts";

const installed = spawnSync("ethtool", ["--version"]).status === 0;

// Names that ethtool has given some features of its own.
const LEGACY: Readonly<Record<string, string>> = {
  "rx-checksumming": "rx-checksum",
  "generic-segmentation-offload": "tx-generic-segmentation",
  "generic-receive-offload": "rx-gro",
  "large-receive-offload": "rx-lro",
  "rx-vlan-offload": "rx-vlan-hw-parse",
  "tx-vlan-offload": "tx-vlan-hw-insert",
  "ntuple-filters": "rx-ntuple-filter",
  "receive-hashing": "rx-hashing",
};
// Its sums of several features.
const SUMS = new Set(["tx-checksumming", "scatter-gather", "tcp-segmentation-offload"]);

/** What `ethtool -k` says, by the kernel's names. */
const readAsEthtool = (device: string): Record<string, boolean> =>
  Object.fromEntries(
    [...execFileSync("ethtool", ["-k", device], { encoding: "utf8" }).matchAll(/^\s*([\w-]+): (on|off)/gm)]
      .filter(([, name = ""]) => !SUMS.has(name))
      .map(([, name = "", state]) => [LEGACY[name] ?? name, state === "on"]),
  );

// In a namespace of the test's own, two ends of a veth pair: loden-a and loden-b, whose name is as long as can be.
const LONG = "loden-b-and-tail";
const DEVICE = "loden-a";
const LONGEST = LONG.slice(0, 15);
let before = -1;

beforeAll(() => {
  before = openFile("/proc/thread-self/ns/net", constants.O_RDONLY);
  unshareNamespaces(constants.CLONE_NEWNET);
  execFileSync("ip", ["link", "add", DEVICE, "type", "veth", "peer", "name", LONGEST]);
});

afterAll(() => {
  setNamespace(before, constants.CLONE_NEWNET);
  closeFd(before);
});

const codeOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code} ${error.syscall}`;
    throw error;
  }
  return "nothing was thrown";
};

describe("readLinkFeatures()", () => {
  test.skipIf(!installed).each(["lo", DEVICE, LONGEST])(
    "readLinkFeatures() reads of %s what ethtool reads (needs ethtool)",
    (device) => {
      const expected = readAsEthtool(device);
      expect(Object.keys(expected).length).toBeGreaterThan(40);
      expect(Object.fromEntries(readLinkFeatures(device))).toMatchObject(expected);
    },
  );

  test("readLinkFeatures() has names for all, and active ones among them", () => {
    const features = readLinkFeatures(DEVICE);
    expect(features.has("")).toBe(false);
    expect([...features.keys()].filter((name) => !/^[a-z0-9_-]+$/.test(name))).toEqual([]);
    expect(features.get("tx-udp_tnl-segmentation")).toBe(true);
    expect(features.get("rx-gro")).toBe(false);
  });

  test("readLinkFeatures() throws when there is no such device, or can't be", () => {
    expect(codeOf(() => readLinkFeatures("none"))).toBe("ENODEV ioctl");
    expect(() => readLinkFeatures("none")).toThrow(/^Cannot read the features of none: /);
    expect(() => readLinkFeatures(LONG)).toThrow(
      new RangeError(`Cannot read the features of ${LONG}: its name has 16 bytes, expected at most 15`),
    );
  });
});

describe("setLinkFeatures()", () => {
  test.skipIf(!installed)(
    "setLinkFeatures() switches what is chosen, and leaves the rest (needs ethtool)",
    () => {
      const start = readLinkFeatures(DEVICE);
      const after = setLinkFeatures(DEVICE, (name) => {
        if (name === "rx-gro") return true;
        return name === "tx-udp_tnl-segmentation" ? false : undefined;
      });
      expect(after).toEqual(new Map([...start, ["rx-gro", true], ["tx-udp_tnl-segmentation", false]]));
      expect(Object.fromEntries(after)).toMatchObject(readAsEthtool(DEVICE));
      // all of them, those that never change included
      const back = setLinkFeatures(DEVICE, (name) => start.get(name));
      expect(back).toEqual(start);
      expect(readLinkFeatures(DEVICE)).toEqual(start);
    },
  );

  test("setLinkFeatures() gives what the kernel made of it when a device can't, and when one follows another", () => {
    const start = readLinkFeatures(LONGEST);
    // fixed
    expect(setLinkFeatures(LONGEST, (name) => (name === "hw-tc-offload" ? true : undefined))).toEqual(start);
    const after = setLinkFeatures(LONGEST, (name) => (name.startsWith("tx-checksum-") ? false : undefined));
    expect(after.get("tx-checksum-ip-generic")).toBe(false);
    expect(start.get("tx-tcp-segmentation")).toBe(true);
    expect(after.get("tx-tcp-segmentation")).toBe(false);
    expect(setLinkFeatures(LONGEST, () => undefined)).toEqual(after);
  });

  test("setLinkFeatures() throws when there is no such device, and chooses nothing", () => {
    expect(codeOf(() => setLinkFeatures("none", () => true))).toBe("ENODEV ioctl");
  });
});
