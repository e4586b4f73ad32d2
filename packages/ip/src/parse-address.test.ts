import { isIPv4, isIPv6 } from "node:net";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress } from "./parse-address.ts";

describe("parseAddress()", () => {
  test.each([
    ["0.0.0.0", 0n],
    ["10.5.34.1", 0x0a05_2201n],
    ["255.255.255.255", 0xffff_ffffn],
  ])("parseAddress() reads the IPv4 address %s", (text, value) => {
    expect(parseAddress(text)).toMatchObject({ family: 4, value });
  });

  test.each([
    ["::", 0n],
    ["::1", 1n],
    ["fd00:12:13::", 0xfd00_0012_0013n << 80n],
    ["FD00:0:0:0::0001", (0xfd00n << 112n) | 1n],
    ["1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004_0005_0006_0007_0008n],
    ["1:2:3:4:5:6:7::", 0x0001_0002_0003_0004_0005_0006_0007_0000n],
    ["::2:3:4:5:6:7:8", 0x0000_0002_0003_0004_0005_0006_0007_0008n],
    ["::ffff:1.2.3.4", 0xffff_0102_0304n],
    ["1:2:3:4:5:6:1.2.3.4", 0x0001_0002_0003_0004_0005_0006_0102_0304n],
  ])("parseAddress() reads the IPv6 address %s", (text, value) => {
    expect(parseAddress(text)).toMatchObject({ family: 6, value });
  });

  test.each([
    "",
    " ",
    "10",
    "10.1",
    "10.1.2",
    "10.1.2.3.4",
    "010.1.1.1",
    "10.1.1.01",
    "00.0.0.0",
    "0x0a.1.1.1",
    "256.1.1.1",
    "10.12.13.300",
    "-1.1.1.1",
    "+1.1.1.1",
    "1e1.1.1.1",
    "10.1.1.1 ",
    " 10.1.1.1",
    "10..1.1",
    ".10.1.1",
    "10.1.1.",
    "10.1.1.1/32",
    "10.1.1.1:80",
    "167772161",
    "٣.1.1.1",
    "10.1.1.1\n",
    "10.1.1.99999999999999999999",
  ])("parseAddress() rejects %j as IPv4", (text) => {
    expect(() => parseAddress(text, { family: 4 })).toThrow(SyntaxError);
    expect(() => parseAddress(text)).toThrow(SyntaxError);
  });

  test.each([
    ":",
    ":::",
    "::1::",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    ":12:13:",
    "20011::",
    "00001::",
    "fd00::g",
    "fe80::1%eth0",
    "fe80::1%1",
    "[::1]",
    "::1 ",
    " ::1",
    "::1.2.3",
    "::1.2.3.04",
    "::ffff:256.1.1.1",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3.4:5",
    "::1/128",
    "1::2::3",
    "::1\n",
  ])("parseAddress() rejects %j as IPv6", (text) => {
    expect(() => parseAddress(text, { family: 6 })).toThrow(SyntaxError);
    expect(() => parseAddress(text)).toThrow(SyntaxError);
  });

  test("parseAddress() rejects the other family when one is asked for", () => {
    expect(() => parseAddress("::1", { family: 4 })).toThrow(SyntaxError);
    expect(() => parseAddress("10.1.1.1", { family: 6 })).toThrow(SyntaxError);
  });

  test("parseAddress() says what is wrong when it rejects", () => {
    expect(() => parseAddress("010.1.1.1")).toThrow(
      'Cannot parse IPv4 address: "010.1.1.1" has a leading zero, expected four decimal numbers 0-255',
    );
    expect(() => parseAddress("x".repeat(1000))).toThrow(`"${"x".repeat(61)}..."`);
  });

  test("parseAddress() accepts what node:net accepts when there is no zone", () => {
    const piece = fc.constantFrom(
      ":",
      "::",
      ".",
      "0",
      "1",
      "00",
      "01",
      "ff",
      "FFFF",
      "255",
      "256",
      "1.2.3.4",
      "g",
      "00000",
    );
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join("")),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        expect(accepts(candidate, 4)).toBe(isIPv4(candidate));
        expect(accepts(candidate, 6)).toBe(isIPv6(candidate));
      }),
      { numRuns: 3000 },
    );
  });

  test("parseAddress() throws nothing but SyntaxError when fed any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(outcome(text)).toBe(accepts(text, 4) || accepts(text, 6) ? "address" : "SyntaxError");
      }),
    );
  });
});

function outcome(text: string): string {
  try {
    parseAddress(text);
    return "address";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

function accepts(text: string, family: 4 | 6): boolean {
  try {
    parseAddress(text, { family });
    return true;
  } catch {
    return false;
  }
}
