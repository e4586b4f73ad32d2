import * as fc from "fast-check";
import { parseAddress } from "@loden/ip";
import { formatLeaseValue, parseLeaseValue } from "@loden/lease";
import { describe, expect, test } from "vitest";
import { isUnicast, parseHardwareAddress, randomHardwareAddress } from "./hardware-address.ts";
import { formatVtepData, parseVtepData } from "./vtep-data.ts";

const mac = "c6:d2:32:6f:8f:44";

describe("formatVtepData()", () => {
  // What flannel writes, byte for byte; the first one is in its Documentation/reservations.md.
  test.each([
    [
      "IPv4",
      { publicIP: parseAddress("192.168.64.3") },
      `{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"}}`,
    ],
    [
      "dual stack",
      {
        publicIP: parseAddress("192.168.64.3"),
        publicIPv6: parseAddress("fd00::3"),
        backendV6Data: formatVtepData({ vni: 1, mac: "0a:00:00:00:00:01" }),
      },
      `{"PublicIP":"192.168.64.3","PublicIPv6":"fd00::3","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${mac}"},` +
        `"BackendV6Data":{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}}`,
    ],
  ])("gives flannel's lease when the overlay is %s", (_, attributes, text) => {
    const backendData = formatVtepData({ vni: 1, mac });
    expect(formatLeaseValue({ backendType: "vxlan", backendData, ...attributes })).toBe(text);
    expect(parseVtepData(parseLeaseValue(text).backendData)).toEqual({ vni: 1, mac });
  });
});

describe("parseVtepData()", () => {
  test.each([
    ["members in any case and order", { vtepmac: "C6:D2:32:6F:8F:44", vni: 7 }, { vni: 7, mac }],
    ["members that it does not know", { VNI: 1, VtepMAC: mac, Loden: { v: 1 } }, { vni: 1, mac }],
    ["an address with hyphens", { VNI: 1, VtepMAC: "c6-d2-32-6f-8f-44" }, { vni: 1, mac }],
    ["an address in groups of four", { VNI: 1, VtepMAC: "c6d2.326F.8f44" }, { vni: 1, mac }],
    ["an address that is not known yet", { VNI: 4096, VtepMAC: null }, { vni: 4096 }],
    ["no VNI", { VtepMAC: mac }, { mac }],
    ["a VNI that is no number", { VNI: "1", VtepMAC: mac }, { mac }],
    ["null", null, {}],
    ["nothing", undefined, {}],
  ])("takes %s", (_, data, parsed) => {
    expect(parseVtepData(data)).toEqual(parsed);
  });

  test.each([
    ["a string", "c6:d2:32:6f:8f:44", "expected an object"],
    ["an array", [1, mac], "expected an object"],
    ["an address that is a number", { VtepMAC: 1 }, "expected a hardware address"],
    ["an empty address", { VtepMAC: "" }, "expected 6 bytes"],
    ["mixed separators", { VtepMAC: "c6:d2:32-6f:8f:44" }, "expected 6 bytes"],
    ["single digits", { VtepMAC: "c6:d2:32:6f:8f:4" }, "expected 6 bytes"],
    ["an EUI-64", { VtepMAC: "00:00:5e:10:00:00:00:01" }, "expected 6 bytes"],
    ["a multicast address", { VtepMAC: "01:00:5e:00:00:01" }, "expected the address of one device"],
    ["the broadcast address", { VtepMAC: "ff:ff:ff:ff:ff:ff" }, "expected the address of one device"],
    [
      "zero, which would take all that has no entry",
      { VtepMAC: "00:00:00:00:00:00" },
      "expected the address of one device",
    ],
  ])("refuses %s", (_, data, expected) => {
    expect(() => parseVtepData(data)).toThrow(SyntaxError);
    expect(() => parseVtepData(data)).toThrow(expected);
  });

  test("reads back what formatVtepData() writes when addresses are random", () => {
    const bytes = fc.uint8Array({ minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 24 - 1 }), bytes, (vni, random) => {
        const data = { vni, mac: randomHardwareAddress(() => random) };
        expect(parseVtepData(formatVtepData(data))).toEqual(data);
      }),
    );
  });
});

describe("randomHardwareAddress()", () => {
  test("sets the local bit and clears the multicast bit when bytes are random", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (random) => {
        const made = randomHardwareAddress(() => random);
        expect(made).toMatch(/^[\da-f][26ae](:[\da-f]{2}){5}$/);
        expect(isUnicast(made)).toBe(true);
        expect(parseHardwareAddress(made)).toBe(made);
        expect(made.slice(3)).toBe(
          Buffer.from(random.subarray(1))
            .toString("hex")
            .replaceAll(/..(?!$)/g, "$&:"),
        );
      }),
    );
  });

  test("gives another one each time", () => {
    expect(new Set(Array.from({ length: 100 }, () => randomHardwareAddress())).size).toBe(100);
  });
});
