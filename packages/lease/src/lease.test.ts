import { parseAddress } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { formatOwner, type LeaseAttributes, sameAttributes, sameOwner } from "./lease.ts";

const host: LeaseAttributes = { publicIP: parseAddress("192.0.2.1"), backendType: "" };
const ipv6Host: LeaseAttributes = { publicIPv6: parseAddress("2001:db8::1"), backendType: "" };

describe("sameOwner()", () => {
  test.each<[string, LeaseAttributes, LeaseAttributes, boolean]>([
    ["one public IPv4 address", host, { ...host, backendType: "vxlan" }, true],
    ["one public IPv4 address and different IPv6 ones", host, { ...ipv6Host, ...host }, true],
    ["different public IPv4 addresses", host, { ...host, publicIP: parseAddress("192.0.2.2") }, false],
    ["one public IPv6 address and no IPv4 one", ipv6Host, { ...ipv6Host }, true],
    ["an IPv4 address on one side only", ipv6Host, { ...ipv6Host, ...host }, false],
    ["no address at all", { backendType: "" }, { backendType: "" }, false],
  ])("compares %s", (_, a, b, expected) => {
    expect(sameOwner(a, b)).toBe(expected);
    expect(sameOwner(b, a)).toBe(expected);
  });
});

describe("sameAttributes()", () => {
  test.each<[string, LeaseAttributes]>([
    ["publicIP", { ...host, publicIP: parseAddress("192.0.2.2") }],
    ["publicIPv6", { ...host, publicIPv6: parseAddress("2001:db8::1") }],
    ["backendType", { ...host, backendType: "vxlan" }],
    ["backendData", { ...host, backendData: { VNI: 1 } }],
    ["backendV6Data", { ...host, backendV6Data: { VNI: 1 } }],
  ])("sees another %s", (_, other) => {
    expect(sameAttributes(host, other)).toBe(false);
    expect(sameAttributes(other, structuredCopy(other))).toBe(true);
  });
});

test("formatOwner() names the addresses, nobody, or what cannot be read", () => {
  expect(formatOwner({ ...host, ...ipv6Host })).toBe("192.0.2.1 2001:db8::1");
  expect(formatOwner({ backendType: "" })).toBe("nobody");
  expect(formatOwner(undefined)).toBe("an entry that cannot be read");
});

function structuredCopy(attributes: LeaseAttributes): LeaseAttributes {
  const { backendData } = attributes;
  return { ...attributes, backendData: backendData && { ...(backendData as object) } };
}
