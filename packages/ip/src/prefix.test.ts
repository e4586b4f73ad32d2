import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Address } from "./address.ts";
import { addressBits, type AddressFamily } from "./family.ts";
import { parseAddress } from "./parse-address.ts";
import { parsePrefix } from "./parse-prefix.ts";
import { Prefix } from "./prefix.ts";

/** Prefixes that often meet: any length, a base with few bits set. */
const anyPrefix: fc.Arbitrary<Prefix> = fc.constantFrom<AddressFamily>(4, 6).chain((family) =>
  fc
    .tuple(
      fc.integer({ min: 0, max: addressBits(family) }),
      fc.bigInt({ min: 0n, max: 15n }),
      fc.constantFrom(0n, 3n),
    )
    .map(([length, high, low]) => {
      const value = (high << BigInt(addressBits(family) - 4)) | low;
      return new Prefix(new Address(family, value), length);
    }),
);

describe("parsePrefix()", () => {
  test.each([
    ["10.3.0.0/16", "10.3.0.0/16"],
    ["10.5.3.1/16", "10.5.0.0/16"],
    ["1.2.3.4/0", "0.0.0.0/0"],
    ["1.2.3.4/32", "1.2.3.4/32"],
    ["FC00::1/64", "fc00::/64"],
    ["fd00:12:13::/56", "fd00:12:13::/56"],
    ["::1/128", "::1/128"],
  ])("parsePrefix() reads %s as %s", (text, canonical) => {
    expect(parsePrefix(text).toString()).toBe(canonical);
    expect(JSON.stringify(parsePrefix(text))).toBe(`"${canonical}"`);
  });

  test.each([
    "",
    "/",
    "10.3.0.0",
    "10.3.0.0/",
    "10.3.0.0/33",
    "10.3.0.0/024",
    "10.3.0.0/-1",
    "10.3.0.0/+8",
    "10.3.0.0/ 8",
    "10.3.0.0/8/8",
    "10.3/16",
    "010.3.0.0/16",
    "10.3.0.0/255.255.0.0",
    "::/129",
    "::/064",
    "fe80::1%eth0/64",
    "/24",
    "10.3.0.0/1e1",
  ])("parsePrefix() rejects %j", (text) => {
    expect(() => parsePrefix(text)).toThrow(SyntaxError);
  });

  test("parsePrefix() rejects host bits when strict", () => {
    expect(() => parsePrefix("10.5.3.1/16", { strict: true })).toThrow(
      'Cannot parse prefix: "10.5.3.1/16" has host bits set, expected the base 10.5.0.0/16',
    );
    expect(parsePrefix("10.5.0.0/16", { strict: true }).length).toBe(16);
  });

  test("parsePrefix() rejects the other family when one is asked for", () => {
    expect(() => parsePrefix("fc00::/64", { family: 4 })).toThrow(SyntaxError);
    expect(() => parsePrefix("10.0.0.0/8", { family: 6 })).toThrow(SyntaxError);
  });

  test("parsePrefix() reads back what toString() writes", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        expect(parsePrefix(prefix.toString())).toEqual(prefix);
      }),
    );
  });
});

describe("Prefix", () => {
  test("constructor() throws RangeError when the length is out of range", () => {
    for (const length of [-1, 33, 1.5, Number.NaN]) {
      expect(() => new Prefix(parseAddress("10.0.0.0"), length)).toThrow(RangeError);
    }
  });

  test("contains(), overlaps(), size and last agree with the first and last address", () => {
    fc.assert(
      fc.property(anyPrefix, anyPrefix, (a, b) => {
        const [low, high] = bounds(a);
        const [otherLow, otherHigh] = bounds(b);
        const sameFamily = a.family === b.family;
        expect(a.last.value).toBe(high);
        expect(a.size).toBe(high - low + 1n);
        expect(a.contains(b)).toBe(sameFamily && low <= otherLow && otherHigh <= high);
        expect(a.contains(b.address)).toBe(sameFamily && low <= otherLow && otherLow <= high);
        expect(a.overlaps(b)).toBe(sameFamily && low <= otherHigh && otherLow <= high);
        expect(a.equals(b)).toBe(sameFamily && low === otherLow && high === otherHigh);
        expect(a.compare(b) === 0).toBe(a.equals(b));
        expect(Math.sign(a.compare(b))).toBe(-Math.sign(b.compare(a)) + 0);
      }),
      { numRuns: 3000 },
    );
  });

  test("next() follows without a gap and is undefined when the family ends", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        const next = prefix.next();
        const end = 2n ** BigInt(addressBits(prefix.family));
        expect(next?.address.value ?? end).toBe(prefix.last.value + 1n);
        expect(next?.length ?? prefix.length).toBe(prefix.length);
      }),
    );
    expect(parsePrefix("255.255.255.0/24").next()).toBeUndefined();
    expect(parsePrefix("0.0.0.0/0").next()).toBeUndefined();
    expect(`${parsePrefix("fc00::/64").next()?.toString()}`).toBe("fc00:0:0:1::/64");
  });

  test("nth() counts from both ends and throws RangeError when it leaves the prefix", () => {
    const prefix = parsePrefix("10.5.34.0/24");
    expect(prefix.nth(1).toString()).toBe("10.5.34.1");
    expect(prefix.nth(-1n).toString()).toBe("10.5.34.255");
    for (const index of [256, -257, 0.5]) expect(() => prefix.nth(index)).toThrow(RangeError);
    expect(() => prefix.nth(256)).toThrow("it holds 256, expected -256 to 255");
  });

  test("subnets() yields every part once, in order, each time it is iterated", () => {
    const subnets = parsePrefix("255.255.255.0/24").subnets(26);
    const expected = ["255.255.255.0/26", "255.255.255.64/26", "255.255.255.128/26", "255.255.255.192/26"];
    expect([...subnets].map(String)).toEqual(expected);
    expect([...subnets].map(String)).toEqual(expected);
    expect([...parsePrefix("10.0.0.1/32").subnets(32)].map(String)).toEqual(["10.0.0.1/32"]);
  });

  test("subnets() costs nothing when the prefix is huge and only the start is read", () => {
    const [first, second] = parsePrefix("fc00::/7").subnets(126);
    expect([first?.toString(), second?.toString()]).toEqual(["fc00::/126", "fc00::4/126"]);
  });

  test("subnets() throws RangeError when the length is wider than the prefix or no length", () => {
    for (const length of [15, 33])
      expect(() => parsePrefix("10.0.0.0/16").subnets(length)).toThrow(RangeError);
  });

  test("subnets() divides any prefix into neighbours when compared with next()", () => {
    fc.assert(
      fc.property(anyPrefix, fc.integer({ min: 0, max: 5 }), (prefix, more) => {
        const length = Math.min(prefix.length + more, addressBits(prefix.family));
        const model: Prefix[] = [];
        let part: Prefix | undefined = new Prefix(prefix.address, length);
        while (part !== undefined && prefix.contains(part)) {
          model.push(part);
          part = part.next();
        }
        expect([...prefix.subnets(length)]).toEqual(model);
      }),
    );
  });
});

/** First and last address as numbers, computed bit by bit in text. */
function bounds(prefix: Prefix): [bigint, bigint] {
  const bits = addressBits(prefix.family);
  const head = prefix.address.value.toString(2).padStart(bits, "0").slice(0, prefix.length);
  return [BigInt(`0b${head.padEnd(bits, "0")}`), BigInt(`0b${head.padEnd(bits, "1")}`)];
}
