import { Address, parsePrefix, Prefix } from "@loden/ip";
import { formatSubnet, type Subnet } from "@loden/subnet";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatSubnetKey, parseSubnetKey } from "./subnet-key.ts";

const vectors = [
  { key: "10.5.52.0-24", ipv4: "10.5.52.0/24", ipv6: undefined },
  { key: "10.12.13.0-24&fd00:12:13::-56", ipv4: "10.12.13.0/24", ipv6: "fd00:12:13::/56" },
  { key: "10.5.1.0-24", ipv4: "10.5.1.0/24", ipv6: undefined },
  { key: "0.0.0.0-0", ipv4: "0.0.0.0/0", ipv6: undefined },
  { key: "10.5.52.2-31", ipv4: "10.5.52.2/31", ipv6: undefined },
  { key: "10.12.13.0-24&fd00::2-127", ipv4: "10.12.13.0/24", ipv6: "fd00::2/127" },
  { key: "10.12.13.0-24&8000::-1", ipv4: "10.12.13.0/24", ipv6: "8000::/1" },
] as const;

describe("formatSubnetKey()", () => {
  test.each(vectors)("writes $key as flannel does", ({ key, ipv4, ipv6 }) => {
    expect(formatSubnetKey(subnetOf(ipv4, ipv6))).toBe(key);
  });

  test.each([
    ["an IPv4 length of 32", "10.5.52.1/32", undefined],
    ["an IPv6 length of 128", "10.5.52.0/24", "fd00::1/128"],
    ["an IPv6 part that flannel takes for none", "10.5.52.0/24", "::/0"],
    ["an IPv6 address with dotted text", "10.5.52.0/24", "::ffff:10.0.0.0/104"],
    ["no IPv4 part", undefined, "fd00::/64"],
    ["no part at all", undefined, undefined],
  ])("throws a RangeError for %s", (_, ipv4, ipv6) => {
    expect(() => formatSubnetKey(subnetOf(ipv4, ipv6))).toThrow(RangeError);
  });

  test("is read back by parseSubnetKey() for every subnet it takes", () => {
    const prefix4 = fc
      .tuple(fc.bigInt(0n, 2n ** 32n - 1n), fc.integer({ min: 0, max: 31 }))
      .map(([value, length]) => new Prefix(new Address(4, value), length));
    const prefix6 = fc
      .tuple(fc.bigInt(2n ** 64n, 2n ** 128n - 1n), fc.integer({ min: 64, max: 127 }))
      .map(([value, length]) => new Prefix(new Address(6, value), length));
    fc.assert(
      fc.property(prefix4, fc.option(prefix6, { nil: undefined }), (ipv4, ipv6) => {
        const subnet: Subnet = { ipv4, ipv6 };
        const read = parseSubnetKey(`/any/folder/${formatSubnetKey(subnet)}`);
        expect(read && formatSubnet(read)).toBe(formatSubnet(subnet));
      }),
    );
  });
});

describe("parseSubnetKey()", () => {
  test.each(vectors)("reads $key", ({ key, ipv4, ipv6 }) => {
    expect(parseSubnetKey(key)).toEqual(subnetOf(ipv4, ipv6));
  });

  test.each([
    ["a whole path", "/coreos.com/network/subnets/10.5.52.0-24", "10.5.52.0/24"],
    ["anything before the key", "x10.5.52.0-24", "10.5.52.0/24"],
    ["IPv6 text that is not the shortest", "10.5.52.0-24&fd00:0:0:0:0:0:0:0-64", "10.5.52.0/24 fd00::/64"],
    ["an empty IPv6 part", "10.5.52.0-24&::-0", "10.5.52.0/24"],
    ["host bits, which it clears", "10.5.52.7-24", "10.5.52.0/24"],
  ])("reads %s as flannel does", (_, key, subnet) => {
    const read = parseSubnetKey(key);
    expect(read && formatSubnet(read)).toBe(subnet);
  });

  // What flannel's own parser rejects.
  test.each([
    "10",
    "10.12.13.0",
    "10.12.13-24",
    "10.12.13.300-24",
    "10.12.13.0-24hi",
    "&2001::-56",
    "10.12.13.0-24&:12:13:-56",
    "10.12.13.0-24&20011::-56",
    "10.12.13.0-24&2001-56",
    "10.12.13.0-24&2001::",
    "10.12.13.0-24&2001::-56hi",
  ])("rejects %s, which flannel rejects", (key) => {
    expect(parseSubnetKey(key)).toBeUndefined();
  });

  test.each([
    ["an IPv4 length of 32", "10.5.52.1-32"],
    ["an IPv4 length of 33", "10.5.52.0-33"],
    ["a length beyond all numbers", `10.5.52.0-${"9".repeat(400)}`],
    ["an IPv6 length of 128", "10.5.52.0-24&fd00::1-128"],
    ["IPv6 in upper case", "10.5.52.0-24&FD00::-64"],
    ["IPv6 with a dotted quad", "10.5.52.0-24&::ffff:10.0.0.0-104"],
    ["a leading zero", "10.5.052.0-24"],
    ["a negative length", "10.5.52.0--24"],
    ["nothing", ""],
    ["a line end after it", "10.5.52.0-24\n"],
  ])("rejects %s", (_, key) => {
    expect(parseSubnetKey(key)).toBeUndefined();
  });

  test("never throws, whatever the text", () => {
    const alphabet = fc.constantFrom(..."0123456789abcdef.:&-/x\n".split(""));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: alphabet })), (text) => {
        expect(() => parseSubnetKey(text)).not.toThrow();
      }),
    );
  });
});

function subnetOf(ipv4: string | undefined, ipv6: string | undefined): Subnet {
  return {
    ...(ipv4 !== undefined && { ipv4: parsePrefix(ipv4) }),
    ...(ipv6 !== undefined && { ipv6: parsePrefix(ipv6) }),
  };
}
