import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Address } from "./address.ts";
import { addressBits, type AddressFamily } from "./family.ts";
import { parseAddress } from "./parse-address.ts";
import { parsePrefix } from "./parse-prefix.ts";
import { PrefixSet } from "./prefix-set.ts";
import { Prefix } from "./prefix.ts";

/** Few distinct prefixes of all lengths, so that they nest, meet and repeat. */
const anyPrefix: fc.Arbitrary<Prefix> = fc
  .tuple(
    fc.constantFrom<AddressFamily>(4, 6),
    fc.constantFrom(0, 1, 2, 3, 4, 8, 31, 32, 100, 128),
    fc.integer({ min: 0, max: 15 }),
    fc.constantFrom(0n, 1n),
  )
  .map(([family, length, high, low]) => {
    const bits = addressBits(family);
    return new Prefix(new Address(family, (BigInt(high) << BigInt(bits - 4)) | low), Math.min(length, bits));
  });

describe("PrefixSet", () => {
  test("add(), delete(), has(), overlaps(), longestMatch() and iteration agree with a plain list", () => {
    const step = fc.tuple(fc.constantFrom<"add" | "delete">("add", "add", "delete"), anyPrefix);
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(anyPrefix, { maxLength: 10 }),
        (steps, probes) => {
          const set = new PrefixSet();
          let list: Prefix[] = [];
          for (const [verb, prefix] of steps) {
            const present = list.some((member) => member.equals(prefix));
            expect(set[verb](prefix)).toBe(verb === "add" ? !present : present);
            list = list.filter((member) => !member.equals(prefix));
            if (verb === "add") list.push(prefix);
            expect(set.size).toBe(list.length);
          }
          list.sort((a, b) => a.compare(b));
          expect([...set]).toEqual(list);
          for (const probe of probes) {
            expect(set.has(probe)).toBe(list.some((member) => member.equals(probe)));
            expect(set.overlaps(probe)).toBe(list.some((member) => member.overlaps(probe)));
            const matches = list.filter((member) => member.contains(probe.address));
            expect(set.longestMatch(probe.address)).toEqual(
              matches.toSorted((a, b) => b.length - a.length)[0],
            );
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("longestMatch() finds the narrowest member and undefined when there is none", () => {
    const set = new PrefixSet(
      ["0.0.0.0/0", "10.5.0.0/16", "10.5.34.0/24", "::/0"].map((text) => parsePrefix(text)),
    );
    expect(set.longestMatch(parseAddress("10.5.34.9"))?.toString()).toBe("10.5.34.0/24");
    expect(set.longestMatch(parseAddress("10.5.35.9"))?.toString()).toBe("10.5.0.0/16");
    expect(set.longestMatch(parseAddress("9.9.9.9"))?.toString()).toBe("0.0.0.0/0");
    set.delete(parsePrefix("0.0.0.0/0"));
    expect(set.longestMatch(parseAddress("9.9.9.9"))).toBeUndefined();
  });

  test("clear() leaves an empty set", () => {
    const set = new PrefixSet([parsePrefix("10.0.0.0/8"), parsePrefix("fd00::/8")]);
    set.clear();
    expect([set.size, [...set]]).toEqual([0, []]);
    expect(set.overlaps(parsePrefix("0.0.0.0/0"))).toBe(false);
  });
});
