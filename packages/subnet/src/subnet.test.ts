import { parsePrefix } from "@loden/ip";
import { describe, expect, test } from "vitest";
import { isUsable } from "./is-usable.ts";
import { familyNetwork } from "./network-config.ts";
import { parseNetworkConfig } from "./parse-network-config.ts";
import { formatSubnet, sameSubnet, type Subnet, subnetsOverlap } from "./subnet.ts";

describe("sameSubnet() and formatSubnet()", () => {
  const subnets = [
    "10.5.1.0/24",
    "10.5.1.0/25",
    "10.5.1.0/24 fd00::/64",
    "10.5.1.0/24 fd01::/64",
    "fd00::/64",
    "",
  ];

  test("sameSubnet() is true only when both families are equal", () => {
    for (const a of subnets) {
      for (const b of subnets) expect([a, b, sameSubnet(read(a), read(b))]).toEqual([a, b, a === b]);
    }
  });

  test("formatSubnet() prints the families that are there", () => {
    for (const text of subnets) expect(formatSubnet(read(text))).toBe(text);
  });
});

describe("subnetsOverlap()", () => {
  test.each([
    ["10.5.1.0/24", "10.5.1.0/24", true],
    ["10.5.1.0/24", "10.5.1.128/25", true],
    ["10.5.1.0/24", "10.5.2.0/24", false],
    ["10.5.1.0/24 fd00::/64", "10.5.2.0/24 fd00::/56", true],
    ["10.5.1.0/24 fd00::/64", "10.5.1.0/24 fd01::/64", true],
    ["10.5.1.0/24 fd00::/64", "10.5.2.0/24 fd01::/64", false],
    ["10.5.1.0/24", "fd00::/64", false],
    ["10.5.1.0/24", "", false],
    ["", "", false],
  ])("subnetsOverlap() of %j and %j is %s, either way round", (a, b, overlap) => {
    expect([subnetsOverlap(read(a), read(b)), subnetsOverlap(read(b), read(a))]).toEqual([overlap, overlap]);
  });
});

describe("isUsable()", () => {
  const range = `"Network":"10.5.0.0/16","SubnetMin":"10.5.4.0","SubnetMax":"10.5.9.0"`;
  const single = parseNetworkConfig(`{${range}}`);
  const dual = parseNetworkConfig(`{${range},"EnableIPv6":true,"IPv6Network":"fd00::/48"}`);

  test.each([
    ["10.5.4.0/24", true],
    ["10.5.9.0/24", true],
    ["10.5.3.0/24", false],
    ["10.5.10.0/24", false],
    ["10.5.4.0/25", false],
    ["10.5.4.0/23", false],
    ["10.6.4.0/24", false],
    ["10.5.4.0/24 fd00:0:0:1::/64", false],
    ["", false],
  ])("isUsable() judges %j as %s in an IPv4 network", (text, usable) => {
    expect(isUsable(single, read(text))).toBe(usable);
  });

  test.each([
    ["10.5.4.0/24 fd00:0:0:1::/64", true],
    ["10.5.4.0/24 fd00::/64", false],
    ["10.5.4.0/24 fd00:0:0:1::/65", false],
    ["10.5.3.0/24 fd00:0:0:1::/64", false],
    ["10.5.4.0/24", false],
    ["fd00:0:0:1::/64", false],
  ])("isUsable() judges %j as %s in a dual-stack network", (text, usable) => {
    expect(isUsable(dual, read(text))).toBe(usable);
  });

  test("familyNetwork() is undefined when the family is not enabled", () => {
    expect(familyNetwork(single, 4)).toBe(single.ipv4);
    expect(familyNetwork(single, 6)).toBeUndefined();
  });
});

function read(text: string): Subnet {
  const prefixes = text === "" ? [] : text.split(" ").map((part) => parsePrefix(part));
  const of = (family: number): Subnet["ipv4"] => prefixes.find((prefix) => prefix.family === family);
  return { ipv4: of(4), ipv6: of(6) };
}
