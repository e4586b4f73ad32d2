import { SocketAddress } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { netmask, parseInterfaceAddress } from "./interface-address.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("parseInterfaceAddress()", () => {
  test("parseInterfaceAddress() reads IPv4", () => {
    const { bytes, prefixLength } = parseInterfaceAddress("10.5.34.0/32", 4);
    expect([...bytes]).toEqual([10, 5, 34, 0]);
    expect(prefixLength).toBe(32);
  });

  test.each([
    ["::/0", "00000000000000000000000000000000"],
    ["::1/128", "00000000000000000000000000000001"],
    ["fd00::1/64", "fd000000000000000000000000000001"],
    ["fd00::/64", "fd000000000000000000000000000000"],
    ["1:2:3:4:5:6:7:8/1", "00010002000300040005000600070008"],
    ["::ffff:10.1.2.255/96", "00000000000000000000ffff0a0102ff"],
  ])("parseInterfaceAddress() reads IPv6 %s", (text, expected) => {
    expect(hex(parseInterfaceAddress(text, 6).bytes)).toBe(expected);
  });

  test("parseInterfaceAddress() reads what the platform reads when an IPv6 address is shortened", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), (address, length) => {
        const { bytes, prefixLength } = parseInterfaceAddress(`${address}/${length}`, 6);
        const full = hex(bytes).replaceAll(/(.{4})(?!$)/g, "$1:");
        expect(new SocketAddress({ family: "ipv6", address: full }).address).toBe(
          new SocketAddress({ family: "ipv6", address }).address,
        );
        expect(prefixLength).toBe(length);
      }),
    );
  });

  test.each([
    ["10.0.0.1", 4],
    ["10.0.0.1/33", 4],
    ["10.0.0.1/-1", 4],
    ["10.0.0.1/08", 4],
    ["010.0.0.1/8", 4],
    ["10.0.0/8", 4],
    ["", 4],
    ["fd00::1/64", 4],
    ["10.0.0.1/24", 6],
    ["fd00::1", 6],
    ["fd00::1/129", 6],
    ["fe80::1%lo/64", 6],
    ["1:2/64", 6],
  ] as const)("parseInterfaceAddress() refuses %j for IPv%i", (text, family) => {
    expect(() => parseInterfaceAddress(text, family)).toThrow(SyntaxError);
  });
});

test.each([
  [0, "00000000"],
  [1, "80000000"],
  [24, "ffffff00"],
  [31, "fffffffe"],
  [32, "ffffffff"],
])("netmask() of %i is %s", (length, expected) => {
  expect(hex(netmask(length))).toBe(expected);
});
