import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Address, addressFromBytes, addressFromNumber } from "./address.ts";
import { parseAddress } from "./parse-address.ts";

/** Any address, those with few bits set being frequent. */
const anyAddress: fc.Arbitrary<Address> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => new Address(4, value)),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => new Address(6, value)),
  fc.array(fc.constantFrom(0, 0, 0, 1, 0xffff), { minLength: 8, maxLength: 8 }).map((groups) => {
    let value = 0n;
    for (const group of groups) value = (value << 16n) | BigInt(group);
    return new Address(6, value);
  }),
);

describe("Address", () => {
  test.each([
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["fd00:0012:0013:0:0:0:0:0", "fd00:12:13::"],
    ["1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"],
    ["1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"],
    ["0:2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["::1.2.3.4", "::102:304"],
    ["::ffff:a05:2201", "::ffff:10.5.34.1"],
    ["10.5.34.1", "10.5.34.1"],
    ["255.255.255.255", "255.255.255.255"],
  ])("toString() prints %s as %s, like Go", (text, canonical) => {
    expect(parseAddress(text).toString()).toBe(canonical);
    expect(JSON.stringify(parseAddress(text))).toBe(`"${canonical}"`);
  });

  test("toString(), toBytes() and toNumber() are read back when any address is written", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(parseAddress(address.toString())).toEqual(address);
        expect(addressFromBytes(address.toBytes())).toEqual(address);
        const number = Number(address.value & 0xffff_ffffn);
        expect(addressFromNumber(number).toNumber()).toBe(number);
      }),
      { numRuns: 1000 },
    );
  });

  test("toString() keeps every IPv6 text canonical by RFC 5952 when compared with the platform's URL parser", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        fc.pre(address.family === 6 && address.unmap() === address);
        expect(new URL(`http://[${address.toString()}]/`).hostname).toBe(`[${address.toString()}]`);
      }),
      { numRuns: 1000 },
    );
  });

  test("constructor() throws RangeError when the value does not fit", () => {
    expect(() => new Address(4, 2n ** 32n)).toThrow(RangeError);
    expect(() => new Address(4, -1n)).toThrow(RangeError);
    expect(() => new Address(6, 2n ** 128n)).toThrow(RangeError);
    expect(() => new Address(5 as 4, 0n)).toThrow("Cannot create address: the family is 5, expected 4 or 6");
  });

  test("plus() moves both ways and throws RangeError when it leaves the family", () => {
    const address = parseAddress("10.0.0.255");
    expect(address.plus(1).toString()).toBe("10.0.1.0");
    expect(address.plus(-256n).toString()).toBe("9.255.255.255");
    expect(() => parseAddress("255.255.255.255").plus(1)).toThrow(
      RangeError(
        "Cannot add 1 to 255.255.255.255: the result is no IPv4 address, expected one from 0.0.0.0 to 255.255.255.255",
      ),
    );
    expect(() => parseAddress("::").plus(-1)).toThrow(RangeError);
    expect(() => address.plus(0.5)).toThrow(RangeError);
  });

  test("compare() orders by family and value, and agrees with equals()", () => {
    const sorted = ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "::1", "fd00::"].map((text) =>
      parseAddress(text),
    );
    for (const [i, a] of sorted.entries()) {
      for (const [j, b] of sorted.entries()) {
        expect(a.compare(b)).toBe(Math.sign(i - j) + 0);
        expect(a.equals(b)).toBe(i === j);
      }
    }
  });

  test("unmap() gives the IPv4 address when one is mapped, and the address itself when not", () => {
    expect(parseAddress("::ffff:10.1.0.1").unmap()).toEqual(parseAddress("10.1.0.1"));
    expect(parseAddress("::fffe:10.1.0.1").unmap()).toEqual(parseAddress("::fffe:10.1.0.1"));
    expect(parseAddress("10.1.0.1").unmap()).toEqual(parseAddress("10.1.0.1"));
  });

  test.each([
    ["isUnspecified", ["0.0.0.0", "::"], ["0.0.0.1", "::1"]],
    ["isLoopback", ["127.0.0.1", "127.255.0.1", "::1"], ["128.0.0.1", "::", "::2"]],
    ["isMulticast", ["224.0.0.1", "239.255.255.255", "ff02::1"], ["223.0.0.1", "240.0.0.1", "fe80::1"]],
    ["isLinkLocal", ["169.254.1.1", "fe80::1", "febf::1"], ["169.253.1.1", "fec0::1", "fd00::1"]],
    [
      "isPrivate",
      ["10.1.1.1", "172.16.0.1", "172.31.9.9", "192.168.1.1", "fc00::1", "fdff::1"],
      ["11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "8.8.8.8", "fe00::1", "fb00::1"],
    ],
  ] as const)("%s is true only for its ranges", (name, inside, outside) => {
    for (const text of inside) expect([text, parseAddress(text)[name]]).toEqual([text, true]);
    for (const text of outside) expect([text, parseAddress(text)[name]]).toEqual([text, false]);
  });

  test("toNumber() throws TypeError when the address is IPv6", () => {
    expect(() => parseAddress("::1").toNumber()).toThrow(TypeError);
  });
});

describe("addressFromBytes()", () => {
  test("addressFromBytes() reads a view in the middle of a buffer", () => {
    const buffer = Uint8Array.from([9, 9, 10, 5, 34, 1, 9]);
    expect(addressFromBytes(buffer.subarray(2, 6)).toString()).toBe("10.5.34.1");
  });

  test("addressFromBytes() throws RangeError when the length is of no family", () => {
    expect(() => addressFromBytes(new Uint8Array(5))).toThrow(RangeError);
  });
});

describe("addressFromNumber()", () => {
  test("addressFromNumber() throws RangeError when the number does not fit", () => {
    for (const value of [-1, 2 ** 32, 0.5, Number.NaN])
      expect(() => addressFromNumber(value)).toThrow(RangeError);
  });
});
